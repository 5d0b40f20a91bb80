/** Totals by the start of their bucket: filled by a call, then kept up by the stream. */

import type { Bucket, CarrierTotal, DecimalText, Figures, Quantity, Total } from '../wire/shapes'
import type { Decimal } from './decimal'
import { add, decimal, sum, text } from './decimal'
import type { Span } from './periods'

export type Buckets = ReadonlyMap<number, Bucket>

export function byStart(list: readonly Bucket[]): Buckets {
  return new Map(list.map((bucket) => [Date.parse(bucket.bucket), bucket]))
}

const plain = (value: Decimal): DecimalText => text(value).replace(/,/g, '')
const plus = (a: DecimalText, b: DecimalText): DecimalText => plain(add(decimal(a), decimal(b)))

function addQuantity(into: Record<string, Quantity>, carrier: string, more: Quantity): void {
  const held = into[carrier]
  into[carrier] = held
    ? { unit: held.unit, value: plus(held.value, more.value), estimated: plus(held.estimated, more.estimated) }
    : more
}

/** A carrier stands once for each class of sites in a streamed total; the page shows their sum. */
function quantities(carriers: readonly CarrierTotal[]): Record<string, Quantity> {
  const result: Record<string, Quantity> = {}
  for (const one of carriers) {
    addQuantity(result, one.carrier, { unit: one.unit, value: one.quantity, estimated: one.estimated })
  }
  return result
}

/** A streamed total as a bucket. */
export function fromTotal(total: Total): Bucket {
  const lacking = (key: 'co2_kg' | 'kgce'): string[] => [
    ...new Set(total.carriers.filter((one) => one[key] === null).map((one) => one.carrier)),
  ]
  return {
    bucket: total.bucket,
    readings: total.readings,
    expected: total.expected,
    completeness: total.completeness,
    quantity: quantities(total.carriers),
    co2_kg: total.co2_kg,
    kgce: total.kgce,
    missing_coefficients: lacking('co2_kg'),
    missing_calorific: lacking('kgce'),
    provisional: total.provisional,
  }
}

/** The same map if `total` is none of its business. */
export function applyTotal(held: Buckets, total: Total, span: Span): Buckets {
  if (total.bucket_ms < span.from || total.bucket_ms >= span.to) return held
  return new Map(held).set(total.bucket_ms, fromTotal(total))
}

/** An hour to come, or one in which nothing was read: no part of a sum, and no gap in it either. */
export function isEmpty(bucket: Figures): boolean {
  return bucket.readings === 0 && Object.values(bucket.quantity).every((one) => decimal(one.value).units === 0n)
}

function within(held: Buckets, span: Span): Bucket[] {
  const inside = [...held].filter(([start]) => start >= span.from && start < span.to)
  return inside.map(([, bucket]) => bucket).filter((bucket) => !isEmpty(bucket))
}

const known = (list: readonly Bucket[], key: 'co2_kg' | 'kgce'): DecimalText[] =>
  list.map((bucket) => bucket[key]).filter((value) => value !== null)

function sumOrNull(list: readonly Bucket[], key: 'co2_kg' | 'kgce'): DecimalText | null {
  const parts = known(list, key)
  return parts.length < list.length ? null : plain(sum(parts.map(decimal)))
}

/** Sum of the buckets in `span`; null where any of them is unknown, and null if all are empty. */
export function sumOf(held: Buckets, span: Span): Figures | null {
  const list = within(held, span)
  if (list.length === 0) return null
  const quantity: Record<string, Quantity> = {}
  for (const bucket of list) {
    for (const [carrier, more] of Object.entries(bucket.quantity)) addQuantity(quantity, carrier, more)
  }
  const readings = list.reduce((count, bucket) => count + bucket.readings, 0)
  const expected = list.reduce((count, bucket) => count + bucket.expected, 0)
  return {
    readings,
    expected,
    completeness: expected > 0 ? readings / expected : null,
    quantity,
    co2_kg: sumOrNull(list, 'co2_kg'),
    kgce: sumOrNull(list, 'kgce'),
    missing_coefficients: [...new Set(list.flatMap((bucket) => bucket.missing_coefficients))],
    missing_calorific: [...new Set(list.flatMap((bucket) => bucket.missing_calorific))],
    provisional: list.some((bucket) => bucket.provisional),
  }
}

/** What is known of a sum that has gaps: a lower bound, shown as one. */
export function knownPart(held: Buckets, span: Span): DecimalText {
  return plain(sum(known(within(held, span), 'co2_kg').map(decimal)))
}
