/** Moments and periods in words of the language on view, Asia/Shanghai. */

import type { Grain } from '../logic/periods'
import { dateText, local, timeText, two } from '../logic/periods'
import type { View } from '../logic/view'
import { CUT } from '../logic/view'
import { language } from './words'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

const chinese = (): boolean => language.value === 'zh-CN'

export const monthName = (month: number): string => (chinese() ? `${month}月` : (MONTHS[month - 1] ?? ''))

/** 2026-03-18 14:03 */
export const moment = (ms: number): string => `${dateText(ms)} ${timeText(ms)}`

/** Without the year where it is that of `now`. */
export const shortMoment = (ms: number, now: number): string =>
  local(ms).year === local(now).year ? moment(ms).slice(5) : moment(ms)

export const clockText = (ms: number): string => `${timeText(ms)}:${two(local(ms).second)}`

/** A period by its start: an hour '03-18 14:00–15:00', a day '2026-03-18', a month '2026年3月'. */
export function periodName(grain: Grain, start: number): string {
  const { year, month, hour } = local(start)
  switch (grain) {
    case 'hour':
      return `${dateText(start).slice(5)} ${two(hour)}:00–${two(hour + 1)}:00`
    case 'day':
      return dateText(start)
    case 'month':
      return chinese() ? `${year}年${month}月` : `${monthName(month)} ${year}`
    case 'quarter':
      return `${year} Q${Math.ceil(month / 3)}`
    case 'year':
      return chinese() ? `${year}年` : String(year)
  }
}

export const viewName = (view: View): string => periodName(CUT[view.kind].period, view.start)

/** What stands under a bar. */
export function tick(view: View, start: number): string {
  const { month, day, hour } = local(start)
  switch (view.kind) {
    case 'day-hours':
      return two(hour)
    case 'month-days':
      return String(day)
    case 'year-months':
    case 'year-days':
      return monthName(month)
  }
}
