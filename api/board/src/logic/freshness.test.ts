import { expect, it } from 'vitest'
import { freshnessOf, grown, tickOf } from './freshness'

it('a reading is late only past 15 minutes', () => {
  expect(freshnessOf(900_000, false)).toBe('ok')
  expect(freshnessOf(900_001, false)).toBe('late')
  expect(freshnessOf(null, false)).toBe('none')
})

it('without a connection no age is called fresh', () => {
  expect(freshnessOf(1_000, true)).toBe('disconnected')
})

it('an age grows after it was told', () => {
  expect(grown(60, 5_000)).toBe(65_000)
  expect(grown(null, 5_000)).toBeNull()
})

it('a partition without ticks is told from a late one', () => {
  expect([tickOf(null), tickOf(30_000), tickOf(30_001)]).toEqual(['none', 'ok', 'late'])
})
