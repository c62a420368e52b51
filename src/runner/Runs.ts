/**
 * The live runs of this process by run id, for progress endpoints and interrupt buttons.
 *
 * A run is listed from the capture of its context until it ends for any reason.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { RunProgress, RunState } from "./RunState.ts"

export class Runs extends Context.Service<Runs, {
  /** The runs that have not ended, oldest first. */
  readonly list: Effect.Effect<ReadonlyArray<RunState>>
  /** Finds a run by its id. */
  readonly get: (runId: string) => Effect.Effect<Option.Option<RunState>>
  /**
   * The progress of a run from now until it ends. Waits for a run that has not started; for a run that has ended it
   * waits for ever, so subscribe before submitting.
   */
  readonly watch: (runId: string) => Stream.Stream<RunProgress>
  /** Lists a run until the scope closes. */
  readonly enter: (state: RunState) => Effect.Effect<void, never, Scope.Scope>
}>()("serena/runner/Runs") {
  static readonly layer: Layer.Layer<Runs> = Layer.effect(
    Runs,
    Effect.gen(function*() {
      const runs = yield* SubscriptionRef.make<ReadonlyArray<RunState>>([])
      const find = (runId: string) => (runs: ReadonlyArray<RunState>) =>
        Option.fromUndefinedOr(runs.find((state) => state.runId === runId))
      return Runs.of({
        list: SubscriptionRef.get(runs),
        get: (runId) => Effect.map(SubscriptionRef.get(runs), find(runId)),
        watch: (runId) =>
          SubscriptionRef.changes(runs).pipe(
            Stream.map(find(runId)),
            Stream.filter(Option.isSome),
            Stream.take(1),
            Stream.flatMap(({ value }) => value.changes)
          ),
        enter: (state) =>
          Effect.acquireRelease(
            SubscriptionRef.update(runs, (runs) => [...runs, state]),
            () => SubscriptionRef.update(runs, (runs) => runs.filter((other) => other !== state))
          )
      })
    })
  )
}
