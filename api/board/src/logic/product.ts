/** A carrier's quantity times its coefficient, where one coefficient alone made the figure. */

import type { Coefficient, DecimalText, Quantity } from '../wire/shapes'
import { decimal, multiply, text } from './decimal'

/** kgCO2/kWh -> [kgCO2, kWh] */
const parts = (unit: string): readonly string[] => unit.split('/').map((part) => part.trim())

/**
 * Null where several coefficients of that carrier give the same unit (then each stands for a part of the quantity
 * that the totals do not tell), or the units do not meet.
 */
export function productOf(
  of: Coefficient,
  all: readonly Coefficient[],
  quantities: Readonly<Record<string, Quantity>>,
): { value: DecimalText; unit: string } | null {
  const quantity = quantities[of.carrier]
  const [unit, per] = parts(of.unit)
  const rivals = all.filter((one) => one.carrier === of.carrier && parts(one.unit)[0] === unit)
  if (quantity === undefined || unit === undefined || per !== quantity.unit || rivals.length !== 1) return null
  const product = text(multiply(decimal(quantity.value), decimal(of.value))).replace(/,/g, '')
  return { value: product.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, ''), unit }
}
