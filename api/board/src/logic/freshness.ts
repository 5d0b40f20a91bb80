/** How fresh the newest reading and each partition's clock are. */

import { MINUTE_MS, SECOND_MS } from './periods'

/** T/CEPPC 14-2023, 8.6: data are collected within 15 minutes. */
export const AGE_LIMIT_MS = 15 * MINUTE_MS
/** A tick comes every second; a worker that takes a partition over may need 10 s of session time-out and as long again. */
export const TICK_LIMIT_MS = 30 * SECOND_MS

export type Freshness = 'none' | 'ok' | 'late' | 'disconnected'

/** `disconnected`: the age goes on by our own clock, so it is an upper bound and no measurement. */
export function freshnessOf(age_ms: number | null, disconnected: boolean): Freshness {
  if (disconnected) return 'disconnected'
  if (age_ms === null) return 'none'
  return age_ms > AGE_LIMIT_MS ? 'late' : 'ok'
}

/** Ages as told, and grown since they were. */
export const grown = (told_s: number | null, since_ms: number): number | null =>
  told_s === null ? null : told_s * SECOND_MS + Math.max(0, since_ms)

export function tickOf(age_ms: number | null): 'ok' | 'late' | 'none' {
  if (age_ms === null) return 'none'
  return age_ms > TICK_LIMIT_MS ? 'late' : 'ok'
}
