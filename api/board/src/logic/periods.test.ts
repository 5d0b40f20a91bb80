import { describe, expect, it } from 'vitest'
import { DAY_MS, dateText, HOUR_MS, iso, local, localDay, spanOf, startOf, starts } from './periods'

const at = (text: string): number => Date.parse(text)

describe('local time of Asia/Shanghai', () => {
  it('is eight hours ahead of UTC', () => {
    expect(local(at('2024-12-31T16:00:00Z'))).toMatchObject({ year: 2025, month: 1, day: 1, hour: 0 })
    expect(iso(at('2024-06-01T00:30:15Z'))).toBe('2024-06-01T08:30:15+08:00')
  })

  it('starts the day at local midnight', () => {
    expect(startOf('day', at('2024-03-05T00:10:00+08:00'))).toBe(at('2024-03-05T00:00:00+08:00'))
    expect(startOf('day', at('2024-03-05T23:59:59+08:00'))).toBe(at('2024-03-05T00:00:00+08:00'))
  })
})

describe('periods', () => {
  it('step over the ends of months and years', () => {
    expect(dateText(startOf('month', at('2024-01-31T10:00:00+08:00'), 1))).toBe('2024-02-01')
    expect(dateText(startOf('month', at('2024-01-31T10:00:00+08:00'), -1))).toBe('2023-12-01')
    expect(dateText(startOf('day', at('2024-12-31T10:00:00+08:00'), 1))).toBe('2025-01-01')
    expect(dateText(startOf('quarter', at('2024-11-30T10:00:00+08:00'), 1))).toBe('2025-01-01')
    expect(dateText(startOf('year', at('2024-02-29T10:00:00+08:00'), -1))).toBe('2023-01-01')
  })

  it('give 24 hours a day, also where other places change their clocks', () => {
    expect(starts('hour', spanOf('day', at('2024-03-10T12:00:00+08:00')))).toHaveLength(24)
    expect(starts('hour', spanOf('day', at('1999-12-31T12:00:00+08:00')))).toHaveLength(24)
  })

  it('give a leap year 366 days and February 29', () => {
    expect(starts('day', spanOf('year', localDay(2024)))).toHaveLength(366)
    expect(starts('day', spanOf('month', localDay(2024, 2)))).toHaveLength(29)
    expect(starts('day', spanOf('month', localDay(2023, 2)))).toHaveLength(28)
    expect(starts('month', spanOf('year', localDay(2023)))).toHaveLength(12)
  })

  it('are half-open: the next begins where one ends', () => {
    const day = spanOf('day', localDay(2024, 2, 29))
    expect(day.to - day.from).toBe(DAY_MS)
    expect(spanOf('day', day.to).from).toBe(day.to)
    expect(startOf('hour', day.to - 1)).toBe(day.to - HOUR_MS)
  })
})
