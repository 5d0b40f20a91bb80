import { expect, it } from 'vitest'
import { AGE_LIMIT_MS, freshnessOf, grown, TICK_LIMIT_MS, tickOf } from './freshness'

it('a reading is late only past 15 minutes', () => {
  expect(freshnessOf(AGE_LIMIT_MS, false)).toBe('ok')
  expect(freshnessOf(AGE_LIMIT_MS + 1, false)).toBe('late')
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
  expect([tickOf(null), tickOf(TICK_LIMIT_MS), tickOf(TICK_LIMIT_MS + 1)]).toEqual(['none', 'ok', 'late'])
})
