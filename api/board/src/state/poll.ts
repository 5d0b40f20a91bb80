/** Asks again and again while the page is open, and at most once at a time. */

import { onScopeDispose } from 'vue'

export function poll(ask: () => Promise<void>, every_ms: number): () => void {
  let busy = false
  const turn = async (): Promise<void> => {
    if (busy) return
    busy = true
    await ask().finally(() => {
      busy = false
    })
  }
  const timer = setInterval(() => void turn(), every_ms)
  onScopeDispose(() => clearInterval(timer))
  return () => void turn()
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
