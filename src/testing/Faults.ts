/**
 * Stages that fail, die, hang or run slowly, to test how a program handles runs that go wrong.
 *
 * ```ts
 * TestRuntime.layer({ faults: [Faults.fail("execute", new InferenceError({ file: "unet", reason: "memory" }))] })
 * ```
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type { Stage } from "../runner/Lifecycle.ts"
import { Pipeline } from "../runner/Pipeline.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import type { RuntimeContext } from "../runner/RuntimeContext.ts"

/** Adds a fault to a pipeline. */
export type Fault = (pipeline: Pipeline["Service"]) => Pipeline["Service"]

type Work<A> = Effect.Effect<A, ProcessingError, RuntimeContext>

// Replaces the work of a stage; the replacement may still call it.
const at = (stage: Stage, instead: <A>(work: Work<A>) => Work<A>): Fault => {
  const when = <A>(here: Stage, work: () => Work<A>) => here === stage ? instead(Effect.suspend(work)) : work()
  return (pipeline) => ({
    prepare: (request) => when("prepare", () => pipeline.prepare(request)),
    execute: (state) => when("execute", () => pipeline.execute(state)),
    finalize: (state, executed) => when("finalize", () => pipeline.finalize(state, executed))
  })
}

/** When a fault occurs: before the stage starts, or after its work is done and before it returns. */
export interface When {
  readonly when?: "before" | "after" | undefined
}

const strike = (stage: Stage, fault: Work<never>, { when = "before" }: When = {}): Fault =>
  at(stage, (work) => when === "before" ? fault : Effect.andThen(work, fault))

/** The stage fails. */
export const fail = (stage: Stage, error: ProcessingError, options?: When): Fault =>
  strike(stage, Effect.fail(error), options)

/** The stage dies with a defect. */
export const die = (stage: Stage, defect: unknown, options?: When): Fault => strike(stage, Effect.die(defect), options)

/** The stage starts late. */
export const delay = (stage: Stage, duration: Duration.Input): Fault => at(stage, Effect.delay(duration))

/** A stage that waits before it starts. */
export interface Hanging {
  readonly fault: Fault
  /** Waits until a run hangs. */
  readonly hanging: Effect.Effect<void>
  /** Releases the hanging runs and all later ones. */
  readonly release: Effect.Effect<void>
}

/** The stage hangs until it is released. */
export const hang = Effect.fnUntraced(function*(stage: Stage): Effect.fn.Return<Hanging> {
  const reached = yield* Latch.make()
  const released = yield* Latch.make()
  return {
    fault: at(stage, (work) => Effect.andThen(Effect.andThen(reached.open, released.await), work)),
    hanging: reached.await,
    release: released.open
  }
})

/** Adds faults to the pipeline of a layer; the first one occurs first. */
export const layer =
  (...faults: ReadonlyArray<Fault>) => <E, R>(pipeline: Layer.Layer<Pipeline, E, R>): Layer.Layer<Pipeline, E, R> =>
    Layer.effect(Pipeline, Effect.map(Pipeline, (stages) => faults.reduceRight((worse, fault) => fault(worse), stages)))
      .pipe(Layer.provide(pipeline))
