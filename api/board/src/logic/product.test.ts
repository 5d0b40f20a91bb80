import { expect, it } from 'vitest'
import type { Coefficient } from '../wire/shapes'
import { productOf } from './product'

const coefficient = (id: number, change: Partial<Coefficient> = {}): Coefficient => ({
  id, carrier: 'electricity', scope: '330000', month: '2023-12', value: '0.4974', unit: 'kgCO2/kWh', document: 'd',
  data_year: 2023, published_at: '2025-12-31T00:00:00+08:00', carried_months_max: 12, ...change,
})
const YEAR = { electricity: { value: '959640.310', unit: 'kWh', estimated: '0.000' } }

it('the year of a plant is its kWh times the coefficient', () => {
  const one = coefficient(1)
  expect(productOf(one, [one, coefficient(2, { unit: 'kgce/kWh' })], YEAR)).toEqual({ value: '477325.090194', unit: 'kgCO2' })
})

it('two coefficients of a carrier have no product: how the quantity divides is not told', () => {
  const one = coefficient(1)
  expect(productOf(one, [one, coefficient(2, { month: '2024-01' })], YEAR)).toBeNull()
})

it('units that do not meet have none', () => {
  const one = coefficient(1, { unit: 'kgCO2/MWh' })
  expect(productOf(one, [one], YEAR)).toBeNull()
  const coke = coefficient(1, { carrier: 'coke' })
  expect(productOf(coke, [coke], YEAR)).toBeNull()
})
