/**
 * The run queue as an immutable value, and the transitions between its states.
 *
 * A run waits, then executes, then has ended; each list is in order of arrival in it. The bounds hold in every state:
 * how many runs execute and wait, and how many ended ones are remembered, for how long and with how many bytes of
 * results. What is held of a run is part of its entry, so nothing is held for a run that the queue has forgotten.
 * `RunQueue` is the shell that executes the runs.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { QueueFull, RunCancelled, ShuttingDown } from "../../contract/errors.ts"
import type { AskedRequest } from "../../contract/Run.ts"
import type { HeldImage, HeldResult, RunFailure } from "./HeldResult.ts"

/** A run that waits for its turn, or other work that takes a place in the queue. */
export interface WaitingRun {
  readonly id: string
  /** The client's own name for it. */
  readonly taskId: string | undefined
  /** What was asked, without the images that came with it; `undefined` for work that is no run. */
  readonly request: AskedRequest | undefined
  /** Milliseconds since the epoch. */
  readonly submittedAt: number
}

export interface ExecutingRun extends WaitingRun {
  readonly startedAt: number
}

/** How a run ended. */
export type Ending =
  | { readonly _tag: "Done"; readonly interrupted: boolean }
  | { readonly _tag: "Failed"; readonly error: string }
  | { readonly _tag: "Cancelled" }

/** What is known of a run when it ends. */
export interface RunEnd {
  readonly ending: Ending
  /** Bytes of the result that is held; 0 for none. */
  readonly held: number
  /** How the run ended; `undefined` when it ended with a result that is not held. */
  readonly outcome?: Exit.Exit<HeldResult, RunFailure> | undefined
  /** The images that it had finished before it ended without a result; none when they are not held. */
  readonly finished?: ReadonlyArray<HeldImage>
}

export interface EndedRun extends WaitingRun, RunEnd {
  /** `undefined` for a run that never started. */
  readonly startedAt: number | undefined
  /** Milliseconds since the epoch. */
  readonly endedAt: number
}

/** A run in any state. */
export type KnownRun = WaitingRun | ExecutingRun | EndedRun

export interface QueueBounds {
  /** Most runs that execute at once. */
  readonly concurrency: number
  /** Most runs that wait. */
  readonly queue: number
  /** Most ended runs that are remembered. */
  readonly keepRuns: number
  /** Milliseconds for which an ended run is remembered. */
  readonly keepFor: number
  /** Most bytes of results that are held. */
  readonly keepBytes: number
}

export interface QueueState {
  /** False once the server shuts down. */
  readonly accepting: boolean
  readonly waiting: ReadonlyArray<WaitingRun>
  readonly executing: ReadonlyArray<ExecutingRun>
  readonly ended: ReadonlyArray<EndedRun>
  /** Seconds that a run takes, as a moving average; `undefined` before the first has ended. */
  readonly pace: number | undefined
}

export const empty: QueueState = { accepting: true, waiting: [], executing: [], ended: [], pace: undefined }

/** Largest number of seconds after which a client is asked to retry. */
const longestRetry = 3600

/** Appends a run to the queue, unless it is full or closed. */
export const submit = (
  state: QueueState,
  run: WaitingRun,
  { concurrency, queue }: QueueBounds
): Result.Result<QueueState, QueueFull | ShuttingDown> => {
  if (!state.accepting) return Result.fail(new ShuttingDown())
  const { executing, pace = 0, waiting } = state
  if (executing.length < concurrency || waiting.length < queue) {
    return Result.succeed({ ...state, waiting: [...waiting, run] })
  }
  const seconds = Math.max(1, Math.ceil(pace * (waiting.length + 1) / concurrency))
  return Result.fail(new QueueFull({ waiting: waiting.length, retryAfter: Math.min(seconds, longestRetry) }))
}

/** Moves the first waiting runs to the executing ones, as many as fit. */
export const start = (state: QueueState, now: number, { concurrency }: QueueBounds): {
  readonly state: QueueState
  readonly started: ReadonlyArray<ExecutingRun>
} => {
  const room = Math.max(0, concurrency - state.executing.length)
  const started = state.waiting.slice(0, room).map((run) => startedAt(run, now))
  return started.length === 0
    ? { state, started }
    : {
      state: { ...state, waiting: state.waiting.slice(room), executing: [...state.executing, ...started] },
      started
    }
}

