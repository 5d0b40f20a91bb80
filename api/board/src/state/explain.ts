/** The figure whose making is on view. */

import { shallowRef } from 'vue'
import type { Grain, Span } from '../logic/periods'

export interface Explained {
  readonly entity: string
  readonly grain: Grain
  readonly span: Span
}

export const explained = shallowRef<Explained | null>(null)
