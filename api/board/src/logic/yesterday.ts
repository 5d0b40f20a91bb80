/** Today against the same time yesterday: whole hours only, so that both sides cover the same span. */

import type { Buckets } from './buckets'
import { sumOf } from './buckets'
import type { Decimal } from './decimal'
import { decimal, ratio, shift, subtract } from './decimal'
import { DAY_MS, startOf } from './periods'

export type Comparison =
  | { readonly known: false }
  | {
      readonly known: true
      /** Percent, one decimal. */
      readonly percent: Decimal
      /** End of the hours compared, UTC ms. */
      readonly until: number
      /** A side lacks readings. */
      readonly partial: boolean
    }

const UNKNOWN: Comparison = { known: false }

/** `newest_ms`: end of the newest reading; the hour it lies in is still filling and is left out. */
export function againstYesterday(hours: Buckets, today_ms: number, newest_ms: number): Comparison {
  const until = Math.min(startOf('hour', newest_ms), today_ms + DAY_MS)
  if (until <= today_ms) return UNKNOWN
  const now = sumOf(hours, { from: today_ms, to: until })
  const before = sumOf(hours, { from: today_ms - DAY_MS, to: until - DAY_MS })
  if (now === null || before === null || now.co2_kg === null || before.co2_kg === null) return UNKNOWN
  const base = decimal(before.co2_kg)
  const onePercent = shift(base, 2)
  const percent = ratio(subtract(decimal(now.co2_kg), base), onePercent, 1)
  if (percent === null || base.units < 0n) return UNKNOWN
  const partial = now.readings < now.expected || before.readings < before.expected
  return { known: true, percent, until, partial }
}
