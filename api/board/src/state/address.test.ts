import { expect, it } from 'vitest'
import { localDay } from '../logic/periods'
import { viewAt } from '../logic/view'
import { addressText, parseAddress } from './address'

it('an address leads back to the same picture', () => {
  const view = viewAt('year-months', localDay(2024))
  const text = addressText('site:330502-0001', view, false)
  expect(parseAddress(text)).toEqual({ entity: 'site:330502-0001', kind: 'year-months', view })
})

it('the present period is not written down, so that tomorrow shows tomorrow', () => {
  const text = addressText('park:P1', viewAt('day-hours', localDay(2026, 3, 18)), true)
  expect(text).not.toContain('2026')
  expect(parseAddress(text).view).toBeNull()
})

it('nonsense in an address shows the day', () => {
  expect(parseAddress('#view=%22%3E&period=99')).toEqual({ entity: null, kind: 'day-hours', view: null })
  expect(parseAddress('')).toEqual({ entity: null, kind: 'day-hours', view: null })
})
