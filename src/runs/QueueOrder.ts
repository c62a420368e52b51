/**
 * The order of the queue: who waits for whom.
 *
 * Clients share the queue fairly by self-clocked fair queueing (Golestani, "A self-clocked fair queueing scheme for
 * broadband applications", 1994, section III): a run's place is the finish tag of its work, `max(clock, place of the
 * client's last run) + cost`, where the clock is the place of the run that was taken last. The least place goes first,
 * within the highest priority.
 *
 * So the runs of one client keep their order. A run of another client waits for at most as much work of each of the
 * others as it costs itself: small runs pass large ones, but never more of them than one large run's work.
 */
import { WorkerLost } from "../contract/errors.ts"
import type { RunEvent } from "./RunEvent.ts"
import type { Needs, RunRecord } from "./RunRecord.ts"

/** The place of a new run. `clock`: place of the run that was taken last. `last`: of the client's last queued run. */
export const placeOf = (
  cost: number,
  { clock, last }: { readonly clock: number; readonly last: number | undefined }
): number => Math.max(clock, last ?? 0) + Math.max(cost, leastCost)

/** So that places differ. */
const leastCost = 1e-6

/** What a worker offers, see `Worker`. */
interface Offer {
  readonly id: string
  readonly models: ReadonlyArray<string> | undefined
  readonly loaded: ReadonlyArray<string>
  readonly labels: ReadonlyArray<string>
}

/** Whether a worker has what a run needs. */
export const canServe = ({ labels, models }: Pick<Offer, "labels" | "models">, needs: Needs): boolean =>
  (needs.model === "" || models === undefined || models.includes(needs.model)) &&
  needs.labels.every((label) => labels.includes(label))

/** Needs as one text, the same for the same needs. */
export const needsKey = ({ labels, model }: Needs): string => JSON.stringify([model, ...labels.toSorted()])

/** How many of the first runs `choose` looks at. */
export const window = 16

/** Milliseconds for which a run is left to a worker that has its model loaded, by default. */
export const preferFor = 2000

/**
 * Which of the first runs a worker takes; undefined to leave them to others for now.
 *
 * A bound run is never left to others: no other worker may take it.
 *
 * @param first Queued runs that the worker can serve, the next one first.
 * @param loadedElsewhere Models that are loaded in other workers that take runs.
 * @param now Milliseconds since the epoch.
 */
export const choose = <R extends Pick<RunRecord, "bound" | "needs" | "submittedAt">>(
  first: ReadonlyArray<R>,
  worker: Pick<Offer, "loaded">,
  { loadedElsewhere, now }: { readonly loadedElsewhere: ReadonlySet<string>; readonly now: number }
): R | undefined =>
  first.find(({ bound, needs: { model }, submittedAt }) =>
    bound !== null || model === "" || worker.loaded.includes(model) || !loadedElsewhere.has(model) ||
    Math.abs(now - submittedAt) >= preferFor
  )

/** The size of the work: steps of a million pixels, over all passes and images. */
export const costOf = (
  { batch_size, height = 512, n_iter, steps, width = 512 }: {
    readonly batch_size: number
    readonly n_iter: number
    readonly steps: number
    readonly width?: number | undefined
    readonly height?: number | undefined
  }
): number => steps * batch_size * n_iter * width * height / 1e6

type Placed = Pick<RunRecord, "id" | "place" | "priority">

/** Orders queued runs, the next one first. */
export const compare = (a: Placed, b: Placed): number =>
  b.priority - a.priority || a.place - b.place || (a.id < b.id ? -1 : 1)

/**
 * Where a queued run goes: before another one, or to the end of its own priority. Undefined when it does not wait, or
 * the other one does not.
 *
 * @param queued All queued runs, the next one first.
 */
export const moved = (
  queued: ReadonlyArray<Placed>,
  id: string,
  before: string | undefined
): Pick<RunRecord, "place" | "priority"> | undefined => {
  const run = queued.find((other) => other.id === id)
  const others = queued.filter((other) => other.id !== id)
  if (run === undefined) return undefined
  if (before === undefined) {
    const last = others.findLast(({ priority }) => priority === run.priority)
    return { priority: run.priority, place: Math.max(run.place, (last?.place ?? run.place) + leastCost) }
  }
  const at = others.findIndex((other) => other.id === before)
  const next = others[at]
  if (next === undefined) return undefined
  const previous = others[at - 1]
  const from = previous?.priority === next.priority ? previous.place : next.place - 1
  return { priority: next.priority, place: (from + next.place) / 2 }
}

/** What becomes of a run whose worker is no more. */
export const afterLoss = (
  { strikes, worker }: Pick<RunRecord, "strikes" | "worker">,
  { lost, maxStrikes }: { readonly lost: boolean; readonly maxStrikes: number }
): RunEvent =>
  lost && strikes + 1 >= maxStrikes
    ? { _tag: "Failed", error: new WorkerLost({ worker: worker ?? "", times: strikes + 1 }) }
    : { _tag: "Returned", lost }

/** Largest number of seconds after which a client is asked to retry. */
const longestRetry = 3600

/** How many of the runs that ended last say how long a run takes. */
export const paceOf = 16

/**
 * Seconds after which a client that the queue has no room for may retry: when those that wait have ended, as far as the
 * milliseconds of the latest runs say, and as many execute at once as do now. From 1 to 3600.
 */
export const retryAfter = (
  { latest, running, waiting }: {
    readonly latest: ReadonlyArray<number>
    readonly running: number
    readonly waiting: number
  }
): number => {
  const pace = latest.reduce((sum, took) => sum + took, 0) / Math.max(1, latest.length)
  const seconds = Math.ceil(pace / 1000 * (waiting + 1) / Math.max(1, running))
  return Math.min(Math.max(1, seconds), longestRetry)
}
