/** The rows of the period on view: what the chart draws and the table lists. */

import type { Bucket } from '../wire/shapes'
import type { Buckets } from './buckets'
import { isEmpty } from './buckets'
import type { Span } from './periods'
import { startOf, starts } from './periods'
import type { View } from './view'
import { counterpart, CUT, spanOfView } from './view'

/** none: nothing read. unknown: a coefficient is missing. open: the bucket is still filling. */
export type RowState = 'none' | 'unknown' | 'open' | 'incomplete' | 'provisional' | 'final'

export interface Row {
  readonly span: Span
  readonly bucket: Bucket | null
  /** The same hour, day or month of the period before. */
  readonly before: Bucket | null
  readonly state: RowState
}

export function stateOf(bucket: Bucket | null, end: number, now: number): RowState {
  if (bucket === null) return 'none'
  if (bucket.co2_kg === null) return 'unknown'
  if (end > now) return 'open'
  if (bucket.readings < bucket.expected) return 'incomplete'
  return bucket.provisional ? 'provisional' : 'final'
}

function filled(held: Buckets, start: number | null): Bucket | null {
  const bucket = start === null ? undefined : held.get(start)
  return bucket === undefined || isEmpty(bucket) ? null : bucket
}

export function rowsOf(view: View, held: Buckets, now: number): Row[] {
  const { grain } = CUT[view.kind]
  return starts(grain, spanOfView(view)).map((start) => {
    const bucket = filled(held, start)
    const end = startOf(grain, start, 1)
    return {
      span: { from: start, to: end },
      bucket,
      before: filled(held, counterpart(view, start)),
      state: stateOf(bucket, end, now),
    }
  })
}
