/** The state of a row of the curve in words. */

import type { Row } from '../logic/rows'
import { carrierName, count } from './figures'
import { say } from './words'

export function stateWords(row: Row): string {
  const { bucket } = row
  switch (row.state) {
    case 'none':
      return say('state.no-figure')
    case 'unknown':
      return say('state.incomplete.coefficient', {
        carriers: (bucket?.missing_coefficients ?? []).map(carrierName).join(say('app.comma')),
      })
    case 'open':
      return say('state.open')
    case 'incomplete':
      return say('state.incomplete.readings', { count: count((bucket?.expected ?? 0) - (bucket?.readings ?? 0)) })
    case 'provisional':
      return say('state.provisional')
    case 'final':
      return say('state.final')
  }
}
