/** The card beside the pointer: exact figures, the state in words. Built from nodes, never from markup. */

import { CUT } from '../logic/view'
import type { View } from '../logic/view'
import type { Row } from '../logic/rows'
import { rounded, tonnes } from '../words/figures'
import { periodName } from '../words/moments'
import { say } from '../words/words'
import { stateWords } from '../words/states'

function line(label: string, value: string, css = ''): HTMLElement {
  const row = document.createElement('div')
  row.className = `card-line ${css}`
  const [left, right] = [document.createElement('span'), document.createElement('b')]
  left.textContent = label
  right.textContent = value
  row.append(left, right)
  return row
}

export function card(view: View, row: Row | undefined): HTMLElement {
  const box = document.createElement('div')
  box.className = 'card'
  if (row === undefined) return box
  box.append(
    line(periodName(CUT[view.kind].grain, row.span.from), stateWords(row), 'card-head'),
    line(say(`view.this.${view.kind}`), `${tonnes(row.bucket?.co2_kg)} t`),
    line(say(`view.before.${view.kind}`), `${tonnes(row.before?.co2_kg)} t`),
    line(say('today.energy'), `${tonnes(row.bucket?.kgce)} tce`),
    line(say('today.electricity'), `${rounded(row.bucket?.quantity.electricity?.value)} kWh`),
  )
  return box
}
