/** Warnings of all that the session may see: active ones first, newest first. */

import { computed, shallowRef } from 'vue'
import { SECOND_MS } from '../logic/periods'
import { mergeWarnings, operated, ordered } from '../logic/warnings'
import { fetchStanding, fetchWarnings } from '../wire/calls'
import type { Operation } from '../wire/operator'
import type { Warning } from '../wire/shapes'
import { lookUp } from './names'
import { atMostEvery } from './poll'
import type { Heed } from './session'

// More active ones than this are a flood that no list helps with; cleared ones are there for the last shift.
const ACTIVE_MOST = 200
const CLEARED_MOST = 30

export function useWarnings(heed: Heed) {
  const held = shallowRef<ReadonlyMap<string, Warning>>(new Map())
  const list = computed(() => ordered([...held.value.values()]))

  function take(news: readonly Warning[]): void {
    held.value = mergeWarnings(held.value, news)
    void lookUp([...new Set(news.map((one) => one.entity))], heed)
  }

  async function load(): Promise<void> {
    const [active, cleared, open] = await Promise.all([
      heed(fetchWarnings('active', ACTIVE_MOST)),
      heed(fetchWarnings('cleared', CLEARED_MOST)),
      heed(fetchStanding('open', ACTIVE_MOST)),
    ])
    if (active.ok && cleared.ok && open.ok) {
      take([...active.value.warnings, ...cleared.value.warnings, ...open.value.warnings])
    }
  }

  const loadSoon = atMostEvery(SECOND_MS, () => void load())

  function operate(told: Operation): void {
    held.value = operated(held.value, told)
    loadSoon()
  }

  return { list, load, apply: (one: Warning): void => take([one]), operate }
}
