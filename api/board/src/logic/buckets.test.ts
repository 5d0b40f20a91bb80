import { describe, expect, it } from 'vitest'
import type { Bucket, Total } from '../wire/shapes'
import { applyTotal, byStart, knownPart, sumOf } from './buckets'
import { HOUR_MS, localDay, spanOf } from './periods'

const MIDNIGHT = localDay(2026, 3, 18)
const DAY = spanOf('day', MIDNIGHT)

const bucket = (hour: number, change: Partial<Bucket> = {}): Bucket => ({
  bucket: new Date(MIDNIGHT + hour * HOUR_MS).toISOString(),
  readings: 4,
  expected: 4,
  completeness: 1,
  quantity: { electricity: { value: '0.100', unit: 'kWh', estimated: '0.000' } },
  co2_kg: '0.1',
  kgce: '0.01229',
  missing_coefficients: [], missing_calorific: [],
  provisional: false,
  ...change,
})

const total = (hour: number, change: Partial<Total> = {}): Total => ({
  entity: 'park:P1',
  grain: 'hour',
  bucket: '2026-03-18T00:00:00+08:00',
  bucket_ms: MIDNIGHT + hour * HOUR_MS,
  readings: 3,
  expected: 4,
  completeness: 0.75,
  provisional: true,
  co2_kg: '10.5',
  kgce: '1.2',
  carriers: [
    {
      carrier: 'electricity', class: 1, unit: 'kWh', quantity: '1.5', estimated: '0', readings: 2, co2_kg: '10', kgce: '1',
    },
    {
      carrier: 'electricity', class: 2, unit: 'kWh', quantity: '0.25', estimated: '0.25', readings: 1, co2_kg: '.5', kgce: '.2',
    },
  ],
  computed: MIDNIGHT,
  ...change,
})

describe('a streamed total', () => {
  it('replaces its bucket and leaves the others', () => {
    const held = byStart([bucket(0), bucket(1)])
    const next = applyTotal(held, total(1), DAY)
    expect(next.get(MIDNIGHT)).toBe(held.get(MIDNIGHT))
    expect(next.get(MIDNIGHT + HOUR_MS)).toMatchObject({ co2_kg: '10.5', readings: 3, completeness: 0.75 })
    expect(held.get(MIDNIGHT + HOUR_MS)?.co2_kg).toBe('0.1')
  })

  it('says whether its bucket is final, also of one that was not there', () => {
    const at = MIDNIGHT + 5 * HOUR_MS
    expect(applyTotal(new Map(), total(5), DAY).get(at)?.provisional).toBe(true)
    expect(applyTotal(byStart([bucket(5, { provisional: true })]), total(5, { provisional: false }), DAY).get(at)?.provisional).toBe(false)
  })

  it('adds the classes of one carrier', () => {
    expect(applyTotal(new Map(), total(0), DAY).get(MIDNIGHT)?.quantity).toEqual({
      electricity: { value: '1.75', unit: 'kWh', estimated: '0.25' },
    })
  })

  it('that is absolute may come twice', () => {
    const once = applyTotal(byStart([bucket(0)]), total(0), DAY)
    expect(sumOf(applyTotal(once, total(0), DAY), DAY)).toEqual(sumOf(once, DAY))
  })

  it('outside the span changes nothing', () => {
    const held = byStart([bucket(0)])
    expect(applyTotal(held, total(24), DAY)).toBe(held)
    expect(applyTotal(held, total(-1), DAY)).toBe(held)
  })

  it('without a coefficient names the carriers that lack one', () => {
    const [first] = total(0).carriers
    const lacking = total(0, { co2_kg: null, carriers: [{ ...(first as Total['carriers'][0]), carrier: 'coke', co2_kg: null }] })
    expect(applyTotal(new Map(), lacking, DAY).get(MIDNIGHT)).toMatchObject({
      missing_coefficients: ['coke'], missing_calorific: [],
    })
  })
})

describe('a sum', () => {
  it('is exact', () => {
    const held = byStart(Array.from({ length: 10 }, (_, hour) => bucket(hour)))
    expect(sumOf(held, DAY)).toMatchObject({
      co2_kg: '1.0', kgce: '0.12290', readings: 40, quantity: { electricity: { value: '1.000' } },
    })
  })

  it('is unknown where a part is, and says what is known', () => {
    const held = byStart([bucket(0), bucket(1, { co2_kg: null, missing_coefficients: ['coke'] })])
    expect(sumOf(held, DAY)).toMatchObject({ co2_kg: null, kgce: '0.02458', missing_coefficients: ['coke'] })
    expect(knownPart(held, DAY)).toBe('0.1')
  })

  it('passes over hours to come, which have no figures', () => {
    const held = byStart([bucket(0), bucket(1, { readings: 0, quantity: {}, co2_kg: null, kgce: null })])
    expect(sumOf(held, DAY)).toMatchObject({ co2_kg: '0.1', readings: 4, expected: 4 })
  })

  it('of nothing is nothing, not zero', () => {
    expect(sumOf(new Map(), DAY)).toBeNull()
    expect(sumOf(byStart([bucket(0, { readings: 0, quantity: {}, co2_kg: '0' })]), DAY)).toBeNull()
    expect(sumOf(byStart([bucket(0)]), { from: DAY.to, to: DAY.to + HOUR_MS })).toBeNull()
  })
})
