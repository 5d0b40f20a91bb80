import { describe, expect, it } from 'vitest'
import type { Warning } from '../wire/shapes'
import { levelText, measured, mergeWarnings, ordered, priorityOf } from './warnings'

const warning = (id: string, change: Partial<Warning> = {}): Warning => ({
  id, version: 1, rule: 'target-level', entity: 'enterprise:E1', indicator: 'co2', period: '2026-03-01', level: '90',
  severity: 'alert', state: 'active', bucket: '2026-03-18T10:00:00+08:00', backfill: false, snapshot: {},
  changed_at: '2026-03-18T10:00:01+08:00', ...change,
})

describe('the list of warnings', () => {
  it('keeps the newest version of each, in whatever order they come', () => {
    const [first, second] = [warning('a'), warning('a', { version: 2, state: 'cleared' })]
    for (const order of [[first, second], [second, first], [second, first, second]]) {
      expect([...mergeWarnings(new Map(), order).values()]).toEqual([second])
    }
  })

  it('has active ones before cleared ones, then the newest event', () => {
    const list = ordered([
      warning('cleared', { state: 'cleared', bucket: '2026-03-18T12:00:00+08:00' }),
      warning('older', { bucket: '2026-03-18T09:00:00+08:00' }),
      // The same moment written in UTC: text order would put it wrong.
      warning('newer', { bucket: '2026-03-18T03:30:00Z' }),
    ])
    expect(list.map((one) => one.id)).toEqual(['newer', 'older', 'cleared'])
  })

  it('has the higher priority first, then the graver, however old', () => {
    const list = ordered([
      warning('newest', { priority: 'low' }),
      warning('alert', { priority: 'high', bucket: '2026-03-18T08:00:00+08:00' }),
      warning('alarm', { priority: 'high', severity: 'alarm', bucket: '2026-03-18T07:00:00+08:00' }),
      warning('middle', { priority: 'medium' }),
    ])
    expect(list.map((one) => one.id)).toEqual(['alarm', 'alert', 'middle', 'newest'])
  })

  it('takes the priority of a warning without a rule from its class', () => {
    expect(priorityOf(warning('a', { severity: 'notice', priority: null }))).toBe('low')
    expect(priorityOf(warning('a', { severity: 'notice', priority: 'high' }))).toBe('high')
  })

  it('has the graver and the higher level first among those of one hour', () => {
    const list = ordered([
      warning('80', { level: '80' }),
      warning('100', { level: '100' }),
      warning('plan', { level: null, severity: 'alarm' }),
    ])
    expect(list.map((one) => one.id)).toEqual(['plan', '100', '80'])
  })
})

it.each([['80', '80'], ['90.00', '90'], ['95.5', '95.5'], ['100', '100']])('level %s reads %s %%', (level, read) => {
  expect(levelText(level)).toBe(read)
})

describe('what was judged', () => {
  const target = { value: '10' }

  it('is the total against the target, or against the plan to date', () => {
    expect(measured(warning('a', { snapshot: { total: '9', target } }))).toEqual({ value: '9', against: '10' })
    expect(measured(warning('a', { snapshot: { total: '9', target, plan: '5' } }))).toEqual({ value: '9', against: '5' })
  })

  it('is shown only where the snapshot tells both', () => {
    expect(measured(warning('a', { snapshot: { total: null, target } }))).toBeNull()
    expect(measured(warning('a'))).toBeNull()
  })
})
