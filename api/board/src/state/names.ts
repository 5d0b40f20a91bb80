/** Names of entities, learnt as they come by and looked up where they did not. */

import { shallowReactive } from 'vue'
import { fetchEntities } from '../wire/calls'
import type { Entity } from '../wire/shapes'
import { nameOf } from '../words/words'
import type { Heed } from './session'

type Named = Pick<Entity, 'id' | 'name_zh' | 'name_en'>

const known = shallowReactive(new Map<string, Named>())
const asked = new Set<string>()

export function learn(named: readonly Named[]): void {
  for (const one of named) {
    asked.add(one.id)
    known.set(one.id, one)
  }
}

/** The name, or the id until it is known. */
export function entityName(id: string): string {
  const named = known.get(id)
  return named ? nameOf(named) : id
}

/** A coefficient's scope as an entity: a bare region code stands for the region. */
export const scopeEntity = (scope: string): string => (/^[\w-]+$/.test(scope) ? `region:${scope}` : scope)

export async function lookUp(ids: readonly string[], heed: Heed): Promise<void> {
  for (const id of ids.filter((one) => !asked.has(one))) {
    asked.add(id)
    const answer = await heed(fetchEntities({ q: id, limit: 5 }))
    if (answer.ok) learn(answer.value.entities.filter((one) => one.id === id))
    else asked.delete(id)
  }
}
