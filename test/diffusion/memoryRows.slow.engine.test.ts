import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { LoadedModel, MemoryEstimate } from "../../src/model/LoadedModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import { layerModels } from "../models/fixtures.ts"

/** The model where so many rows of a call fit the memory. */
const withRoomFor = (model: LoadedModel, available: number): LoadedModel => {
  const estimate = (needed: number): Effect.Effect<MemoryEstimate> =>
    Effect.succeed({ needed: needed * 2 ** 30, available: (available + 0.5) * 2 ** 30, limit: "machine" })
  return {
    ...model,
    estimates: { denoising: ({ batch }) => estimate(batch), decode: () => estimate(1), encode: () => estimate(1) }
  }
}

const pixelsOf = (model: LoadedModel, sampler_name: string) =>
  processImages(Txt2Img.make({ prompt: "a blue heart", seed: 3, steps: 6, batch_size: 3, sampler_name })).pipe(
    Effect.map(({ images }) => images.map(({ pixels }) => pixels)),
    Effect.provide(TestRuntime.layer({ model }))
  )

describe("a batch of the embedded model that goes through the network in parts", () => {
  it.effect.each(["Euler a", "DPM++ 2M", "DDIM"])(
    "differs from the whole one by a level of 255 at most: %s",
    (sampler) =>
      Effect.gen(function*() {
        const model = yield* (yield* ModelProvider).load("shapes-128")
        const whole = yield* pixelsOf(withRoomFor(model, 6), sampler)
        for (const rows of [1, 4]) {
          const parts = yield* pixelsOf(withRoomFor(model, rows), sampler)
          const differences = parts.flatMap((pixels, i) =>
            Array.from(pixels, (level, at) => Math.abs(level - (whole[i]?.[at] ?? NaN)))
          )
          assert.isAtMost(differences.reduce((largest, each) => Math.max(largest, each), 0), 1, `${rows} rows at once`)
        }
      }).pipe(Effect.provide(layerModels()))
  )
})
