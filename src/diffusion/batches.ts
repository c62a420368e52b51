/**
 * Batch after batch: the files of one are written while the next one is made, so that what is finished waits for no
 * other. Where the images are made is the pipeline's affair.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { hashedPlan, type ImagePlan, type RunPlan } from "../planning/RunPlan.ts"
import { extraImagesOf, type Generated, type GeneratedImage, processedOf } from "../runner/Processed.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import * as output from "./output.ts"

/** What was made of a batch. */
export interface MadeBatch {
  readonly images: ReadonlyArray<GeneratedImage>
  /** False when the batch was ended early. */
  readonly complete: boolean
}

/** Passes of each batch: two with hires fix. */
export const passesOf = ({ hires }: RunPlan): number => hires === undefined ? 1 : 2

/** What progress says of a batch, counted from 0; empty when it is the only one. */
export const textOf = ({ batches }: RunPlan, index: number): string =>
  batches.length > 1 ? `Batch ${index + 1} of ${batches.length}` : ""

/**
 * Makes all batches and writes their images, until the run is asked to end. A save that fails ends the run at once; a
 * file that has begun is finished, also when the run is interrupted or fails.
 *
 * A batch that an earlier attempt at the run has finished is not made again: its images are in the result as they are.
 * Of one that it has not finished, they take the places of those that are made again.
 *
 * What is written waits for the plan's hashes, and the next batch does not. A run that ends early waits for none: its
 * images are written without those that are missing.
 */
export const make = Effect.fnUntraced(function*<E, R>(
  plan: RunPlan,
  makeBatch: (batch: ReadonlyArray<ImagePlan>, index: number) => Effect.Effect<MadeBatch, E, R>
) {
  const { opts, state } = yield* RuntimeContext
  const planned = plan.batches.flat()
  const before = new Map(
    state.finished.filter(({ index }) => index < planned.length).map((image) => [image.index, image])
  )
  const written = new Map(before)
  const inOrder = () => [...written.values()].toSorted((a, b) => a.index - b.index)
  const { write } = yield* output.makeWriter(plan, opts, (image) =>
    Effect.suspend(() => {
      written.set(image.index, image)
      const images = inOrder()
      return state.update({ images: images.flatMap(processedOf), extraImages: images.flatMap(extraImagesOf) })
    }))
  const ended = yield* Deferred.make<RunPlan>()
  const hashed = Effect.interruptible(Effect.raceFirst(hashedPlan(plan), Deferred.await(ended)))
  // The batch that is being written while the next one is made.
  let writing: Fiber.Fiber<ReadonlyArray<GeneratedImage>, output.WriteError> | undefined
  const joined = Effect.suspend(() => writing === undefined ? Effect.void : Fiber.join(writing))
  const all = Effect.gen(function*() {
    for (const [index, batch] of plan.batches.entries()) {
      const { interrupted, stopping } = yield* state.progress
      if (interrupted || stopping) break
      if (batch.every((image) => before.has(image.index))) {
        yield* state.update({ passesDone: (index + 1) * passesOf(plan), samplingStep: 0 })
        continue
      }
      yield* state.update({
        activity: "sampling",
        text: textOf(plan, index),
        samplingStep: 0,
        skipped: false,
        preview: undefined
      })
      const made = makeBatch(batch, index).pipe(
        Effect.withSpan("batch", { attributes: { "serena.batch.index": index, "serena.batch.images": batch.length } })
      )
      const { complete, images } = yield* Effect.raceFirst(made, Effect.andThen(joined, Effect.never))
      yield* joined
      if (complete || !(yield* state.progress).interrupted) {
        yield* state.update({ passesDone: (index + 1) * passesOf(plan), samplingStep: 0 })
      }
      writing = yield* Effect.flatMap(
        hashed,
        (plan) => write(images.map((image) => before.get(image.index) ?? image), plan)
      ).pipe(
        Effect.withSpan("write", { attributes: { "serena.batch.index": index } }),
        Effect.uninterruptible,
        Effect.forkChild({ startImmediately: true })
      )
    }
    yield* joined
  })
  yield* Effect.onExit(all, () =>
    Effect.andThen(
      Deferred.succeed(ended, plan),
      writing === undefined ? Effect.void : Effect.asVoid(Fiber.await(writing))
    ))
  const images = inOrder()
  const generated: Generated = {
    images,
    interrupted: images.length < planned.length || images.some(({ complete }) => !complete),
    warnings: (yield* hashedPlan(plan)).warnings
  }
  return generated
})
