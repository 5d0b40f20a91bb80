import { describe, expect, it } from 'vitest'
import type { OperatorState, Standing } from '../wire/operator'
import type { Warning } from '../wire/shapes'
import { MOST_CHOSEN, allToggled, commandFor, counted, fits, toggled } from './desk'
import { operated, ordered } from './warnings'

const standing = (state: OperatorState, more: Partial<Standing> = {}): Standing => ({
  state, change: 1, annunciated: state.endsWith('unacked'), priority: 'medium', since: '2026-03-18T10:00:00+08:00', claimed_by: null,
  shelved: null, out_of_service: null, suppressed_by: null, ...more,
})

const warning = (id: string, operator: Standing | null, version = 1): Warning => ({
  id, version, rule: 'target-level', entity: 'enterprise:E1', indicator: 'co2', period: '2026-03-01', level: '90',
  severity: 'alert', state: operator?.state.startsWith('cleared') ? 'cleared' : 'active',
  bucket: '2026-03-18T10:00:00+08:00', backfill: false, snapshot: {}, changed_at: '2026-03-18T10:00:01+08:00', operator,
})

describe('the desk', () => {
  it('chooses no more than one command takes', () => {
    const shown = Array.from({ length: 250 }, (_, n) => warning(String(n), standing('active-unacked')))
    const all = allToggled(new Set(), shown)
    expect(all.size).toBe(MOST_CHOSEN)
    expect(toggled(all, '249').size).toBe(MOST_CHOSEN)
    expect(toggled(all, '0').size).toBe(MOST_CHOSEN - 1)
    expect(allToggled(all, shown).size).toBe(0)
  })

  it('sends a command for those it fits, with the versions that were seen', () => {
    const shown = [warning('a', standing('active-unacked'), 3), warning('b', standing('active-acked')), warning('c', null)]
    const chosen = new Set(['a', 'b', 'c'])
    expect(commandFor('acknowledge', chosen, shown, 'seen')).toEqual({
      kind: 'acknowledge', warnings: ['a'], versions: { a: 3 }, why: 'seen',
    })
    expect(commandFor('unshelve', chosen, shown, '')).toBeNull()
    expect(commandFor('acknowledge', new Set(), shown, '')).toBeNull()
  })

  it('acknowledges what is told of the past too, and shelves nothing twice', () => {
    expect(fits('acknowledge', warning('a', standing('suppressed', { suppressed_by: 'past' })))).toBe(true)
    expect(fits('acknowledge', warning('a', standing('suppressed', { suppressed_by: 'maintenance:m' })))).toBe(false)
    expect(fits('shelve', warning('a', standing('shelved')))).toBe(false)
  })

  it('counts what was refused', () => {
    const targets = [
      { target: 'a', outcome: 'applied' as const, reason: null },
      { target: 'b', outcome: 'refused' as const, reason: 'claimed' },
      { target: 'c', outcome: 'unchanged' as const, reason: null },
    ]
    expect(counted({ id: 'x', outcome: 'partly', targets })).toEqual({ done: 2, refused: 1 })
  })
})

describe('the wall', () => {
  it('has what is to be answered first, also when it has cleared, and what is inhibited behind', () => {
    const list = ordered([
      warning('shelved', standing('shelved')),
      warning('acked', standing('active-acked')),
      warning('gone', standing('cleared-unacked')),
      warning('new', standing('active-unacked')),
    ])
    expect(list.map((one) => one.id)).toEqual(['gone', 'new', 'acked', 'shelved'])
  })

  it('takes each operation once, in whatever order they come', () => {
    const held = new Map([['a', warning('a', standing('active-unacked'))]])
    const told = {
      operation: 'acknowledge', warning: 'a', change: 2, from_state: 'active-unacked' as const,
      to_state: 'active-acked' as const, at: '2026-03-18T10:01:00+08:00', by: 'Li Na', why: '',
    }
    const after = operated(held, told)
    expect(after.get('a')?.operator?.state).toBe('active-acked')
    expect(operated(after, { ...told, change: 1, to_state: 'shelved' })).toBe(after)
    expect(operated(held, { ...told, warning: 'unknown' })).toBe(held)
  })
})
