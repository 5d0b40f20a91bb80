/** The page's state, wired: one entity, its stream, its totals of today and of the period on view. */

import type { InjectionKey } from 'vue'
import { computed, inject, ref, shallowRef, watch } from 'vue'
import { MINUTE_MS, SECOND_MS, startOf } from '../logic/periods'
import { fetchEntities, fetchFreshness, fetchOverview } from '../wire/calls'
import type { Entity, Freshness, Overview, Total } from '../wire/shapes'
import { parseAddress } from './address'
import { useBrowsing } from './browsing'
import { runClock, serverNow } from './clock'
import { useDesk } from './desk'
import { recall, remember } from './memory'
import { learn } from './names'
import { atMostEvery, poll } from './poll'
import { heeding, session } from './session'
import { useStreams } from './streams'
import { useTotals } from './totals'
import { useWarnings } from './warnings'

/** What the page opens with when nothing was chosen before: the widest thing that an operator watches. */
const FIRST_KINDS = ['park', 'enterprise', 'site', 'region']

export function createBoard() {
  const entity = shallowRef<Entity | null>(null)
  const nothing = ref(false)
  const overview = shallowRef<Overview | null>(null)
  const freshness = shallowRef<{ taken: number; told: Freshness } | null>(null)

  const streams = useStreams({
    total: onTotal,
    warning: (one) => warnings.apply(one),
    operation: (one) => {
      warnings.operate(one)
      desk.hear()
    },
    rereadTotals: reread,
    rereadWarnings: () => void warnings.load(),
  })
  const heed = heeding(streams.tell)
  const warnings = useWarnings(heed)
  const desk = useDesk(heed)
  const today = useTotals(heed)
  const today_start = computed(() => startOf('day', serverNow()))
  const browsing = useBrowsing(heed, today, today_start)

  async function readFreshness(): Promise<void> {
    const of = entity.value
    if (of === null) return
    const answer = await heed(fetchFreshness(of.id))
    if (answer.ok && entity.value === of) freshness.value = { taken: Date.now(), told: answer.value }
  }

  async function readOverview(): Promise<void> {
    const answer = await heed(fetchOverview())
    if (!answer.ok) return
    overview.value = answer.value
    learn([...answer.value.by_enterprise, ...answer.value.by_industry].map((one) => ({ ...one, id: one.entity })))
  }

  const freshnessSoon = atMostEvery(2 * SECOND_MS, () => void readFreshness())
  const overviewSoon = atMostEvery(10 * SECOND_MS, () => void readOverview())

  function onTotal(total: Total): void {
    today.apply(total)
    browsing.apply(total)
    freshnessSoon()
    overviewSoon()
  }

  function reread(): void {
    void today.load()
    void browsing.reload()
    freshnessSoon()
    overviewSoon()
  }

  function aimToday(of: Entity): void {
    const span = { from: startOf('day', today_start.value, -1), to: startOf('day', today_start.value, 1) }
    today.aim({ entity: of.id, grain: 'hour', span })
  }

  async function choose(next: Entity): Promise<void> {
    learn([next])
    remember('entity', next.id)
    entity.value = next
    freshness.value = null
    aimToday(next)
    browsing.aim(next.id)
    void readFreshness()
    await streams.open(next.id)
    if (entity.value !== next) return
    void today.load()
    void browsing.reload()
  }

  async function find(id: string): Promise<boolean> {
    if (id === entity.value?.id) return true
    const answer = await heed(fetchEntities({ q: id, limit: 50 }))
    const found = answer.ok ? answer.value.entities.find((one) => one.id === id) : undefined
    if (found) void choose(found)
    return found !== undefined
  }

  async function first(): Promise<void> {
    const wished = parseAddress(location.hash).entity ?? recall('entity')
    if (wished !== null && (await find(wished))) return
    for (const kind of FIRST_KINDS) {
      const answer = await heed(fetchEntities({ kind, limit: 1 }))
      if (!answer.ok) return
      const [found] = answer.value.entities
      if (found) return choose(found)
    }
    nothing.value = true
  }

  /** What failed is tried again. */
  async function mend(): Promise<void> {
    if (entity.value === null) return first()
    if (today.progress.value === 'failed') void today.load()
    if (browsing.progress.value === 'failed') void browsing.reload()
    await readFreshness()
  }

  runClock(streams.watch)
  poll(mend, 10 * SECOND_MS)
  poll(() => Promise.all([readOverview(), warnings.load()]), 30 * SECOND_MS)
  // Figures change without a reading too: a bucket becomes final, a coefficient is published.
  poll(() => Promise.all([today.load(), browsing.reload()]), 5 * MINUTE_MS)

  watch(today_start, () => {
    if (entity.value === null) return
    aimToday(entity.value)
    void today.load()
    browsing.newDay()
  })
  watch(session, (now) => {
    if (now === 'signed-out') streams.close()
  })
  watch(entity, () => {
    nothing.value = false
  })
  addEventListener('hashchange', () => {
    browsing.readAddress()
    const wished = parseAddress(location.hash).entity
    if (wished !== null) void find(wished)
  })

  void first()
  void readOverview()
  return {
    entity, nothing, overview, freshness, verdict: streams.verdict, warnings: warnings.list, desk, today, today_start, browsing,
    heed, choose, find,
  }
}

export type Board = ReturnType<typeof createBoard>
export const BOARD: InjectionKey<Board> = Symbol('board')

export function useBoard(): Board {
  const board = inject(BOARD)
  if (board === undefined) throw new Error('a component of the board stands outside of it')
  return board
}
