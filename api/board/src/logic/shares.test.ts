import { expect, it } from 'vitest'
import type { Share } from '../wire/shapes'
import { barsOf } from './shares'

const share = (entity: string, co2_kg: string | null): Share => ({ entity, name_zh: entity, name_en: entity, co2_kg })

it('the largest come first and the longest bar is full', () => {
  const bars = barsOf([share('a', '2.5'), share('b', '10')], 8, true)
  expect(bars.map((bar) => [bar.share?.entity, bar.length])).toEqual([['b', 1], ['a', 0.25]])
})

it('what has no bar of its own is summed exactly, so nothing is left out', () => {
  const bars = barsOf([share('a', '5'), share('b', '0.1'), share('c', '0.2'), share('d', '0.30')], 2, true)
  expect(bars.map((bar) => [bar.share?.entity, bar.entities, bar.co2_kg])).toEqual([['a', 1, '5'], [undefined, 3, '0.60']])
})

it('an unknown emission comes last without a bar and makes the rest unknown', () => {
  expect(barsOf([share('a', null), share('b', '1')], 8, true).map((bar) => bar.share?.entity)).toEqual(['b', 'a'])
  expect(barsOf([share('a', null), share('b', '1'), share('c', '1')], 2, true)[1]).toMatchObject({ co2_kg: null, length: 0 })
})

it('nothing emitted gives no bar to divide by', () => {
  expect(barsOf([share('a', '0')], 8, true)[0]?.length).toBe(0)
  expect(barsOf([], 8, true)).toEqual([])
})

it('of a list that is only the top, no rest is made up', () => {
  expect(barsOf([share('a', '5'), share('b', '4'), share('c', '3')], 2, false).map((bar) => bar.share?.entity)).toEqual(['a', 'b'])
})
