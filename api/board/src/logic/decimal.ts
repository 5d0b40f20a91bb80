/** Exact decimals: figures arrive as decimal strings and are added, multiplied and rounded without floating point. */

export interface Decimal {
  /** The digits: value = units / 10^scale. */
  readonly units: bigint
  readonly scale: number
}

export const ZERO: Decimal = { units: 0n, scale: 0 }

const FORM = /^(-?)(\d+)(?:\.(\d+))?$/

const tenTo = (power: number): bigint => 10n ** BigInt(power)

/** Throws RangeError on anything but digits with an optional sign and point. */
export function decimal(text: string): Decimal {
  const match = FORM.exec(text)
  if (match === null) throw new RangeError(`not a decimal: ${text}`)
  const [, sign, whole = '', fraction = ''] = match
  const units = BigInt(whole + fraction)
  return { units: sign === '-' ? -units : units, scale: fraction.length }
}

function widen(value: Decimal, scale: number): bigint {
  return value.units * tenTo(scale - value.scale)
}

export function add(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale)
  return { units: widen(a, scale) + widen(b, scale), scale }
}

export function subtract(a: Decimal, b: Decimal): Decimal {
  return add(a, { units: -b.units, scale: b.scale })
}

export function multiply(a: Decimal, b: Decimal): Decimal {
  return { units: a.units * b.units, scale: a.scale + b.scale }
}

export function sum(values: Iterable<Decimal>): Decimal {
  let total = ZERO
  for (const value of values) total = add(total, value)
  return total
}

export function compare(a: Decimal, b: Decimal): number {
  const difference = subtract(a, b).units
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** n / d as an integer, halves to the even neighbour (GB/T 8170). `d` > 0. */
function divideHalfEven(n: bigint, d: bigint): bigint {
  const negative = n < 0n
  const size = negative ? -n : n
  let quotient = size / d
  const twice = (size % d) * 2n
  if (twice > d || (twice === d && quotient % 2n === 1n)) quotient += 1n
  return negative ? -quotient : quotient
}

export function round(value: Decimal, places: number): Decimal {
  if (value.scale <= places) return { units: widen(value, places), scale: places }
  return { units: divideHalfEven(value.units, tenTo(value.scale - places)), scale: places }
}

/** Moves the point to the left: kg to t is 3. */
export function shift(value: Decimal, places: number): Decimal {
  return { units: value.units, scale: value.scale + places }
}

/** a / b, rounded; null where b is zero. */
export function ratio(a: Decimal, b: Decimal, places: number): Decimal | null {
  if (b.units === 0n) return null
  const sign = b.units < 0n ? -1n : 1n
  const numerator = a.units * tenTo(b.scale + places) * sign
  return { units: divideHalfEven(numerator, b.units * sign * tenTo(a.scale)), scale: places }
}

/** All digits, whole part in groups of three. */
export function text(value: Decimal): string {
  const negative = value.units < 0n
  const digits = (negative ? -value.units : value.units).toString().padStart(value.scale + 1, '0')
  const point = digits.length - value.scale
  const whole = digits.slice(0, point).replace(/\B(?=(\d{3})+$)/g, ',')
  const fraction = digits.slice(point)
  return (negative ? '-' : '') + whole + (fraction === '' ? '' : `.${fraction}`)
}

/** For lengths of bars and axes only: a figure that is read comes from `text`. */
export function approximate(value: Decimal): number {
  return Number(value.units) / 10 ** value.scale
}
