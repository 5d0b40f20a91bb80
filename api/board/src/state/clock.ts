/** The wall clock of the page: the server's, told by its heartbeats, so that a desk's wrong clock changes no figure. */

import { onScopeDispose, ref } from 'vue'
import { SECOND_MS } from '../logic/periods'

const ahead_ms = ref(0)
const own = ref(Date.now())

/** This machine's clock: only for spans of time. */
export const ownNow = own

/** A moment of this machine's clock as the server's. */
export const asServer = (own_ms: number): number => own_ms + ahead_ms.value

/** Server time now; moves once a second. */
export const serverNow = (): number => asServer(own.value)

export function setServerClock(now: number): void {
  ahead_ms.value = now - Date.now()
}

export function runClock(each: () => void): void {
  const timer = setInterval(() => {
    own.value = Date.now()
    each()
  }, SECOND_MS)
  onScopeDispose(() => clearInterval(timer))
}
