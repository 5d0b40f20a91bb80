/** What the api sends of operators and takes from them. */

import type { Priority, Severity } from './shapes'

export type OperatorState =
  | 'normal'
  | 'active-unacked'
  | 'active-acked'
  | 'cleared-unacked'
  | 'shelved'
  | 'suppressed'
  | 'out-of-service'

/** How far the enterprise's answer is. */
export type AnswerStage = 'awaited' | 'received' | 'explained' | 'acting' | 'disputed' | 'closed'

/** How a warning stands with the operators (ISA-18.2). */
export interface Standing {
  state: OperatorState
  change: number
  annunciated: boolean
  priority: Priority
  since: string
  claimed_by: string | null
  shelved: { by: string; why: string; until: string; remind_at: string | null; reminded: boolean } | null
  out_of_service: { by: string; why: string } | null
  suppressed_by: string | null
}

/** One change of it, from the stream or of a hand-over. */
export interface Operation {
  operation: string
  warning: string
  change: number
  from_state: OperatorState
  to_state: OperatorState
  at: string
  by: string | null
  why: string
}

export interface Load {
  annunciated: number
  rate_mean: number
  rate_max: number
  verdict: 'acceptable' | 'manageable' | 'too much'
  floods: { start: string; end: string; annunciated: number }[]
  chattering: string[]
  priority_percent: Record<Priority, number>
}

export interface Health {
  operator_positions: number
  spans: Record<'hour' | 'day' | '30 days', Load>
  stale_count: number
  states: Partial<Record<OperatorState, number>>
}

export interface StandingOf extends Standing {
  id: string
  entity: string
  rule: string
  severity: Severity
}

export interface Handover {
  since: string
  counts: Partial<Record<OperatorState, number>>
  past: number
  open: StandingOf[]
  shelved: StandingOf[]
  suppressed: StandingOf[]
  out_of_service: StandingOf[]
  changed: Operation[]
  changed_counts: Record<string, number>
}

export interface Command {
  kind: 'acknowledge' | 'claim' | 'unclaim' | 'shelve' | 'unshelve' | 'return-to-service'
  warnings: string[]
  versions: Record<string, number>
  why?: string
  until?: string
}

export interface Answered {
  id: string
  outcome: 'applied' | 'partly' | 'refused' | 'unreadable'
  targets: { target: string; outcome: 'applied' | 'unchanged' | 'refused'; reason: string | null }[]
}
