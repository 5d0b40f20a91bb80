/** The page's calls to the api. The session is a cookie of the same origin; a call that takes too long is given up. */

import type { Answered, Command, Handover, Health } from './operator'
import type { Entities, Freshness, Overview, Totals, Warning } from './shapes'
import type { Grain, Span } from '../logic/periods'
import { iso } from '../logic/periods'

export class SignedOut extends Error {}
export class DatabaseAway extends Error {}
export class CallFailed extends Error {}

// Twice the 3 s within which the standards want a page answered under load.
const GIVE_UP_MS = 6_000

async function call<T>(path: string, query: Record<string, string | undefined> = {}, body?: unknown): Promise<T> {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const search = new URLSearchParams(given).toString()
  const address = search === '' ? path : `${path}?${search}`
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(), GIVE_UP_MS)
  try {
    const asked: RequestInit =
      body === undefined
        ? { headers: { accept: 'application/json' } }
        : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(address, { ...asked, signal: patience.signal })
    if (response.status === 401) throw new SignedOut(address)
    if (response.status === 503) throw new DatabaseAway(address)
    if (!response.ok) throw new CallFailed(`${address}: ${response.status}`)
    return (await response.json()) as T
  } catch (error) {
    if (error instanceof SignedOut || error instanceof DatabaseAway || error instanceof CallFailed) throw error
    throw new CallFailed(`${address}: ${String(error)}`)
  } finally {
    clearTimeout(timer)
  }
}

export const fetchEntities = (query: { kind?: string; q?: string; limit: number }): Promise<Entities> =>
  call('/v1/entities', { kind: query.kind, q: query.q, limit: String(query.limit) })

export const fetchTotals = (entity: string, grain: Grain, span: Span): Promise<Totals> =>
  call('/v1/totals', { entity, grain, from: iso(span.from), to: iso(span.to), indicator: 'all' })

export const fetchWarnings = (state: 'active' | 'cleared', limit: number): Promise<{ warnings: Warning[] }> =>
  call('/v1/warnings', { state, limit: String(limit) })

/** In the operators' order: to be answered first, by priority, by class, the latest first. */
export const fetchStanding = (operator_state: string, limit: number): Promise<{ warnings: Warning[] }> =>
  call('/v1/warnings', { operator_state, limit: String(limit) })

export const fetchHealth = (): Promise<Health> => call('/v1/warnings/health')

export const fetchHandover = (since: string): Promise<Handover> => call('/v1/warnings/handover', { since })

export const fetchOperator = (): Promise<{ operator: string | null }> => call('/v1/operator')

export const sendCommand = (command: Command): Promise<{ id: string }> => call('/v1/warnings/commands', {}, command)

export const fetchAnswers = (): Promise<{ commands: Answered[] }> => call('/v1/warnings/commands', { limit: '50' })

export const fetchFreshness = (entity: string): Promise<Freshness> => call('/v1/freshness', { entity })

export const fetchOverview = (): Promise<Overview> => call('/v1/overview')
