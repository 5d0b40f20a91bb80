import { describe, expect, it } from 'vitest'
import { dateText, HOUR_MS, localDay, starts } from './periods'
import { counterpart, CUT, holdsNewest, parsePeriod, periodText, spanBefore, spanOfView, stepView, viewAt } from './view'

describe('browsing', () => {
  it('goes from a year to the one before and the one after', () => {
    const year = viewAt('year-months', localDay(2024, 7, 9))
    expect([stepView(year, -1), year, stepView(year, 1)].map(periodText)).toEqual(['2023', '2024', '2025'])
  })

  it('goes over the ends of months and days', () => {
    expect(periodText(stepView(viewAt('month-days', localDay(2024, 3, 31)), -1))).toBe('2024-02')
    expect(periodText(stepView(viewAt('day-hours', localDay(2024, 3, 1)), -1))).toBe('2024-02-29')
  })

  it('cuts a year into 12 months or its days', () => {
    const cut = (kind: 'year-months' | 'year-days') => starts(CUT[kind].grain, spanOfView(viewAt(kind, localDay(2024))))
    expect([cut('year-months').length, cut('year-days').length]).toEqual([12, 366])
  })

  it('ends the period before where this one begins', () => {
    const view = viewAt('month-days', localDay(2024, 3, 5))
    expect(spanBefore(view)).toEqual({ from: localDay(2024, 2), to: localDay(2024, 3) })
  })
})

describe('the counterpart in the period before', () => {
  it('is the same hour, day or month', () => {
    const day = viewAt('day-hours', localDay(2024, 3, 1))
    expect(counterpart(day, day.start + 5 * HOUR_MS)).toBe(localDay(2024, 2, 29) + 5 * HOUR_MS)
    expect(counterpart(viewAt('month-days', localDay(2024, 3)), localDay(2024, 3, 29))).toBe(localDay(2024, 2, 29))
    expect(counterpart(viewAt('year-months', localDay(2024)), localDay(2024, 5))).toBe(localDay(2023, 5))
  })

  it('is none where the calendar has none', () => {
    expect(counterpart(viewAt('month-days', localDay(2024, 3)), localDay(2024, 3, 30))).toBeNull()
    expect(counterpart(viewAt('year-days', localDay(2024)), localDay(2024, 2, 29))).toBeNull()
  })
})

describe('a period in the address', () => {
  it.each([
    ['day-hours', '2024-03-05'],
    ['month-days', '2024-03'],
    ['year-days', '2024'],
  ] as const)('%s %s is read back', (kind, period) => {
    const view = parsePeriod(kind, period)
    expect(view && periodText(view)).toBe(period)
  })

  it.each(['', '1970', '2024-13', '2024-00-01', '24', 'today'])('%j is refused', (period) => {
    expect(parsePeriod('day-hours', period)).toBeNull()
  })
})

it('a reading that ended at 24:00 lies in the day before', () => {
  expect(dateText(holdsNewest(localDay(2025)))).toBe('2024-12-31')
})
