/** The period on view: a day by hours, a month by days, a year by months or by days. */

import type { Span } from './periods'
import { dateText, local, localDay, spanOf, startOf, two } from './periods'

export const VIEWS = ['day-hours', 'month-days', 'year-months', 'year-days'] as const
export type ViewKind = (typeof VIEWS)[number]

/** period: what is browsed; grain: into what it is cut. */
export const CUT: Readonly<Record<ViewKind, { period: 'day' | 'month' | 'year'; grain: 'hour' | 'day' | 'month' }>> = {
  'day-hours': { period: 'day', grain: 'hour' },
  'month-days': { period: 'month', grain: 'day' },
  'year-months': { period: 'year', grain: 'month' },
  'year-days': { period: 'year', grain: 'day' },
}

export interface View {
  readonly kind: ViewKind
  /** Start of the period, UTC ms. */
  readonly start: number
}

export const viewAt = (kind: ViewKind, ms: number): View => ({ kind, start: startOf(CUT[kind].period, ms) })

export const spanOfView = (view: View): Span => spanOf(CUT[view.kind].period, view.start)

/** The period before, drawn behind it. */
export const spanBefore = (view: View): Span => ({
  from: startOf(CUT[view.kind].period, view.start, -1),
  to: view.start,
})

export const stepView = (view: View, steps: number): View => ({
  kind: view.kind,
  start: startOf(CUT[view.kind].period, view.start, steps),
})

/**
 * The bucket of the period before that stands behind `start`: the same hour, day or month by its number. Null where
 * there is none (March 30 has no counterpart in February).
 */
export function counterpart(view: View, start: number): number | null {
  const { period } = CUT[view.kind]
  const before = startOf(period, view.start, -1)
  if (period === 'day') return before + (start - view.start)
  const at = local(start)
  const { year, month } = period === 'month' ? local(before) : { year: local(before).year, month: at.month }
  const other = localDay(year, month, at.day)
  return local(other).month === month ? other : null
}

/** '2024', '2024-03' or '2024-03-05': how a view stands in the page's address. */
export function periodText(view: View): string {
  const { year, month } = local(view.start)
  const { period } = CUT[view.kind]
  return period === 'year' ? String(year) : period === 'month' ? `${year}-${two(month)}` : dateText(view.start)
}

const PERIOD = /^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?$/

/** Null for anything that is no period since 2000, before which no reading is accepted. */
export function parsePeriod(kind: ViewKind, given: string): View | null {
  const match = PERIOD.exec(given)
  if (match === null) return null
  const [year, month, day] = match.slice(1).map((part) => Number(part ?? 1)) as [number, number, number]
  if (year < 2000 || month < 1 || month > 12 || day < 1 || day > 31) return null
  return viewAt(kind, localDay(year, month, day))
}

export const isViewKind = (given: string | null): given is ViewKind => VIEWS.some((kind) => kind === given)

/** Where a reading that ended at `newest_end` lies: 24:00 belongs to the day before. */
export const holdsNewest = (newest_end: number): number => newest_end - 1
