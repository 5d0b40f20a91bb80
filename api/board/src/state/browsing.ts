/** The period on view and its totals. Today by hours shares the totals of the live figure, so the two never differ. */

import type { ComputedRef } from 'vue'
import { computed, shallowRef, watch } from 'vue'
import { SECOND_MS } from '../logic/periods'
import type { View, ViewKind } from '../logic/view'
import { CUT, holdsNewest, spanBefore, spanOfView, stepView, viewAt } from '../logic/view'
import type { Total } from '../wire/shapes'
import { addressText, parseAddress } from './address'
import { serverNow } from './clock'
import { atMostEvery } from './poll'
import type { Heed } from './session'
import type { useTotals } from './totals'
import { useTotals as makeTotals } from './totals'

type TodayTotals = ReturnType<typeof useTotals>

export function useBrowsing(heed: Heed, today: TodayTotals, today_start: ComputedRef<number>) {
  const own = makeTotals(heed)
  const opened = parseAddress(location.hash)
  const view = shallowRef<View>(opened.view ?? viewAt(opened.kind, serverNow()))
  /** The view moves on with the days until the operator goes to another period. */
  const following = shallowRef(opened.view === null)
  let entity: string | null = null

  const is_today = computed(() => view.value.kind === 'day-hours' && view.value.start === today_start.value)
  const held = computed(() => (is_today.value ? today.held.value : own.held.value))
  const progress = computed(() => (is_today.value ? today.progress.value : own.progress.value))
  const reloadSoon = atMostEvery(15 * SECOND_MS, () => void own.load())

  function aim(): void {
    if (entity === null || is_today.value) return
    const span = { from: spanBefore(view.value).from, to: spanOfView(view.value).to }
    own.aim({ entity, grain: CUT[view.value.kind].grain, span })
  }

  const reload = (): Promise<void> => (is_today.value ? Promise.resolve() : own.load())

  function go(next: View): void {
    view.value = next
    following.value = viewAt(next.kind, serverNow()).start === next.start
  }

  watch([view, following], ([next, follow], [before]) => {
    if (entity !== null) history.replaceState(null, '', addressText(entity, next, follow))
    if (next === before) return
    aim()
    void reload()
  })

  return {
    view, held, progress, following, is_today,
    go,
    step: (steps: number): void => go(stepView(view.value, steps)),
    /** Another cut keeps the place: from a year to its first month, from a day to its month. */
    cut: (kind: ViewKind): void => go(viewAt(kind, following.value ? serverNow() : view.value.start)),
    now: (): void => go(viewAt(view.value.kind, serverNow())),
    newest: (newest_end: number): void => go(viewAt(view.value.kind, holdsNewest(newest_end))),
    aim(of: string): void {
      entity = of
      history.replaceState(null, '', addressText(of, view.value, following.value))
      aim()
    },
    reload,
    newDay(): void {
      if (following.value) view.value = viewAt(view.value.kind, serverNow())
    },
    readAddress(): void {
      const address = parseAddress(location.hash)
      go(address.view ?? viewAt(address.kind, serverNow()))
    },
    apply(total: Total): void {
      if (is_today.value) return
      own.apply(total)
      if (own.outdatedBy(total)) reloadSoon()
    },
  }
}
