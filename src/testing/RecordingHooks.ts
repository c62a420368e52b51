/**
 * Hooks that record every call, in order.
 *
 * ```ts
 * yield* processImages(processing)
 * const { calls } = yield* RecordingHooks
 * assert.deepStrictEqual((yield* calls).map((call) => call.hook), ["around:prepare:start", ...])
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { RunPlan } from "../planning/RunPlan.ts"
import type { Stage } from "../runner/Lifecycle.ts"
import type { Generated, Processed } from "../runner/Processed.ts"
import { type HookSet, RunnerHooks } from "../runner/RunnerHooks.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

/** One call of a hook, with its arguments. */
export type Call =
  & (
    | { readonly hook: "onPrepare"; readonly state: RunPlan }
    | { readonly hook: "onExecute"; readonly state: RunPlan; readonly executed: Generated }
    | { readonly hook: "onFinalize"; readonly state: RunPlan; readonly result: Processed }
    | { readonly hook: `around:${Stage}:start` }
    | { readonly hook: `around:${Stage}:end`; readonly exit: Exit.Exit<unknown, unknown> }
  )
  & {
    /** Id of the calling run. */
    readonly runId: string
  }

/** The recorded calls. */
export class RecordingHooks extends Context.Service<RecordingHooks, {
  /** Every call, in order. */
  readonly calls: Effect.Effect<ReadonlyArray<Call>>
  /** Clears them. */
  readonly clear: Effect.Effect<void>
  /** The recording hooks, to combine with others in `RunnerHooks.layer`. */
  readonly hooks: HookSet
}>()("serena/testing/RecordingHooks") {
  /** A recorder that is not attached to any runs. */
  static readonly make: Effect.Effect<RecordingHooks["Service"]> = Effect.suspend(() => make)

  /** A recorder attached as the only hooks of all runs. */
  static readonly layer: Layer.Layer<RecordingHooks | RunnerHooks> = Layer.suspend(() =>
    RunnerHooks.layerEffect(Effect.map(RecordingHooks, ({ hooks }) => [hooks])).pipe(
      Layer.provideMerge(Layer.effect(RecordingHooks, make))
    )
  )
}

type WithoutRun<C> = C extends Call ? Omit<C, "runId"> : never

const make = Effect.gen(function*() {
  const recorded = yield* Ref.make<ReadonlyArray<Call>>([])
  const record = Effect.fnUntraced(function*(call: WithoutRun<Call>) {
    const { state } = yield* RuntimeContext
    const { runId } = yield* state.progress
    yield* Ref.update(recorded, (calls) => [...calls, { ...call, runId }])
  })
  return RecordingHooks.of({
    calls: Ref.get(recorded),
    clear: Ref.set(recorded, []),
    hooks: {
      onPrepare: (state) => record({ hook: "onPrepare", state }),
      onExecute: (state, executed) => record({ hook: "onExecute", state, executed }),
      onFinalize: (state, result) => record({ hook: "onFinalize", state, result }),
      around: (stage, effect) =>
        Effect.andThen(
          record({ hook: `around:${stage}:start` }),
          Effect.onExit(effect, (exit) => record({ hook: `around:${stage}:end`, exit }))
        )
    }
  })
})
