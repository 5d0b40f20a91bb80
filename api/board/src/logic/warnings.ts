/** The list of warnings: one entry a warning, its newest version; what it was measured by. */

import type { Operation, OperatorState, Standing } from '../wire/operator'
import type { DecimalText, Priority, Severity, Warning } from '../wire/shapes'
import { compare, decimal, text } from './decimal'

const SEVERITIES = ['alarm', 'alert', 'notice'] as const
const PRIORITIES = ['high', 'medium', 'low'] as const
const OF_CLASS: Record<Severity, Priority> = { alarm: 'high', alert: 'medium', notice: 'low' }

/** A change may come twice or late: the higher version stands. */
export function mergeWarnings(held: ReadonlyMap<string, Warning>, news: readonly Warning[]): ReadonlyMap<string, Warning> {
  const next = new Map(held)
  for (const one of news) {
    const known = next.get(one.id)
    if (known === undefined || known.version <= one.version) {
      const operator = later(one.operator, known?.operator)
      const children = one.children ?? known?.children
      next.set(one.id, { ...one, ...(operator ? { operator } : {}), ...(children ? { children } : {}) })
    }
  }
  return next
}

/** A streamed change tells nothing of the operators: what was known of that stands. */
function later(told: Standing | null | undefined, known: Standing | null | undefined): Standing | null {
  if (!told || !known) return told ?? known ?? null
  return told.change >= known.change ? told : known
}

/** What an operator did, or time did for him, at once; the rest of how it stands comes with the next reading. */
export function operated(held: ReadonlyMap<string, Warning>, told: Operation): ReadonlyMap<string, Warning> {
  const known = held.get(told.warning)
  if (known === undefined || (known.operator?.change ?? 0) >= told.change) return held
  const before = known.operator ?? {
    priority: priorityOf(known), claimed_by: null, shelved: null, out_of_service: null, suppressed_by: null,
  }
  const operator: Standing = {
    ...before, state: told.to_state, change: told.change, annunciated: isUnanswered(told.to_state), since: told.at,
  }
  return new Map(held).set(known.id, { ...known, operator })
}

export const isUnanswered = (state: OperatorState): boolean =>
  state === 'active-unacked' || state === 'cleared-unacked'

export const isInhibited = (state: OperatorState): boolean =>
  state === 'shelved' || state === 'suppressed' || state === 'out-of-service'

/** Of its rule, else as it stood with the operators, else that of its class. */
export const priorityOf = (one: Warning): Priority => one.priority ?? one.operator?.priority ?? OF_CLASS[one.severity]

/** To be answered before what is in hand, inhibited last; one that no operator has before him yet by itself. */
function rank(one: Warning): number {
  const state = one.operator?.state
  if (state === undefined) return one.state === 'cleared' ? 3 : 1
  if (isUnanswered(state)) return 0
  if (isInhibited(state)) return 2
  return one.state === 'cleared' ? 3 : 1
}

/**
 * As the operators' list: unanswered first, active before cleared, by priority, the graver first, the newest event first;
 * then by level and id, so that the order never depends on arrival.
 */
export function ordered(list: readonly Warning[]): Warning[] {
  const at = (one: Warning): number => Date.parse(one.bucket)
  return [...list].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      PRIORITIES.indexOf(priorityOf(a)) - PRIORITIES.indexOf(priorityOf(b)) ||
      SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
      at(b) - at(a) ||
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
