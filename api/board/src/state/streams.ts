/**
 * The page's two streams: totals of the entity on view, and warnings of all that the session may see. A hidden page
 * holds none, since a browser opens only six connections to one host.
 */

import { computed, onScopeDispose } from 'vue'
import type { Verdict } from '../logic/connection'
import { judge } from '../logic/connection'
import type { Operation } from '../wire/operator'
import type { Total, Warning } from '../wire/shapes'
import { asServer, ownNow } from './clock'
import { useStream } from './stream'

export interface Hearing {
  readonly total: (total: Total) => void
  readonly warning: (warning: Warning) => void
  readonly operation: (operation: Operation) => void
  readonly rereadTotals: () => void
  readonly rereadWarnings: () => void
}

/** What is worse for the one who reads the figures. */
function worse(a: Verdict, b: Verdict): Verdict {
  if (a.stale !== b.stale) return a.stale ? a : b
  return a.status === 'live' ? b : a
}

export function useStreams(hearing: Hearing) {
  const totals = useStream({
    events: { total: (content) => hearing.total(content as Total), restated: hearing.rereadTotals },
    reread: hearing.rereadTotals,
  })
  const warnings = useStream({
    events: {
      warning: (content) => hearing.warning(content as Warning),
      operation: (content) => hearing.operation(content as Operation),
    },
    reread: hearing.rereadWarnings,
  })
  let entity: string | null = null

  const verdict = computed(() => {
    const found = worse(judge(totals.link.value, ownNow.value), judge(warnings.link.value, ownNow.value))
    return { ...found, since: asServer(found.since) }
  })

  async function open(of: string): Promise<void> {
    const first = entity === null
    entity = of
    if (first) void openWarnings()
    await totals.open({ topics: 'totals', entity: of })
  }

  const openWarnings = (): Promise<void> => warnings.open({ topics: 'warnings' }).then(hearing.rereadWarnings)

  function close(): void {
    totals.close()
    warnings.close()
  }

  function seen(): void {
    if (entity === null) return
    if (document.hidden) return close()
    void openWarnings()
    void totals.open({ topics: 'totals', entity }).then(hearing.rereadTotals)
  }
  document.addEventListener('visibilitychange', seen)
  onScopeDispose(() => document.removeEventListener('visibilitychange', seen))

  return {
    verdict, open, close,
    tell: totals.tell,
    watch(): void {
      totals.watch()
      warnings.watch()
    },
  }
}
