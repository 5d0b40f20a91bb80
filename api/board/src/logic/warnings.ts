/** The list of warnings: one entry a warning, its newest version; what it was measured by. */

import type { DecimalText, Warning } from '../wire/shapes'
import { compare, decimal, text } from './decimal'

const SEVERITIES = ['alarm', 'alert', 'notice'] as const

/** A change may come twice or late: the higher version stands. */
export function mergeWarnings(held: ReadonlyMap<string, Warning>, news: readonly Warning[]): ReadonlyMap<string, Warning> {
  const next = new Map(held)
  for (const one of news) {
    const known = next.get(one.id)
    if (known === undefined || known.version <= one.version) next.set(one.id, one)
  }
  return next
}

/** Active before cleared, then newest event first, then the graver, then by id: the order never depends on arrival. */
export function ordered(list: readonly Warning[]): Warning[] {
  const at = (one: Warning): number => Date.parse(one.bucket)
  return [...list].sort(
    (a, b) =>
      Number(a.state === 'cleared') - Number(b.state === 'cleared') ||
      at(b) - at(a) ||
      SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
      compare(decimal(b.level ?? '0'), decimal(a.level ?? '0')) ||
      a.id.localeCompare(b.id),
  )
}

/** A level is per cent of the target; zeros that say nothing are left out (80.00 reads 80). */
export function levelText(level: DecimalText): string {
  return text(decimal(level)).replace(/\.0+$/, '')
}

/**
 * The total that was judged and what it was judged by, kg or kgce: the target, or the plan up to that day. Null where
 * the snapshot does not tell both.
 */
export function measured(warning: Warning): { value: DecimalText; against: DecimalText } | null {
  const { total, target, plan } = warning.snapshot
  const against = plan ?? target?.value
  return total && against ? { value: total, against } : null
}
