/** What every call tells besides its answer: whether we are signed in and whether the database answers. */

import { ref } from 'vue'
import type { Event } from '../logic/connection'
import { DatabaseAway, SignedOut } from '../wire/calls'

export const session = ref<'unknown' | 'open' | 'signed-out'>('unknown')

export type Outcome<T> = { ok: true; value: T } | { ok: false }

export type Heed = <T>(call: Promise<T>) => Promise<Outcome<T>>

/** Makes the one function through which all calls go; `tell` hears of the database coming and going. */
export function heeding(tell: (event: Event) => void): Heed {
  return async (call) => {
    try {
      const value = await call
      session.value = 'open'
      tell({ kind: 'database-back' })
      return { ok: true, value }
    } catch (error) {
      if (error instanceof SignedOut) session.value = 'signed-out'
      else if (error instanceof DatabaseAway) tell({ kind: 'database-away' })
      return { ok: false }
    }
  }
}