const startedAt = (run: WaitingRun, startedAt: number): ExecutingRun => ({ ...run, startedAt })

/**
 * Moves a run to the ended ones. A run that has ended, or is not known, stays as it is. Work that is no run is not
 * remembered.
 */
export const finish = (
  state: QueueState,
  id: string,
  { now, ...end }: RunEnd & { readonly now: number },
  bounds: QueueBounds
): QueueState => {
  const executed = state.executing.find((run) => run.id === id)
  const run = executed ?? state.waiting.find((run) => run.id === id)
  if (run === undefined) return state
  const others = (run: WaitingRun) => run.id !== id
  if (run.request === undefined) {
    return { ...state, waiting: state.waiting.filter(others), executing: state.executing.filter(others) }
  }
  const ended: EndedRun = { ...run, ...end, startedAt: executed?.startedAt, endedAt: now }
  return expire(
    {
      ...state,
      waiting: state.waiting.filter(others),
      executing: state.executing.filter(others),
      ended: [...state.ended, end.held === 0 ? withoutResult(ended) : ended],
      pace: executed === undefined ? state.pace : paceAfter(state.pace, Math.max(0, now - executed.startedAt) / 1000)
    },
    now,
    bounds
  )
}

const paceAfter = (pace: number | undefined, seconds: number): number =>
  pace === undefined ? seconds : 0.7 * pace + 0.3 * seconds

/**
 * Forgets ended runs beyond the bounds, oldest first: by age and number, and their results by size.
 *
 * After a clock has been set back, an end can lie in the future; it is then as far away as an age.
 */
export const expire = (state: QueueState, now: number, { keepBytes, keepFor, keepRuns }: QueueBounds): QueueState => {
  const kept = keepRuns === 0
    ? []
    : state.ended.filter(({ endedAt }) => Math.abs(now - endedAt) < keepFor).slice(-keepRuns)
  let excess = kept.reduce((sum, { held }) => sum + held, 0) - keepBytes
  const ended = kept.map((run) => {
    if (excess <= 0 || run.held === 0) return run
    excess -= run.held
    return withoutResult(run)
  })
  return { ...state, ended }
}

// Why a run failed is remembered as long as the run.
const withoutResult = ({ outcome, ...run }: EndedRun): EndedRun => ({
  ...run,
  held: 0,
  finished: [],
  outcome: outcome !== undefined && Exit.isFailure(outcome) ? outcome : undefined
})

/** How a run with an outcome ended. */
export const endingOf = (outcome: Exit.Exit<HeldResult, RunFailure>): Ending => {
  if (Exit.isSuccess(outcome)) return { _tag: "Done", interrupted: outcome.value.interrupted }
  const error = Cause.squash(outcome.cause)
  if (error instanceof RunCancelled || error instanceof ShuttingDown) return { _tag: "Cancelled" }
  return { _tag: "Failed", error: error instanceof Error ? error.message : String(error) }
}

/** The images that are held of an ended run: those of its result, or those finished before it failed. */
export const imagesOf = ({ finished = [], outcome }: EndedRun): ReadonlyArray<HeldImage> =>
  outcome !== undefined && Exit.isSuccess(outcome) ? outcome.value.images : finished

/** Closes the queue: nothing is accepted any more. */
export const close = (state: QueueState): QueueState => ({ ...state, accepting: false })

/** Every run: ended, executing, waiting. */
export const all = (state: QueueState): ReadonlyArray<KnownRun> => [
  ...state.ended,
  ...state.executing,
  ...state.waiting
]

/** Finds a run by its id, or by the client's name for it, where the newest one wins. */
export const find = (state: QueueState, key: string): KnownRun | undefined =>
  all(state).find(({ id }) => id === key) ?? all(state).findLast(({ taskId }) => taskId === key)

/** How many runs execute or wait before a waiting run; `undefined` for a run that does not wait. */
export const position = (state: QueueState, id: string): number | undefined => {
  const place = state.waiting.findIndex((run) => run.id === id)
  return place === -1 ? undefined : state.executing.length + place
}
