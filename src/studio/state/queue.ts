/**
 * The server's queue: what executes and what waits, of all clients. It is asked for while the page is seen.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"
import * as gallery from "./gallery.ts"
import { complain } from "./notices.ts"

export const status = signal<api.QueueStatus | undefined>(undefined)
export const running = signal<ReadonlyArray<api.Run>>([])
/** In the order in which they begin. */
export const waiting = signal<ReadonlyArray<api.Run>>([])
/** Whether the server did not answer the last time, or has not answered for long. */
export const isAway = signal(false)
export const isPaused = computed(() => status.value?.paused === true)

/** Milliseconds between two questions, while something is in the queue and while nothing is. */
const pace = { busy: 1500, idle: 5000 }
/** Milliseconds without an answer until the page says so. The answer may still come. */
const patience = 10_000

const ahead = ({ status }: api.Run): number => status._tag === "Queued" ? status.position : 0

let asking: ReturnType<typeof setTimeout> | undefined
let seen = ""
let count = 0

/** Asks for the queue now, and then again and again. */
export const poll = async (): Promise<void> => {
  clearTimeout(asking)
  const mine = ++count
  const stalling = setTimeout(() => {
    if (mine === count) isAway.value = true
  }, patience)
  try {
    const now = await api.queue()
    const [newest, queued, executing] = await Promise.all([
      api.listRuns({ limit: 1 }),
      now.queued === 0 ? { runs: [] } : api.listRuns({ state: "queued", limit: 100 }),
      now.running === 0 ? { runs: [] } : api.listRuns({ state: "running", limit: 100 })
    ])
    if (mine !== count) return
    waiting.value = queued.runs.toSorted((a, b) => ahead(a) - ahead(b))
    running.value = executing.runs.toReversed()
    status.value = now
    // What has ended or begun elsewhere is in the gallery, too.
    const [head] = newest.runs
    const sight = JSON.stringify([head?.id, head?.status._tag, running.value.map(({ id }) => id)])
    if ((seen !== "" && sight !== seen) || isAway.value) void gallery.refresh()
    seen = sight
    isAway.value = false
  } catch {
    if (mine !== count) return
    isAway.value = true
  } finally {
    clearTimeout(stalling)
  }
  const isBusy = running.value.length + waiting.value.length > 0 || isAway.value
  if (!document.hidden) asking = setTimeout(() => void poll(), isBusy ? pace.busy : pace.idle)
}

/** Asks again when the page is seen again. */
export const onVisibility = () => {
  if (document.hidden) return
  void poll()
  void gallery.refresh()
}

const act = async (send: () => Promise<unknown>) => {
  try {
    await send()
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
  }
  await poll()
}

export const pause = (paused: boolean) => act(() => api.pauseQueue(paused))

/** Puts a waiting run one place further to the front (-1) or to the back (1). */
export const move = (run: api.Run, by: -1 | 1) => {
  const at = waiting.value.findIndex(({ id }) => id === run.id)
  const other = waiting.value[at + by]
  if (at === -1 || other === undefined) return
  const [moved, before] = by === -1 ? [run, other] : [other, run]
  return act(() => api.updateRun(moved.id, { before: before.id }))
}

export const cancel = (id: string) => act(() => api.cancel(id))

/** Cancels all runs, those that wait first. */
export const cancelAll = () =>
  act(async () => {
    for (const { id } of [...waiting.value.toReversed(), ...running.value]) await api.cancel(id)
  })
