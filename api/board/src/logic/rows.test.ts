import { describe, expect, it } from 'vitest'
import type { Bucket } from '../wire/shapes'
import { byStart } from './buckets'
import { HOUR_MS, iso, localDay } from './periods'
import { rowsOf, stateOf } from './rows'
import { viewAt } from './view'

const DAY = localDay(2026, 3, 18)

const bucket = (start: number, change: Partial<Bucket> = {}): Bucket => ({
  bucket: iso(start), readings: 4, expected: 4, completeness: 1, co2_kg: '1', kgce: '1', missing_coefficients: [], missing_calorific: [],
  quantity: { electricity: { value: '2.000', unit: 'kWh', estimated: '0.000' } }, provisional: false, ...change,
})

describe('the rows of a day', () => {
  const held = byStart([bucket(DAY), bucket(DAY - 24 * HOUR_MS), bucket(DAY + HOUR_MS, { readings: 0, quantity: {} })])
  const rows = rowsOf(viewAt('day-hours', DAY), held, DAY + 3 * HOUR_MS)

  it('are 24, with yesterday behind each', () => {
    expect(rows).toHaveLength(24)
    expect(rows[0]?.bucket?.bucket).toBe('2026-03-18T00:00:00+08:00')
    expect(rows[0]?.before?.bucket).toBe('2026-03-17T00:00:00+08:00')
  })

  it('hold nothing, and not zero, where nothing was read', () => {
    expect(rows[1]).toMatchObject({ bucket: null, state: 'none' })
    expect(rows[5]).toMatchObject({ bucket: null, before: null, state: 'none' })
  })
})

describe('the state of a row', () => {
  const end = DAY + HOUR_MS
  it.each([
    ['final', {}, end],
    ['open', {}, end - 1],
    ['incomplete', { readings: 3 }, end],
    ['provisional', { provisional: true }, end],
    ['unknown', { co2_kg: null }, end - 1],
  ] as const)('is %s', (state, change, now) => {
    expect(stateOf(bucket(DAY, change), end, now)).toBe(state)
  })
})
