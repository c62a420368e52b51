/**
 * Hook sets that end runs early.
 *
 * A run can be asked to end (`state.interrupt`, `skip`, `stop`): it ends after the current step or batch and returns
 * what it has. Or it can be interrupted: it waits for the network call in flight, releases its resources and returns
 * nothing. Each hook set here can do either.
 *
 * They act on stages. A running hook is never cut short; a request that arrives meanwhile takes effect when the next
 * stage starts.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Stage } from "../runner/Lifecycle.ts"
import type { HookSet } from "../runner/RunnerHooks.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

/**
 * How a run ends: `interrupt` returns nothing; `keep` ends after the current step and returns what there is; `stop`
 * finishes the current batch and returns complete images only.
 */
export type Mode = "interrupt" | "keep" | "stop"

export interface Options {
  /** Defaults to `interrupt`. */
  readonly mode?: Mode | undefined
}

/** Ends every run when the effect `reason` completes. It is awaited again in each stage. */
export const when = (
  reason: (stage: Stage) => Effect.Effect<void, never, RuntimeContext>,
  { mode = "interrupt" }: Options = {}
): HookSet => ({
  around: (stage, effect) => {
    // If the reason has already occurred, the stage does not start. Otherwise the interruption waits for the stage,
    // including its finalizers and its network call in flight.
    if (mode === "interrupt") return Effect.raceFirst(Effect.andThen(reason(stage), Effect.interrupt), effect)
    // Files that are being written are already generated.
    if (stage === "finalize") return effect
    const ask = Effect.flatMap(RuntimeContext, ({ state }) => mode === "keep" ? state.interrupt : state.stop)
    return Effect.acquireUseRelease(
      Effect.forkChild(Effect.andThen(reason(stage), ask), { startImmediately: true }),
      () => effect,
      Fiber.interrupt
    )
  }
})

/**
 * Ends every run that takes longer than this, counted from the start of prepare. Time in hooks counts; loading a model
 * counts only while a stage waits for it.
 */
export const timeout = (duration: Duration.Input, options?: Options): HookSet => {
  const length = Duration.toMillis(Duration.fromInputUnsafe(duration))
  const deadlines = new WeakMap<RuntimeContext["Service"], number>()
  return when(
    Effect.fnUntraced(function*(stage) {
      const context = yield* RuntimeContext
      const now = yield* Clock.currentTimeMillis
      const deadline = (stage === "prepare" ? undefined : deadlines.get(context)) ?? now + length
      deadlines.set(context, deadline)
      if (deadline > now) yield* Effect.sleep(deadline - now)
    }),
    options
  )
}

/** Ends every run when an `AbortSignal` is aborted, for example because a client disconnected. */
export const onSignal = (signal: AbortSignal, options?: Options): HookSet => when(() => aborted(signal), options)

/** Waits until a signal is aborted. */
export const aborted = (signal: AbortSignal): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const abort = () => resume(Effect.void)
    if (signal.aborted) return abort()
    signal.addEventListener("abort", abort, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", abort))
  })
