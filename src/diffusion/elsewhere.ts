/**
 * Runs whose images are made elsewhere, by another server or by a worker: what happens here all the same.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { drawSeeds } from "../planning/drawSeeds.ts"
import type { ServerNames } from "../planning/names.ts"
import { outline, plan, type PlanFacts } from "../planning/plan.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { firstAxis } from "../processing/Plot.ts"
import type { Processing } from "../processing/Processing.ts"
import type { ProcessingRequest } from "../runner/ProcessingRequest.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import * as output from "./output.ts"
import { decodeSource, factsOf } from "./readSource.ts"

/** What is known of the place where the images are made. */
export interface Elsewhere<E, R> {
  /** Words for it, such as `on another server`. */
  readonly where: string
  /** The samplers and schedulers that it has besides Serena's. */
  readonly names: Effect.Effect<ServerNames, E, R>
  readonly model: Effect.Effect<PlanFacts["model"], E, R>
}

/** Plans a request without a model: of what only the other side knows, nothing is made up. */
export const prepare = Effect.fn("prepare")(
  function*<E, R>({ processing: asked, runId }: ProcessingRequest<Processing>, elsewhere: Elsewhere<E, R>) {
    const { cmdOpts: { limits }, model, opts, state } = yield* RuntimeContext
    const axis = firstAxis(asked)
    if (axis !== undefined) {
      const message = `a run ${elsewhere.where} makes no plot. Make its cells one by one, or the plot on this machine`
      return yield* new InvalidProcessing({ problems: [{ path: axis, message }] })
    }
    const source = asked._tag === "Img2Img"
      ? factsOf(yield* decodeSource(asked, limits), asked.mask === undefined ? "none" : "used")
      : undefined
    const settled = yield* Effect.fromResult(outline({
      runId,
      processing: asked,
      model,
      opts,
      limits,
      source,
      upscalers: undefined,
      styles: undefined,
      server: yield* elsewhere.names
    }))
    const { processing } = settled
    yield* output.check(processing, opts)
    const seeds = yield* drawSeeds(processing, state.finished[0])
    yield* state.update({
      activity: "preparing",
      passCount: processing.n_iter * (settled.hires === undefined ? 1 : 2),
      samplingSteps: processing.steps
    })
    return plan(settled, { ...seeds, model: yield* elsewhere.model, startedAt: yield* Clock.currentTimeMillis })
  }
)

/** Passes wishes of this side on as soon as they are there, until it is interrupted. */
export const passOn = Effect.fnUntraced(
  function*<R>(
    wishes: { readonly interrupt: Effect.Effect<void, never, R>; readonly skip: Effect.Effect<void, never, R> }
  ) {
    const { state } = yield* RuntimeContext
    let asked = false
    yield* Stream.runForEach(state.changes, ({ interrupted, skipped }) =>
      Effect.gen(function*() {
        if (interrupted && !asked) {
          asked = true
          yield* wishes.interrupt
        }
        if (skipped) {
          yield* state.update({ skipped: false })
          yield* wishes.skip
        }
      }))
    return yield* Effect.never
  }
)
