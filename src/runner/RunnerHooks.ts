/**
 * The observers of Serena's runs, as a service.
 *
 * `Serena.layer` uses `layerNoop` by default; `layer` and `layerEffect` combine several sets of hooks. A hook may read
 * the run's `RuntimeContext`; anything else it needs, it takes when its layer is built.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { RunPlan } from "../planning/RunPlan.ts"
import { combine, type Hooks, noop, type Stage } from "./Lifecycle.ts"
import type { Generated, Processed } from "./Processed.ts"
import type { RuntimeContext } from "./RuntimeContext.ts"

/** A set of hooks. Omitted hooks do nothing. */
export type HookSet = Partial<Hooks<RunPlan, Generated, Processed, RuntimeContext>>

/**
 * The hooks of every run.
 *
 * @effect-expect-leaking RuntimeContext
 */
export class RunnerHooks extends Context.Service<
  RunnerHooks,
  Hooks<RunPlan, Generated, Processed, RuntimeContext>
>()("serena/runner/RunnerHooks") {
  /** No observers. */
  static readonly layerNoop: Layer.Layer<RunnerHooks> = Layer.succeed(RunnerHooks, noop)

  /** Runs these sets in the order given. */
  static readonly layer = (...sets: ReadonlyArray<HookSet>): Layer.Layer<RunnerHooks> =>
    Layer.succeed(RunnerHooks, combine(sets))

  /** Sets that require an effect to build, such as `RunnerHooks.layerEffect(Effect.all([makeAudit, makeNotifier]))`. */
  static readonly layerEffect = <E, R>(
    make: Effect.Effect<ReadonlyArray<HookSet>, E, R>
  ): Layer.Layer<RunnerHooks, E, Exclude<R, Scope.Scope>> =>
    Layer.effect(RunnerHooks, Effect.map(make, (sets) => combine(sets)))

  /** The same hooks, with defects logged instead of ending the run. Interruption still ends it. */
  static readonly isolated = (set: HookSet): HookSet => {
    const { around, onExecute, onFinalize, onPrepare } = set
    return {
      ...(onPrepare && { onPrepare: (state) => logged("onPrepare", () => onPrepare(state)) }),
      ...(onExecute && { onExecute: (state, executed) => logged("onExecute", () => onExecute(state, executed)) }),
      ...(onFinalize && { onFinalize: (state, result) => logged("onFinalize", () => onFinalize(state, result)) }),
      ...(around && { around: isolatedAround(around) })
    }
  }
}

const report = (hook: string, cause: Cause.Cause<unknown>) =>
  Effect.logError(`A hook failed in ${hook}; the run goes on without it.`, cause)

const logged = <R>(hook: string, effect: () => Effect.Effect<void, never, R>) =>
  Effect.catchCauseIf(Effect.suspend(effect), (cause) => !Cause.hasInterrupts(cause), (cause) => report(hook, cause))

// Keeps the outcome of the stage itself: when a hook fails before the stage, the stage still runs; when it fails after
// the stage, the stage's outcome stands.
const isolatedAround =
  (around: NonNullable<HookSet["around"]>): NonNullable<HookSet["around"]> =>
  <A, E, R>(stage: Stage, effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      let outcome: Exit.Exit<A, E> | undefined
      const watched = Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          outcome = exit
        }))
      return Effect.catchCause(Effect.suspend(() => around(stage, watched)), (cause) => {
        if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
        if (outcome === undefined) return Effect.andThen(report(`around ${stage}`, cause), effect)
        const own = hooksOwn(cause, outcome)
        return own === undefined ? outcome : Effect.andThen(report(`around ${stage}`, own), outcome)
      })
    })

// The defects in `cause` that are not the stage's. When a finalizer fails, the error before it becomes a defect as
// well.
const hooksOwn = (
  cause: Cause.Cause<unknown>,
  outcome: Exit.Exit<unknown, unknown>
): Cause.Cause<never> | undefined => {
  const known = Exit.isSuccess(outcome) ? [] : outcome.cause.reasons.map((reason) => {
    if (Cause.isFailReason(reason)) return reason.error
    return Cause.isDieReason(reason) ? reason.defect : undefined
  })
  const own = cause.reasons.filter(Cause.isDieReason).filter(({ defect }) => !known.includes(defect))
  return own.length === 0 ? undefined : Cause.fromReasons(own)
}
