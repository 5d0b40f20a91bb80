/** What is on view, as the page's address keeps it: a wall screen's bookmark comes back to the same picture. */

import type { View, ViewKind } from '../logic/view'
import { isViewKind, parsePeriod, periodText } from '../logic/view'

export interface Address {
  readonly entity: string | null
  readonly kind: ViewKind
  /** Null: the present one. */
  readonly view: View | null
}

export function parseAddress(hash: string): Address {
  const given = new URLSearchParams(hash.replace(/^#/, ''))
  const asked = given.get('view')
  const kind = isViewKind(asked) ? asked : 'day-hours'
  return { entity: given.get('entity'), kind, view: parsePeriod(kind, given.get('period') ?? '') }
}

export function addressText(entity: string, view: View, following: boolean): string {
  const parts = new URLSearchParams({ entity, view: view.kind })
  if (!following) parts.set('period', periodText(view))
  return `#${parts.toString()}`
}
