/** Entities by their emissions, as bars: the largest by name, the rest as one. */

import type { DecimalText, Share } from '../wire/shapes'
import type { Decimal } from './decimal'
import { add, approximate, compare, decimal, text, ZERO } from './decimal'

export interface Bar {
  /** Null: the rest. */
  readonly share: Share | null
  /** How many stand behind it. */
  readonly entities: number
  readonly co2_kg: DecimalText | null
  /** 0 to 1, of the longest. */
  readonly length: number
}

const known = (share: Share): Decimal | null => (share.co2_kg === null ? null : decimal(share.co2_kg))

/**
 * At most `most` bars. Unknown ones come last: they are not the smallest, they are not known. `whole`: the shares are
 * all there are, so those without a bar of their own have one together.
 */
export function barsOf(shares: readonly Share[], most: number, whole: boolean): Bar[] {
  const sorted = [...shares].sort((a, b) => {
    const [left, right] = [known(a), known(b)]
    if (left === null || right === null) return Number(left === null) - Number(right === null)
    return compare(right, left) || a.entity.localeCompare(b.entity)
  })
  const named = sorted.slice(0, whole && sorted.length > most ? most - 1 : most)
  const rest = whole ? sorted.slice(named.length) : []
  const bars = named.map((share) => ({ share, entities: 1, co2_kg: share.co2_kg }))
  const all = rest.length === 0 ? bars : [...bars, restOf(rest)]
  const longest = Math.max(...all.map((bar) => (bar.co2_kg === null ? 0 : approximate(decimal(bar.co2_kg)))), 0)
  const length = (co2_kg: DecimalText | null): number =>
    co2_kg === null || longest === 0 ? 0 : Math.max(0, approximate(decimal(co2_kg)) / longest)
  return all.map((bar) => ({ ...bar, length: length(bar.co2_kg) }))
}

function restOf(rest: readonly Share[]): Omit<Bar, 'length' | 'share'> & { share: null } {
  const parts = rest.map(known)
  const sum = parts.includes(null) ? null : parts.reduce<Decimal>((a, b) => add(a, b ?? ZERO), ZERO)
  return { share: null, entities: rest.length, co2_kg: sum === null ? null : text(sum).replace(/,/g, '') }
}
