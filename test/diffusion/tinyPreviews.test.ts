import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as previews from "../../src/diffusion/previews.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Options } from "../../src/processing/Options.ts"
import * as RunState from "../../src/runner/RunState.ts"
import * as TestModel from "../../src/testing/TestModel.ts"

const shape = { channels: 4, frames: 1, height: 2, width: 2 }

/** The preview of one step, and which decoder made it. */
const previewed = Effect.fnUntraced(function*(
  model: Partial<TestModel.Options>,
  show_progress_type: typeof Options.defaults.show_progress_type,
  lowvram = false
) {
  const by: Array<string> = []
  const decoding = (name: string) => (latent: Float32Array) =>
    Effect.sync(() => {
      by.push(name)
      return new Float32Array(latent.length * 48).fill(0.5)
    })
  const state = yield* RunState.make("run")
  const show = yield* previews.make({
    model: TestModel.make({
      decode: decoding("own"),
      ...(model.tinyDecoder !== undefined && { tinyDecoder: Effect.succeed({ decode: decoding("tiny"), space: 8 }) })
    }),
    opts: { ...Options.defaults, show_progress_type, show_progress_every_n_steps: 1 },
    cmdOpts: { ...CommandOptions.defaults, lowvram },
    state,
    images: 1,
    seamless: false,
    embeddings: []
  }, shape)
  const latents = new Float32Array(16)
  yield* show({ step: 1, steps: 2, sigma: 1, x: latents, denoised: latents })
  const { preview } = yield* state.changes.pipe(
    Stream.filter(({ preview }) => preview !== undefined),
    Stream.take(1),
    Stream.runLast,
    Effect.flatMap(Effect.fromOption)
  )
  return `${preview?.width}x${preview?.height} by ${by.join() || "colours"}`
}, Effect.scoped)

describe("a preview by a tiny autoencoder", () => {
  const tiny = { tinyDecoder: Effect.undefined }

  it.effect("takes its place where there is one, and the model's colours do where there is none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* previewed(tiny, "TAESD"), "16x16 by tiny")
      assert.strictEqual(yield* previewed({}, "TAESD"), "2x2 by colours")
    }))

  it.effect("is not asked for by the other methods, nor where memory holds one network", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* previewed(tiny, "Full"), "16x16 by own")
      assert.strictEqual(yield* previewed(tiny, "Approx cheap"), "2x2 by colours")
      assert.strictEqual(yield* previewed(tiny, "TAESD", true), "2x2 by colours")
    }))
})
