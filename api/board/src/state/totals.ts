/** Totals of one entity, grain and span: read by a call, kept up by the stream. */

import { shallowRef } from 'vue'
import type { Buckets } from '../logic/buckets'
import { applyTotal, byStart } from '../logic/buckets'
import type { Grain, Span } from '../logic/periods'
import { fetchTotals } from '../wire/calls'
import type { Total } from '../wire/shapes'
import type { Heed } from './session'

export type Progress = 'loading' | 'ready' | 'failed'

export interface Wanted {
  readonly entity: string
  readonly grain: Grain
  readonly span: Span
}

export function useTotals(heed: Heed) {
  const held = shallowRef<Buckets>(new Map())
  const progress = shallowRef<Progress>('loading')
  let wanted: Wanted | null = null
  let asked = 0
  let streamed = false
  /** What came while a call was under way is applied after it: the call may have read before it. */
  let meanwhile: Total[] | null = null

  async function load(): Promise<void> {
    if (wanted === null) return
    const turn = ++asked
    meanwhile = []
    const answer = await heed(fetchTotals(wanted.entity, wanted.grain, wanted.span))
    if (turn !== asked) return
    const since = meanwhile
    meanwhile = null
    if (!answer.ok) {
      progress.value = 'failed'
      return
    }
    held.value = byStart(answer.value.buckets)
    progress.value = 'ready'
    since.forEach(apply)
  }

  /** From now on these totals are meant; `load` reads them. An answer still under way is for nobody. */
  function aim(next: Wanted): void {
    wanted = next
    asked += 1
    meanwhile = null
    held.value = new Map()
    progress.value = 'loading'
    streamed = false
  }

  function apply(total: Total): void {
    if (wanted === null || total.entity !== wanted.entity || total.grain !== wanted.grain) return
    streamed = true
    meanwhile?.push(total)
    held.value = applyTotal(held.value, total, wanted.span)
  }

  /** A finer total tells that ours has moved too, where ours are not streamed: a site has no days of its own. */
  const outdatedBy = (total: Total): boolean =>
    wanted !== null &&
    !streamed &&
    total.entity === wanted.entity &&
    total.grain !== wanted.grain &&
    total.bucket_ms >= wanted.span.from &&
    total.bucket_ms < wanted.span.to

  return { held, progress, load, aim, apply, outdatedBy }
}
