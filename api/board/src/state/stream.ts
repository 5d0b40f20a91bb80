/** The event stream of one entity: reopened by the browser, or by us where the browser gives up. */

import { shallowRef } from 'vue'
import type { Event, Link } from '../logic/connection'
import { STALE_AFTER_MS, step, unopened } from '../logic/connection'
import { SECOND_MS } from '../logic/periods'
import type { Heartbeat, Total, Warning } from '../wire/shapes'
import { setServerClock } from './clock'

export interface Hearers {
  total: (total: Total) => void
  warning: (warning: Warning) => void
  /** Events may have been missed: read everything again. */
  reread: () => void
}

const REOPEN_FIRST_MS = SECOND_MS
const REOPEN_MOST_MS = 15 * SECOND_MS

export function useStream(hearers: Hearers) {
  const link = shallowRef<Link>(unopened(Date.now()))
  let source: EventSource | null = null
  let entity = ''
  let pause_ms = REOPEN_FIRST_MS
  let timer: ReturnType<typeof setTimeout> | undefined
  let opened_before = false

  const tell = (event: Event): void => {
    link.value = step(link.value, event, Date.now())
  }

  function hear<T>(name: string, act: (content: T) => void): void {
    source?.addEventListener(name, (event) => {
      tell({ kind: 'heard' })
      act(JSON.parse((event as MessageEvent<string>).data) as T)
    })
  }

  function connect(): void {
    clearTimeout(timer)
    source?.close()
    tell({ kind: 'opening' })
    const opening = new EventSource(`/v1/stream?${new URLSearchParams({ topics: 'totals,warnings', entity }).toString()}`)
    source = opening
    let first = true
    opening.addEventListener('open', () => {
      tell({ kind: 'open' })
      pause_ms = REOPEN_FIRST_MS
      // The browser's own reopening sends Last-Event-ID and misses nothing; a source of ours starts from now.
      if (first && opened_before) hearers.reread()
      first = false
      opened_before = true
    })
    opening.addEventListener('error', () => {
      tell({ kind: 'lost' })
      if (opening.readyState === EventSource.CLOSED) reopenLater()
    })
    hear<Heartbeat>('heartbeat', (beat) => {
      setServerClock(beat.now)
      tell({ kind: 'beat', kafka: beat.kafka })
    })
    hear<Total>('total', hearers.total)
    hear<Warning>('warning', hearers.warning)
    hear<unknown>('reset', hearers.reread)
  }

  function reopenLater(): void {
    clearTimeout(timer)
    timer = setTimeout(connect, pause_ms)
    pause_ms = Math.min(pause_ms * 2, REOPEN_MOST_MS)
  }

  /** A socket can hang without an error, as when a firewall forgets it: after twice the silence it is opened anew. */
  function watch(): void {
    const { heard, socket, socket_since } = link.value
    const silent = Date.now() - Math.max(heard ?? 0, socket_since)
    if (socket !== 'lost' && silent >= 2 * STALE_AFTER_MS) {
      tell({ kind: 'lost' })
      reopenLater()
    }
  }

  function open(of: string): void {
    entity = of
    opened_before = false
    link.value = unopened(Date.now())
    connect()
  }

  function close(): void {
    clearTimeout(timer)
    source?.close()
  }

  return { link, tell, open, close, watch }
}
