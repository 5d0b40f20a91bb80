/**
 * Local periods of Asia/Shanghai. China has kept UTC+8 without summer time since 1992 and no reading before 2000 is
 * accepted, so local time is a fixed offset, whatever the time zone of the browser.
 */

export const SECOND_MS = 1_000
export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000
const OFFSET_MS = 8 * HOUR_MS

export type Grain = 'hour' | 'day' | 'month' | 'quarter' | 'year'

/** A half-open span of time, UTC milliseconds. */
export interface Span {
  readonly from: number
  readonly to: number
}

export interface LocalTime {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

export function local(ms: number): LocalTime {
  const at = new Date(ms + OFFSET_MS)
  return {
    year: at.getUTCFullYear(),
    month: at.getUTCMonth() + 1,
    day: at.getUTCDate(),
    hour: at.getUTCHours(),
    minute: at.getUTCMinutes(),
    second: at.getUTCSeconds(),
  }
}

/** Start of a local day; months and days past their ends run over into the next. */
export function localDay(year: number, month = 1, day = 1): number {
  return Date.UTC(year, month - 1, day) - OFFSET_MS
}

/** Start of the period of `grain` that is `steps` after the one holding `ms`. */
export function startOf(grain: Grain, ms: number, steps = 0): number {
  const { year, month, day, hour } = local(ms)
  switch (grain) {
    case 'hour':
      return localDay(year, month, day) + (hour + steps) * HOUR_MS
    case 'day':
      return localDay(year, month, day + steps)
    case 'month':
      return localDay(year, month + steps)
    case 'quarter':
      return localDay(year, month - ((month - 1) % 3) + steps * 3)
    case 'year':
      return localDay(year + steps)
  }
}

export function spanOf(grain: Grain, ms: number): Span {
  return { from: startOf(grain, ms), to: startOf(grain, ms, 1) }
}

/** Starts of the periods of `grain` in `span`, which begins on one. */
export function starts(grain: Grain, span: Span): number[] {
  const list: number[] = []
  for (let at = span.from; at < span.to; at = startOf(grain, at, 1)) list.push(at)
  return list
}

export const two = (value: number): string => String(value).padStart(2, '0')

/** ISO 8601 with the +08:00 offset, as the api writes it. */
export function iso(ms: number): string {
  return `${dateText(ms)}T${timeText(ms)}:${two(local(ms).second)}+08:00`
}

export function dateText(ms: number): string {
  const { year, month, day } = local(ms)
  return `${year}-${two(month)}-${two(day)}`
}

export function timeText(ms: number): string {
  const { hour, minute } = local(ms)
  return `${two(hour)}:${two(minute)}`
}
