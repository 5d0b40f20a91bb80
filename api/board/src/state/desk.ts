/** The operators' desk: opened from the panel of warnings; reads while it is open, and hands commands to the server. */

import { computed, ref, shallowRef, watch } from 'vue'
import type { Kind, Tab } from '../logic/desk'
import { allToggled, commandFor, counted, toggled } from '../logic/desk'
import { HOUR_MS, SECOND_MS, iso } from '../logic/periods'
import { fetchAnswers, fetchHandover, fetchHealth, fetchOperator, fetchStanding, sendCommand } from '../wire/calls'
import type { Answered, Handover, Health } from '../wire/operator'
import type { Warning } from '../wire/shapes'
import { serverNow } from './clock'
import { lookUp } from './names'
import { atMostEvery, poll } from './poll'
import type { Heed } from './session'

const SHOWN_MOST = 200
const SHIFT_MS = 12 * HOUR_MS
const LOOKS = 20
const LOOK_MS = 500

export type Said =
  | { kind: 'sending' }
  | { kind: 'failed' }
  | { kind: 'waiting' }
  | { kind: 'done'; done: number; refused: number }

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export function useDesk(heed: Heed) {
  const tab = ref<Tab | null>(null)
  const shown = shallowRef<readonly Warning[]>([])
  const chosen = shallowRef<ReadonlySet<string>>(new Set())
  const health = shallowRef<Health | null>(null)
  const handover = shallowRef<Handover | null>(null)
  const operator = ref<string | null>(null)
  const said = shallowRef<Said | null>(null)
  const busy = computed(() => said.value?.kind === 'sending')

  async function readList(): Promise<void> {
    const of = tab.value
    if (of === null) return
    if (of === 'handover') {
      const answer = await heed(fetchHandover(iso(serverNow() - SHIFT_MS)))
      if (answer.ok) handover.value = answer.value
      return
    }
    const answer = await heed(fetchStanding(of, SHOWN_MOST))
    if (!answer.ok || tab.value !== of) return
    shown.value = answer.value.warnings
    const there = new Set(shown.value.map((one) => one.id))
    chosen.value = new Set([...chosen.value].filter((id) => there.has(id)))
    void lookUp([...new Set(shown.value.map((one) => one.entity))], heed)
  }

  async function readHealth(): Promise<void> {
    const answer = await heed(fetchHealth())
    if (answer.ok) health.value = answer.value
  }

  const readSoon = atMostEvery(SECOND_MS, () => void readList())

  async function answered(id: string): Promise<Answered | null> {
    for (let look = 0; look < LOOKS; look++) {
      const answer = await heed(fetchAnswers())
      const found = answer.ok ? answer.value.commands.find((one) => one.id === id) : undefined
      if (found) return found
      await pause(LOOK_MS)
    }
    return null
  }

  async function give(kind: Kind, why: string, hours?: number): Promise<void> {
    const until = hours === undefined ? undefined : iso(serverNow() + hours * HOUR_MS)
    const command = commandFor(kind, chosen.value, shown.value, why.trim(), until)
    if (command === null || busy.value) return
    said.value = { kind: 'sending' }
    const accepted = await heed(sendCommand(command))
    if (!accepted.ok) {
      said.value = { kind: 'failed' }
      return
    }
    chosen.value = new Set()
    const found = await answered(accepted.value.id)
    said.value = found === null ? { kind: 'waiting' } : { kind: 'done', ...counted(found) }
    await readList()
  }

  watch(tab, (now, before) => {
    chosen.value = new Set()
    shown.value = []
    if (now === null) return
    if (before === null) {
      said.value = null
      void heed(fetchOperator()).then((answer) => {
        if (answer.ok) operator.value = answer.value.operator
      })
      void readHealth()
    }
    void readList()
  })
  poll(async () => {
    if (tab.value !== null) await Promise.all([readList(), readHealth()])
  }, 10 * SECOND_MS)

  return {
    tab, shown, chosen, health, handover, operator, said, busy, give,
    hear: (): void => {
      if (tab.value !== null) readSoon()
    },
    choose: (id: string): void => {
      chosen.value = toggled(chosen.value, id)
    },
    chooseAll: (): void => {
      chosen.value = allToggled(chosen.value, shown.value)
    },
  }
}

export type Desk = ReturnType<typeof useDesk>
