import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { latentLength } from "../../src/core/LatentShape.ts"
import * as GuidedDenoiser from "../../src/diffusion/GuidedDenoiser.ts"
import type { NamedTensors, ScheduledConditioning } from "../../src/model/Conditioner.ts"
import { sourceInput } from "../../src/model/SourceChannels.ts"
import * as Prompt from "../../src/prompt/Prompt.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import { TestModel } from "../../src/testing/index.ts"

const shape = { channels: 4, frames: 1, height: 4, width: 4 }
const size = 64

/** A network that says a hundred times its text, plus its source image. */
const summing = TestModel.make({
  source: { channels: 4, isInpainting: false, of: ({ pixels }) => Effect.succeed(new Float32Array(pixels ? 1 : 0)) },
  denoising: (shape) =>
    Effect.sync(() => {
      const latent = latentLength(shape)
      const sample = new Float32Array(shape.batch * latent)
      const prediction = new Float32Array(sample.length)
      const tokens = shape.inputs["text"]?.[0] ?? 0
      const text = new Float32Array(shape.batch * tokens)
      const source = new Float32Array(sample.length)
      return {
        sample,
        prediction,
        inputs: { text, [sourceInput]: source },
        run: () =>
          Effect.sync(() => {
            for (const i of prediction.keys()) {
              prediction[i] = 100 * (text[Math.floor(i / latent) * tokens] ?? NaN) + (source[i] ?? NaN)
            }
          })
      }
    })
})

const said = (value: number, tokens = 1): NamedTensors => ({
  text: { dims: [tokens], values: new Float32Array(tokens).fill(value) }
})

const conditioningOf = (text: NamedTensors, weight = 1): ScheduledConditioning => ({
  weight,
  schedule: Prompt.parse("", { steps: 1 }).parts[0]?.schedule ?? assert.fail("a prompt has a part"),
  texts: [text]
})

const sigma = 2

/** What a guided denoiser made of the network's predictions, which predict noise. */
const guided = (
  options:
    & Partial<GuidedDenoiser.GuidedDenoiserOptions<never>>
    & Pick<
      GuidedDenoiser.GuidedDenoiserOptions<never>,
      "conditioning"
    >
) =>
  Effect.gen(function*() {
    const { denoiser } = yield* GuidedDenoiser.make({
      model: summing,
      shape,
      process: summing.noise,
      sampler: Option.getOrThrow(Samplers.get("Euler")),
      batch: 1,
      cfgScale: 7,
      calls: 1,
      gate: Effect.void,
      source: new Float32Array(size).fill(10),
      ...options
    })
    const x = new Float32Array(size)
    const denoised = yield* denoiser(x, sigma)
    const values = new Set(denoised.map((value) => Math.round(-value / sigma * 1e3) / 1e3))
    assert.strictEqual(values.size, 1)
    return [...values][0]
  }).pipe(Effect.scoped)

// Predictions: of both, of the image alone, of neither.
const [both, image, neither] = [300 + 10, 100 + 10, 100]
const [prompt, negative] = [conditioningOf(said(3)), conditioningOf(said(1))]

describe("guidance by an image", () => {
  it.effect("is equation 3 of InstructPix2Pix", () =>
    Effect.gen(function*() {
      const conditioning = { parts: [prompt], negative }
      for (const [cfgScale, imageScale] of [[7, 1.5], [7, 0], [1, 1.5], [2.5, 3]] as const) {
        assert.strictEqual(
          yield* guided({ conditioning, cfgScale, imageScale }),
          neither + imageScale * (image - neither) + cfgScale * (both - image)
        )
      }
    }))

  it.effect("is none at the scale 1: the image then counts as it does without a prompt", () =>
    Effect.gen(function*() {
      const conditioning = { parts: [prompt], negative }
      const plain = yield* guided({ conditioning })
      assert.strictEqual(plain, image + 7 * (both - image))
      assert.strictEqual(yield* guided({ conditioning, imageScale: 1 }), plain)
    }))

  it.effect("works with prompts of different lengths, in tiles, and never skips the negative prompt", () =>
    Effect.gen(function*() {
      const expected = neither + 1.5 * (image - neither) + 7 * (both - image)
      const conditioning = { parts: [prompt], negative: conditioningOf(said(1, 2)) }
      assert.strictEqual(yield* guided({ conditioning, imageScale: 1.5 }), expected)
      for (
        const more of [
          { tiles: { size: 2, overlap: 0 } },
          { skipping: { early: 1, late: 1, below: 100, everyCall: true } }
        ]
      ) {
        assert.strictEqual(
          yield* guided({ conditioning: { parts: [prompt], negative }, imageScale: 1.5, ...more }),
          expected
        )
      }
    }))

  it.effect("guides each part of a prompt with AND from the image", () =>
    Effect.gen(function*() {
      const parts = [prompt, conditioningOf(said(5), 0.5)]
      assert.strictEqual(
        yield* guided({ conditioning: { parts, negative }, imageScale: 1.5 }),
        neither + 1.5 * (image - neither) + 7 * (both - image) + 0.5 * 7 * (510 - image)
      )
    }))
})
