/**
 * Images of the reference checkpoints: 8 steps of Euler at CFG 7, from ids and noise.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import type { LatentShape } from "../../src/core/LatentShape.ts"
import type { NamedTensors, TextEncoder } from "../../src/model/Conditioner.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import type { WeightSource } from "../../src/models/checkpoint/WeightSource.ts"
import { Options } from "../../src/processing/Options.ts"
import * as Prompt from "../../src/prompt/Prompt.ts"
import { combineGuidance } from "../../src/sampling/Guidance.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import { numbersOf } from "./networks/references.ts"

/** What a model reads of rows of ids, one list of rows for each of its text encoders, as its conditioner joins them. */
export const textsOf = Effect.fnUntraced(function*(model: LoadedModel, ids: ReadonlyArray<Float32Array>) {
  const rows = Effect.fnUntraced(function*(row: number) {
    const encoders = model.textEncoders.map((encoder, place): TextEncoder => ({
      ...encoder,
      // The ids are given.
      vocabulary: Effect.succeed({ encode: () => Effect.succeed([]), comma: -1, start: 0, end: 0, padding: 0 }),
      encode: (_, options) =>
        encoder.encode(Array.from((ids[place] ?? ids[0])?.slice(row * 77, row * 77 + 77) ?? []), options)
    }))
    const [first = model.textEncoders[0], ...others] = encoders
    const { parts: [part] } = yield* model.conditioner.condition([first, ...others], {
      prompt: Prompt.parse("ids", { steps: 8 }),
      negative: undefined,
      size,
      guidanceScale: 7,
      settings: Options.defaults,
      mostChunks: 1
    })
    return part?.texts[0] ?? {}
  })
  return [yield* rows(0), yield* rows(1)] as const
})

/** Size that the references' SDXL is told; the others are told none. */
const size = { width: 24, height: 32 }

/** A picture of 8 steps of Euler at CFG 7, from two rows of texts and noise. */
const sampled = Effect.fnUntraced(function*(
  model: LoadedModel,
  texts: ReadonlyArray<NamedTensors>,
  noise: Float32Array,
  shape: LatentShape
) {
  const call = yield* model.denoising({
    ...shape,
    batch: 2,
    inputs: Record.map(texts[0] ?? {}, ({ dims }) => dims)
  })
  for (const [row, text] of texts.entries()) {
    for (const [name, { values }] of Object.entries(text)) call.inputs[name]?.set(values, row * values.length)
  }
  const length = noise.length
  const [denoised, guided] = [new Float32Array(length), new Float32Array(length)]
  const { sigmas, start } = Samplers.plan({
    sampler: Option.getOrThrow(Samplers.get("Euler")),
    process: model.noise,
    steps: 8
  })
  const latents = yield* Samplers.sample({
    sampler: "Euler",
    sigmas,
    process: model.noise,
    x: noise.map((value) => value * start.noise),
    denoiser: (x, sigma) =>
      Effect.suspend(() => {
        model.noise.input(call.sample.subarray(0, length), x, sigma)
        call.sample.copyWithin(length, 0, length)
        return Effect.map(call.run(model.noise.timestep(sigma)), () => {
          const [negative, positive] = [call.prediction.subarray(0, length), call.prediction.subarray(length)]
          combineGuidance(guided, negative, [{ weight: 1, values: positive }], 7)
          model.noise.denoised(denoised, x, guided, sigma)
          return denoised
        })
      })
  })
  return { latents, image: yield* model.decode(latents, shape) }
}, Effect.scoped)

/** Fails unless a model makes the image, and its latents, that PyTorch made. */
export const expectImage = Effect.fnUntraced(function*(
  model: LoadedModel,
  cases: WeightSource,
  tolerances: Readonly<Record<string, { readonly atol: number }>>
) {
  const given = (name: string) => cases.tensors.has(name) ? numbersOf(cases.tensors.get(name)) : undefined
  const ids = ["in/ids", "in/ids_open_clip"].flatMap((name) => given(name) ?? [])
  const noise = given("in/noise") ?? new Float32Array()
  const [height, width] = [16, noise.length / 64]
  const numbers = given("in/numbers")
  const read = yield* textsOf(model, ids)
  const sizes = numbers && { time_ids: { dims: [numbers.length], values: numbers } }
  const texts = [{ ...read[0], ...sizes }, { ...read[1], ...sizes }]
  const { image, latents } = yield* sampled(model, texts, noise, { channels: 4, frames: 1, height, width })
  for (const [name, values] of [["latents", latents], ["image", image]] as const) {
    const expected = given(`out/${name}`)
    const tolerance = tolerances[name]
    if (expected === undefined || tolerance === undefined) continue
    // One image is stored in half precision, which rounds by up to a 2048th.
    const excess = values.map((value, i) =>
      Math.abs(value - (expected[i] ?? NaN)) - (name === "image" ? Math.abs(expected[i] ?? NaN) / 2048 : 0)
    )
    assert.isAtMost(Math.max(...excess), tolerance.atol, name)
  }
})
