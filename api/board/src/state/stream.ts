/** One event stream: reopened by the browser, or by us where the browser gives up. */

import { shallowRef } from 'vue'
import type { Event, Link } from '../logic/connection'
import { STALE_AFTER_MS, step, unopened } from '../logic/connection'
import { SECOND_MS } from '../logic/periods'
import type { Heartbeat } from '../wire/shapes'
import { setServerClock } from './clock'

export interface Hearers {
  /** By the name of the event. */
  readonly events: Readonly<Record<string, (content: unknown) => void>>
  /** Events may have been missed: read everything again. */
  readonly reread: () => void
}

const REOPEN_FIRST_MS = SECOND_MS
const REOPEN_MOST_MS = 15 * SECOND_MS
// Without a stream the page still shows what the calls answer.
const WAIT_MOST_MS = 1_500

export function useStream(hearers: Hearers) {
  const link = shallowRef<Link>(unopened(Date.now()))
  let source: EventSource | null = null
  let query: Record<string, string> = {}
  let pause_ms = REOPEN_FIRST_MS
  let reopening: ReturnType<typeof setTimeout> | undefined
  /** The page's calls have begun, so what came before the first beat may be missing from them. */
  let reading = false
  let ready: () => void = () => undefined

  const tell = (event: Event): void => {
    link.value = step(link.value, event, Date.now())
  }

  function connect(): void {
    clearTimeout(reopening)
    source?.close()
    tell({ kind: 'opening' })
    const opening = new EventSource(`/v1/stream?${new URLSearchParams(query).toString()}`)
    source = opening
    let first = true
    opening.addEventListener('open', () => {
      tell({ kind: 'open' })
      pause_ms = REOPEN_FIRST_MS
    })
    opening.addEventListener('error', () => {
      tell({ kind: 'lost' })
      if (opening.readyState === EventSource.CLOSED) reopenLater()
    })
    const hear = (name: string, act: (content: unknown) => void): void =>
      opening.addEventListener(name, (event) => {
        tell({ kind: 'heard' })
        act(JSON.parse((event as MessageEvent<string>).data))
      })
    hear('heartbeat', (content) => {
      const beat = content as Heartbeat
      setServerClock(beat.now)
      tell({ kind: 'beat', kafka: beat.kafka })
      // The browser's own reopening sends Last-Event-ID and misses nothing; a source of ours starts from its first beat.
      if (first && reading) hearers.reread()
      first = false
      ready()
    })
    hear('reset', hearers.reread)
    for (const [name, act] of Object.entries(hearers.events)) hear(name, act)
  }

  function reopenLater(): void {
    clearTimeout(reopening)
    reopening = setTimeout(connect, pause_ms)
    pause_ms = Math.min(pause_ms * 2, REOPEN_MOST_MS)
  }

  /** A socket can hang without an error, as when a firewall forgets it: after twice the silence it is opened anew. */
  function watch(): void {
    const { heard, socket, socket_since } = link.value
    const silent = Date.now() - Math.max(heard ?? 0, socket_since)
    if (source !== null && socket !== 'lost' && silent >= 2 * STALE_AFTER_MS) {
      tell({ kind: 'lost' })
      reopenLater()
    }
  }

  /** Resolves at the first beat: what is read after it and what is streamed leave no gap. */
  function open(asked: Record<string, string>): Promise<void> {
    query = asked
    reading = false
    link.value = unopened(Date.now())
    const first_beat = new Promise<void>((resolve) => {
      const begin = (): void => {
        clearTimeout(patience)
        reading = true
        resolve()
      }
      const patience = setTimeout(begin, WAIT_MOST_MS)
      ready = begin
    })
    connect()
    return first_beat
  }

  function close(): void {
    clearTimeout(reopening)
    source?.close()
    source = null
  }

  return { link, tell, open, close, watch }
}
