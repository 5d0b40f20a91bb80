/** The operators' desk: which warnings are chosen, and what may be done to them. */

import type { Answered, Command } from '../wire/operator'
import type { Warning } from '../wire/shapes'
import { isInhibited, isUnanswered } from './warnings'

/** As many as one command takes. */
export const MOST_CHOSEN = 200
/** Hours on a shelf that are offered: an hour, a shift, a day, three, the longest there is. */
export const SHELF_HOURS = [1, 8, 24, 72, 168] as const

export type Tab = 'open' | 'inhibited' | 'handover'
export type Kind = Command['kind']

/** Chosen or given up; beyond the most that one command takes nothing more is chosen. */
export function toggled(chosen: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(chosen)
  if (!next.delete(id) && next.size < MOST_CHOSEN) next.add(id)
  return next
}

/** All that are shown, up to the most; none where all are chosen already. */
export function allToggled(chosen: ReadonlySet<string>, shown: readonly Warning[]): ReadonlySet<string> {
  const all = shown.slice(0, MOST_CHOSEN).map((one) => one.id)
  return all.every((id) => chosen.has(id)) ? new Set() : new Set(all)
}

/** Whether a command has anything to do with a warning as it stands. */
export function fits(kind: Kind, one: Warning): boolean {
  const standing = one.operator
  if (!standing) return false
  switch (kind) {
    case 'acknowledge':
      return isUnanswered(standing.state) || standing.suppressed_by === 'past'
    case 'claim':
      return standing.claimed_by === null && standing.state !== 'normal'
    case 'unclaim':
      return standing.claimed_by !== null
    case 'shelve':
      return !isInhibited(standing.state)
    case 'unshelve':
      return standing.shelved !== null
    case 'return-to-service':
      return standing.out_of_service !== null
  }
}

/** A command for those of the chosen that it fits, with the versions that were seen. Null where it fits none. */
export function commandFor(
  kind: Kind, chosen: ReadonlySet<string>, shown: readonly Warning[], why: string, until?: string,
): Command | null {
  const meant = shown.filter((one) => chosen.has(one.id) && fits(kind, one))
  if (meant.length === 0) return null
  const versions = Object.fromEntries(meant.map((one) => [one.id, one.version]))
  return { kind, warnings: meant.map((one) => one.id), versions, ...(why ? { why } : {}), ...(until ? { until } : {}) }
}

/** How many targets were done, and how many were refused. */
export function counted(answer: Answered): { done: number; refused: number } {
  const refused = answer.targets.filter((one) => one.outcome === 'refused').length
  return { done: answer.targets.length - refused, refused }
}
