/** What the api sends. Figures are exact decimal strings; null means unknown, never zero. */

import type { Grain } from '../logic/periods'
import type { AnswerStage, Standing } from './operator'

export type DecimalText = string

export interface Entity {
  id: string
  kind: string
  name_zh: string
  name_en: string
}

export interface Entities {
  entities: Entity[]
  next: string | null
}

export interface Quantity {
  value: DecimalText
  unit: string
  estimated: DecimalText
}

export interface Figures {
  readings: number
  expected: number
  completeness: number | null
  quantity: Record<string, Quantity>
  co2_kg: DecimalText | null
  kgce: DecimalText | null
  /** Carriers without a CO2 coefficient, and those without a calorific one. */
  missing_coefficients: string[]
  missing_calorific: string[]
  provisional: boolean
}

export interface Bucket extends Figures {
  bucket: string
}

export interface Coefficient {
  id: number
  carrier: string
  scope: string
  month: string
  value: DecimalText
  unit: string
  document: string
  data_year: number | null
  published_at: string
  carried_months_max: number
}

export interface Totals {
  entity: string
  grain: Grain
  as_of: string | null
  buckets: Bucket[]
  sum: Figures
  coefficients: Coefficient[]
}

export interface CarrierTotal {
  carrier: string
  class: number
  unit: string
  quantity: DecimalText
  estimated: DecimalText
  readings: number
  co2_kg: DecimalText | null
  kgce: DecimalText | null
}

/** An absolute total from the stream: it replaces what was known of its entity, grain and bucket. */
export interface Total {
  entity: string
  grain: 'hour' | 'day' | 'month'
  bucket: string
  bucket_ms: number
  readings: number
  expected: number
  completeness: number | null
  provisional: boolean
  co2_kg: DecimalText | null
  kgce: DecimalText | null
  carriers: CarrierTotal[]
  computed: number
}

export type Severity = 'alarm' | 'alert' | 'notice'
export type Priority = 'high' | 'medium' | 'low'

/** Of a warning rule, what the operator needs to answer. */
export interface RuleDefinition {
  owner: string
  cause: string
  consequence: string
  action: string
  respond_s: number
}

export interface Warning {
  id: string
  version: number
  rule: string
  entity: string
  /** co2, energy, or of rule consistency an indicator that its snapshot names. */
  indicator: string
  period: string
  level: DecimalText | null
  severity: Severity
  /** Of its rule; null: it is switched off now. */
  priority?: Priority | null
  state: 'active' | 'cleared'
  bucket: string
  backfill: boolean
  /** Of all that it keeps, what the page shows. */
  snapshot: {
    total?: DecimalText | null
    target?: { value: DecimalText }
    /** Of plan-to-date: the target's share up to the day judged. */
    plan?: DecimalText | null
    /** Of consistency: the indicator's names. */
    name_zh?: string
    name_en?: string
    /** Of common-cause: the source that failed; of restatement: the document that restated. */
    cause?: string
    document?: string
    /** The rule that judged; null: it is switched off now. */
    definition?: RuleDefinition | null
  }
  changed_at: string
  /** Not in streamed changes; null until it was laid before the operators. */
  operator?: Standing | null
  /** Of the enterprise; overdue: the next step's deadline is over. */
  answer?: { state: AnswerStage; overdue: boolean } | null
  /** Folded into it, as they have the same cause. */
  children?: number
}

export interface Freshness {
  newest_end: string | null
  age_s: number | null
  readings_today: number
  expected_today: number
  completeness_today: number | null
  partitions: { partition: number; tick_age_s: number | null }[]
  live_meters: number
}

export interface Share {
  entity: string
  name_zh: string
  name_en: string
  co2_kg: DecimalText | null
}

export interface Overview {
  by_industry: Share[]
  by_enterprise: Share[]
}

export interface Heartbeat {
  /** The server's clock, UTC ms. */
  now: number
  kafka: 'up' | 'away'
}
