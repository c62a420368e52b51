/**
 * Ways to end a run early.
 *
 * A run can be asked to end, or be interrupted. One that is asked (`state.interrupt`, `skip`, `stop`) ends after the
 * current step or batch and gives what it has. One that is interrupted gives nothing: it waits for the network call in
 * flight, frees all it held, and leaves the next run unharmed. Each hook set here ends runs in either of the two ways.
 *
 * They watch the stages. A hook that is running is never cut short; what was missed meanwhile is caught up with when the
 * next stage begins.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Stage } from "../runner/Lifecycle.ts"
import type { HookSet } from "../runner/RunnerHooks.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

/**
 * How a run ends: `interrupt` gives nothing, `keep` ends after the current step and gives what there is, `stop` lets the
 * current batch end and gives whole pictures only.
 */
export type Mode = "interrupt" | "keep" | "stop"

export interface Options {
  /** `interrupt`, when left out. */
  readonly mode?: Mode | undefined
}

/** Ends every run when `reason` comes to its end. It is awaited anew in each stage. */
export const when = (
  reason: (stage: Stage) => Effect.Effect<void, never, RuntimeContext>,
  { mode = "interrupt" }: Options = {}
): HookSet => ({
  around: (stage, effect) => {
    // The reason comes first: if it is there already, the stage does not begin. Else the stage is waited for, its
    // finalizers and its network call in flight, before the interruption goes on.
    if (mode === "interrupt") return Effect.raceFirst(Effect.andThen(reason(stage), Effect.interrupt), effect)
    // What is being written has been made.
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
 * Ends every run that takes longer than this, counted from the beginning of prepare. Hooks count, loading a model does
 * only as far as a stage waits for it.
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

/** Ends every run when an `AbortSignal` is aborted: a request's client that went away, for instance. */
export const onSignal = (signal: AbortSignal, options?: Options): HookSet => when(() => aborted(signal), options)

/** Waits until a signal is aborted. */
export const aborted = (signal: AbortSignal): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const abort = () => resume(Effect.void)
    if (signal.aborted) return abort()
    signal.addEventListener("abort", abort, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", abort))
  })
