import { describe, expect, it } from 'vitest'
import type { Event, Link } from './connection'
import { judge, step, unopened } from './connection'

const after = (...events: [number, Event][]): Link =>
  events.reduce((link, [now, event]) => step(link, event, now), unopened(0))

const BEAT: Event = { kind: 'beat', kafka: 'up' }
const OPEN: Event = { kind: 'open' }
const LOST: Event = { kind: 'lost' }

describe('the connection', () => {
  it('is live while beats come', () => {
    expect(judge(after([1, OPEN], [10_000, BEAT]), 20_000)).toEqual({ status: 'live', since: 1, stale: false })
  })

  it('makes the figures stale after 25 s of silence, though the socket is open', () => {
    const link = after([0, OPEN], [10_000, BEAT])
    expect(judge(link, 34_999).stale).toBe(false)
    expect(judge(link, 35_000)).toEqual({ status: 'stale', since: 10_000, stale: true })
  })

  it('that never opened goes stale too', () => {
    expect(judge(unopened(0), 25_000)).toMatchObject({ status: 'stale', stale: true })
    expect(judge(unopened(0), 10)).toMatchObject({ status: 'connecting', stale: false })
  })

  it('says since when it is lost, over all the attempts', () => {
    const link = after([0, OPEN], [5_000, LOST], [6_000, { kind: 'opening' }], [7_000, LOST])
    expect(judge(link, 8_000)).toEqual({ status: 'reconnecting', since: 5_000, stale: false })
    expect(judge(link, 40_000)).toMatchObject({ status: 'reconnecting', stale: true })
  })

  it('is live again once it has opened', () => {
    expect(judge(after([0, OPEN], [5_000, LOST], [90_000, OPEN]), 90_001).status).toBe('live')
  })

  it('takes any event for a sign of life', () => {
    expect(judge(after([0, OPEN], [24_000, { kind: 'heard' }]), 48_000).stale).toBe(false)
  })
})

describe('an outage behind the api', () => {
  it('of the database makes the figures stale at once, since its first sign', () => {
    const link = after([0, OPEN], [1_000, { kind: 'database-away' }], [2_000, { kind: 'database-away' }], [3_000, BEAT])
    expect(judge(link, 3_000)).toEqual({ status: 'database-away', since: 1_000, stale: true })
    expect(judge(step(link, { kind: 'database-back' }, 4_000), 4_000).status).toBe('live')
  })

  it('of Kafka too, until a beat says it is up', () => {
    const away: Event = { kind: 'beat', kafka: 'away' }
    const link = after([0, OPEN], [1_000, away], [9_000, away])
    expect(judge(link, 9_000)).toEqual({ status: 'kafka-away', since: 1_000, stale: true })
    expect(judge(step(link, BEAT, 9_500), 9_500).status).toBe('live')
  })
})
