/** Whether the figures on the page are live: a pure function of what the stream and the calls have shown. */

/** The api beats every few seconds; two lost beats and a late third mean that it, or the way to it, is gone. */
export const STALE_AFTER_MS = 25_000

export type Status = 'connecting' | 'live' | 'reconnecting' | 'stale' | 'kafka-away' | 'database-away'

export interface Link {
  readonly socket: 'opening' | 'open' | 'lost'
  /** When the socket came into this state. */
  readonly socket_since: number
  /** When anything last came over the stream; null before the first. */
  readonly heard: number | null
  readonly kafka_away_since: number | null
  readonly database_away_since: number | null
}

export interface Verdict {
  readonly status: Status
  readonly since: number
  /** The figures must not be taken for live. */
  readonly stale: boolean
}

export type Event =
  | { readonly kind: 'opening' | 'open' | 'lost' | 'heard' | 'database-away' | 'database-back' }
  | { readonly kind: 'beat'; readonly kafka: 'up' | 'away' }

export const unopened = (now: number): Link => ({
  socket: 'opening',
  socket_since: now,
  heard: null,
  kafka_away_since: null,
  database_away_since: null,
})

export function step(link: Link, event: Event, now: number): Link {
  switch (event.kind) {
    case 'opening':
      // A first opening after a loss is still the same loss to the one who waits.
      return link.socket === 'lost' ? link : { ...link, socket: 'opening', socket_since: now }
    case 'open':
      return { ...link, socket: 'open', socket_since: now, heard: now }
    case 'lost':
      return link.socket === 'lost' ? link : { ...link, socket: 'lost', socket_since: now }
    case 'heard':
      return { ...link, heard: now }
    case 'beat': {
      const away = event.kafka === 'away' ? (link.kafka_away_since ?? now) : null
      return { ...link, heard: now, kafka_away_since: away }
    }
    case 'database-away':
      return { ...link, database_away_since: link.database_away_since ?? now }
    case 'database-back':
      return { ...link, database_away_since: null }
  }
}

export function judge(link: Link, now: number): Verdict {
  const silent = link.heard === null ? now - link.socket_since : now - link.heard
  const stale = silent >= STALE_AFTER_MS
  if (link.socket === 'lost') return { status: 'reconnecting', since: link.socket_since, stale }
  if (stale) return { status: 'stale', since: link.heard ?? link.socket_since, stale }
  if (link.database_away_since !== null) {
    return { status: 'database-away', since: link.database_away_since, stale: true }
  }
  if (link.kafka_away_since !== null) return { status: 'kafka-away', since: link.kafka_away_since, stale: true }
  if (link.socket === 'opening') return { status: 'connecting', since: link.socket_since, stale }
  return { status: 'live', since: link.socket_since, stale: false }
}
