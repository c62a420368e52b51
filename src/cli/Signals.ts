/**
 * Handles Ctrl-C and SIGTERM during a run.
 *
 * The first signal ends the run after its current step with the images it has. The second interrupts the run. If the
 * process still runs one second later, that signal ends it, because neither a blocked disk nor a long step may hang it.
 * After that no signal is caught: a third ends the process by the system's default.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { HookSet } from "../runner/RunnerHooks.ts"
import type { RunState } from "../runner/RunState.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

export type Signal = "SIGINT" | "SIGTERM"

export interface Signals {
  /** Hooks that pass a stop on to the run. */
  readonly hooks: HookSet
  /** Runs `effect` until it ends, or until the second signal, which returns nothing. */
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<Option.Option<A>, E, R>
  /** The first signal that came. */
  readonly received: Effect.Effect<Signal | undefined>
}

// Milliseconds within which two signals count as one: npm forwards the Ctrl-C that the terminal also sends directly.
const samePress = 200

// Milliseconds for an interrupted run to remove unfinished files.
const grace = 1000

export const make = Effect.fn("Signals.make")(function*(options: {
  /** Prints what happens next. */
  readonly announce: (message: string) => Effect.Effect<void>
}): Effect.fn.Return<Signals, never, Scope.Scope> {
  const presses = yield* listen
  let received: Signal | undefined
  let running: RunState | undefined

  const stop = Effect.gen(function*() {
    received = yield* Queue.take(presses)
    yield* options.announce("Stopping after this step; press Ctrl-C again to stop at once.")
    if (running !== undefined) yield* running.interrupt
    yield* Queue.take(presses)
    yield* options.announce("Stopping at once.")
  })

  return {
    hooks: {
      around: (stage, effect) =>
        stage !== "prepare" ? effect : Effect.flatMap(RuntimeContext, ({ state }) => {
          running = state
          return received === undefined ? effect : Effect.andThen(state.interrupt, effect)
        })
    },
    guard: (effect) => Effect.raceFirst(Effect.asSome(effect), Effect.as(stop, Option.none())),
    received: Effect.sync(() => received)
  }
})

// The signals, two at most.
const listen = Effect.gen(function*() {
  const presses = yield* Queue.unbounded<Signal>()
  let count = 0
  let last = -Infinity
  let end: NodeJS.Timeout | undefined
  const onSignal = (signal: Signal) => {
    const now = performance.now()
    if (now - last < samePress) return
    last = now
    Queue.offerUnsafe(presses, signal)
    if (++count === 2) {
      silence()
      // Not by `process.exit`, which waits for the step on the network's thread and then aborts inside onnxruntime.
      end = setTimeout(() => process.kill(process.pid, signal), grace)
    }
  }
  const silence = () => {
    process.off("SIGINT", onSignal)
    process.off("SIGTERM", onSignal)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      process.on("SIGINT", onSignal)
      process.on("SIGTERM", onSignal)
    }),
    () =>
      Effect.sync(() => {
        silence()
        clearTimeout(end)
      })
  )
  return presses
})
