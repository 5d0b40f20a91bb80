/** The freshness of the entity on view, its ages grown since they were told. */

import { computed } from 'vue'
import { freshnessOf, grown } from '../logic/freshness'
import type { Board } from './board'
import { ownNow } from './clock'

export function useAge(board: Board) {
  const told = computed(() => board.freshness.value?.told ?? null)
  const since = computed(() => ownNow.value - (board.freshness.value?.taken ?? ownNow.value))
  const age_ms = computed(() => grown(told.value?.age_s ?? null, since.value))
  const newest = computed(() => (told.value?.newest_end ? Date.parse(told.value.newest_end) : null))
  const state = computed(() => freshnessOf(age_ms.value, board.verdict.value.stale))
  return { told, since, age_ms, newest, state }
}
