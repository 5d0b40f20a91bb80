/** Figures as they are read: tonnes and tce with three decimals (halves to even), ages in words. */

import { decimal, round, shift, text } from '../logic/decimal'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../logic/periods'
import type { DecimalText } from '../wire/shapes'
import { say, sayOr } from './words'

export const DASH = '—'
const PLACES = 3

/** kg as t, or kgce as tce. */
export const tonnes = (kilograms: DecimalText | null | undefined): string =>
  kilograms === null || kilograms === undefined ? DASH : text(round(shift(decimal(kilograms), 3), PLACES))

export const rounded = (value: DecimalText | null | undefined, places = PLACES): string =>
  value === null || value === undefined ? DASH : text(round(decimal(value), places))

/** A completeness as percent: 99.96 % must not become 100 %, so the last digit is cut off and not rounded. */
export function percent(share: number | null): string {
  return share === null ? DASH : `${(Math.floor(share * 1_000 + 1e-9) / 10).toFixed(1)} %`
}

export const count = (value: number): string => text(decimal(String(value)))

export function age(ms: number): string {
  const at_least_0 = Math.max(0, ms)
  if (at_least_0 < MINUTE_MS) return say('age.seconds', { s: Math.floor(at_least_0 / SECOND_MS) })
  const m = Math.floor(at_least_0 / MINUTE_MS)
  if (at_least_0 < HOUR_MS) return say('age.minutes', { m, s: Math.floor((at_least_0 % MINUTE_MS) / SECOND_MS) })
  if (at_least_0 < 2 * DAY_MS) return say('age.hours', { h: Math.floor(m / 60), m: m % 60 })
  return say('age.days', { d: Math.floor(at_least_0 / DAY_MS) })
}

/** How soon an operator has to respond. */
export function within(seconds: number): string {
  const ms = seconds * SECOND_MS
  if (ms < 2 * HOUR_MS) return say('warnings.within.minutes', { count: Math.round(ms / MINUTE_MS) })
  if (ms < 2 * DAY_MS) return say('warnings.within.hours', { count: Math.round(ms / HOUR_MS) })
  return say('warnings.within.days', { count: Math.round(ms / DAY_MS) })
}

export const carrierName = (carrier: string): string => sayOr(`carrier.${carrier}`, carrier)

/** All its digits: what an explanation shows. */
export const grouped = (value: DecimalText): string => text(decimal(value))
