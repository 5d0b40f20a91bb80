/** When the page asks: at intervals, and at most so often. */

import { onScopeDispose } from 'vue'
import { session } from './session'

/** Asks again and again while the page is seen and signed in, and at most once at a time. */
export function poll(ask: () => Promise<unknown>, every_ms: number): void {
  let busy = false
  const timer = setInterval(() => {
    if (busy || document.hidden || session.value === 'signed-out') return
    busy = true
    void ask().finally(() => {
      busy = false
    })
  }, every_ms)
  onScopeDispose(() => clearInterval(timer))
}

/** At once when idle, then at most once in `gap_ms`; the last call is never lost. */
export function atMostEvery(gap_ms: number, act: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let again = false
  const fire = (): void => {
    again = false
    act()
    timer = setTimeout(() => {
      timer = undefined
      if (again) fire()
    }, gap_ms)
  }
  onScopeDispose(() => clearTimeout(timer))
  return () => {
    if (timer === undefined) fire()
    else again = true
  }
}
