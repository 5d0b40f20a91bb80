/** The page's state, wired: one entity, its stream, its totals of today and of the period on view. */

import type { InjectionKey } from 'vue'
import { computed, inject, ref, shallowRef, watch } from 'vue'
import { judge } from '../logic/connection'
import type { Span } from '../logic/periods'
import { MINUTE_MS, SECOND_MS, startOf } from '../logic/periods'
import { fetchEntities, fetchFreshness, fetchOverview } from '../wire/calls'
import type { Entity, Freshness, Overview, Total } from '../wire/shapes'
import { parseAddress } from './address'
import { asServer, ownNow, runClock, serverNow } from './clock'
import { recall, remember } from './memory'
import { learn } from './names'
import { atMostEvery, poll } from './poll'
import { useBrowsing } from './browsing'
import { heeding, session } from './session'
import { useStream } from './stream'
import { useTotals } from './totals'
import { useWarnings } from './warnings'

/** What the page opens with when nothing was chosen before: the widest thing an operator watches. */
const FIRST_KINDS = ['park', 'region', 'enterprise', 'site', 'industry', 'domain']

export function createBoard() {
  const entity = shallowRef<Entity | null>(null)
  const nothing = ref(false)
  const overview = shallowRef<Overview | null>(null)
  const freshness = shallowRef<{ of: string; taken: number; told: Freshness } | null>(null)

  const stream = useStream({ total: onTotal, warning: (one) => warnings.apply(one), reread })
  const heed = heeding(stream.tell)
  const warnings = useWarnings(heed)
  const today = useTotals(heed)
  const today_start = computed(() => startOf('day', serverNow()))
  const today_span = computed<Span>(() => ({
    from: startOf('day', today_start.value, -1),
    to: startOf('day', today_start.value, 1),
  }))
  const browsing = useBrowsing(heed, today, today_start)
  const verdict = computed(() => {
    const found = judge(stream.link.value, ownNow.value)
    return { ...found, since: asServer(found.since) }
  })

  async function readFreshness(): Promise<void> {
    const of = entity.value?.id
    if (of === undefined) return
    const answer = await heed(fetchFreshness(of))
    if (answer.ok && entity.value?.id === of) freshness.value = { of, taken: Date.now(), told: answer.value }
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
    void warnings.load()
    freshnessSoon()
    overviewSoon()
  }

  function choose(next: Entity): void {
    learn([next])
    remember('entity', next.id)
    entity.value = next
    freshness.value = null
    stream.open(next.id)
    void today.want({ entity: next.id, grain: 'hour', span: today_span.value })
    void browsing.want(next.id)
    void readFreshness()
  }

  async function find(id: string): Promise<boolean> {
    const answer = await heed(fetchEntities({ q: id, limit: 5 }))
    const found = answer.ok ? answer.value.entities.find((one) => one.id === id) : undefined
    if (found && found.id !== entity.value?.id) choose(found)
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

  function start(): void {
    void first()
    void warnings.load()
    void readOverview()
  }

  /** What failed is tried again, and nothing is asked of an api that does not know us. */
  async function mend(): Promise<void> {
    if (session.value === 'signed-out') return
    if (entity.value === null) return first()
    if (today.progress.value === 'failed') void today.load()
    if (browsing.progress.value === 'failed') void browsing.reload()
    await readFreshness()
  }

  runClock(stream.watch)
  poll(mend, 10 * SECOND_MS)
  poll(async () => {
    if (session.value !== 'signed-out') await Promise.all([readOverview(), warnings.load()])
  }, 30 * SECOND_MS)
  // Figures change without a reading too: a bucket becomes final, a coefficient is published.
  poll(async () => {
    if (session.value !== 'signed-out' && entity.value !== null) reread()
  }, 5 * MINUTE_MS)

  watch(today_start, () => {
    if (entity.value === null) return
    void today.want({ entity: entity.value.id, grain: 'hour', span: today_span.value })
    browsing.newDay()
  })
  watch(session, (now) => {
    if (now === 'signed-out') stream.close()
  })
  addEventListener('hashchange', () => {
    browsing.readAddress()
    const wished = parseAddress(location.hash).entity
    if (wished !== null) void find(wished)
  })

  start()
  return {
    entity, nothing, overview, freshness, verdict, warnings: warnings.list, today, today_start, browsing, heed,
    choose, find, start,
  }
}

export type Board = ReturnType<typeof createBoard>
export const BOARD: InjectionKey<Board> = Symbol('board')

export function useBoard(): Board {
  const board = inject(BOARD)
  if (board === undefined) throw new Error('a component of the board stands outside of it')
  return board
}
