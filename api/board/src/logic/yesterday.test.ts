import { describe, expect, it } from 'vitest'
import type { Bucket } from '../wire/shapes'
import { byStart } from './buckets'
import { text } from './decimal'
import { HOUR_MS, iso, localDay, MINUTE_MS } from './periods'
import { againstYesterday } from './yesterday'

const TODAY = localDay(2026, 3, 18)

const hour = (start: number, co2_kg: string | null, readings = 4): Bucket => ({
  bucket: iso(start), readings, expected: 4, completeness: readings / 4, quantity: {}, co2_kg, kgce: null,
  missing_coefficients: [], missing_calorific: [], provisional: false,
})

const hours = (today: (string | null)[], yesterday: (string | null)[]) =>
  byStart([
    ...yesterday.map((co2, i) => hour(TODAY + (i - 24) * HOUR_MS, co2)),
    ...today.map((co2, i) => hour(TODAY + i * HOUR_MS, co2)),
  ])

describe('today against yesterday', () => {
  it('compares the hours that are whole', () => {
    const result = againstYesterday(hours(['10', '12', '1'], ['10', '10', '10']), TODAY, TODAY + 2 * HOUR_MS + 15 * MINUTE_MS)
    expect(result).toMatchObject({ known: true, until: TODAY + 2 * HOUR_MS, partial: false })
    expect(result.known && text(result.percent)).toBe('10.0')
  })

  it('is unknown in the first hour', () => {
    expect(againstYesterday(hours(['1'], ['1']), TODAY, TODAY + 59 * MINUTE_MS).known).toBe(false)
  })

  it('is unknown where a coefficient is missing, or yesterday is', () => {
    expect(againstYesterday(hours(['10', null], ['10', '10']), TODAY, TODAY + 2 * HOUR_MS).known).toBe(false)
    expect(againstYesterday(hours(['10', '10'], []), TODAY, TODAY + 2 * HOUR_MS).known).toBe(false)
  })

  it('is unknown where yesterday was zero', () => {
    expect(againstYesterday(hours(['10'], ['0']), TODAY, TODAY + HOUR_MS).known).toBe(false)
  })

  it('says when a side lacks readings', () => {
    const held = byStart([hour(TODAY - 24 * HOUR_MS, '10', 3), hour(TODAY, '9')])
    expect(againstYesterday(held, TODAY, TODAY + HOUR_MS)).toMatchObject({ partial: true })
  })
})
