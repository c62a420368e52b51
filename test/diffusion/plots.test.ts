import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { TestRuntime } from "../../src/testing/index.ts"

type Input = Parameters<typeof Txt2Img.make>[0]

const request = { prompt: "a red cat", seed: 5, steps: 2, width: 32, height: 32 }
const run = (input: Input = {}) => processImages(Txt2Img.make({ ...request, ...input }))
const refusal = (input: Input) => Effect.map(Effect.flip(run(input)), String)
const runtime = TestRuntime.layer()

describe("an X/Y/Z plot", () => {
  it.effect("makes each cell as a request of its own, and draws them in one image with their values", () =>
    Effect.gen(function*() {
      const { extraImages, images, interrupted, state } = yield* run({
        x_axis: "Steps: 2-4",
        y_axis: "Prompt S/R: red, blue",
        z_axis: "Clip skip: 1, 2"
      })
      assert.isFalse(interrupted)
      assert.deepStrictEqual(images.map(({ index }) => index), Array.from({ length: 12 }, (_, i) => i))
      for (const [i, image] of images.entries()) {
        const { images: [alone] } = yield* run({
          steps: 2 + i % 3,
          prompt: Math.floor(i / 3) % 2 === 0 ? "a red cat" : "a blue cat",
          override_settings: { CLIP_stop_at_last_layers: i < 6 ? 1 : 2 }
        })
        assert.deepStrictEqual([image.infotext, image.pixels], [alone?.infotext, alone?.pixels])
      }
      assert.deepStrictEqual(state.plot, {
        x: ["Steps: 2", "Steps: 3", "Steps: 4"],
        y: ["red", "blue"],
        z: ["Clip skip: 1", "Clip skip: 2"]
      })
      assert.deepStrictEqual(extraImages.map(({ kind }) => kind), ["grid"])
    }).pipe(Effect.provide(runtime)))

  it.effect("has one random seed for all cells, sizes of all kinds, and as many images in each cell", () =>
    Effect.gen(function*() {
      const { images } = yield* run({
        seed: -1,
        batch_size: 2,
        x_axis: "Size: 32x32, 64x32",
        y_axis: "CFG Scale: 1, 7"
      })
      const [first] = images
      assert.deepStrictEqual(
        images.map(({ height, seed, width }) => [width, height, Number(seed) - Number(first?.seed)]),
        [32, 64, 32, 64].flatMap((width) => [[width, 32, 0], [width, 32, 1]])
      )
    }).pipe(Effect.provide(runtime)))

  it.effect.each<readonly [axis: string, expected: ReadonlyArray<string>]>([
    ["Steps: 1-5 (+2)", ["1", "3", "5"]],
    ["Steps: 3-1", ["3", "2", "1"]],
    ["steps: 1-9 [3], 4", ["1", "5", "9", "4"]],
    ["CFG Scale: 1-2 (+0.5)", ["1", "1.5", "2"]],
    ["cfg_scale: 0-1 [3]", ["0", "0.5", "1"]],
    ["Seed: 1, -1--1", ["1", "-1"]],
    ["Prompt S/R: \"a red cat\", \"x, \"\"y\"\"\"", ["a red cat", "x, \"y\""]],
    ["Sampler: Euler, DPM++ 2M", ["Euler", "DPM++ 2M"]],
    ["Prompt matrix: night | by a lake", ["", "night", "by a lake", "night, by a lake"]]
  ])("reads %s", ([axis, expected]) =>
    Effect.gen(function*() {
      const { state } = yield* run({ x_axis: axis })
      assert.deepStrictEqual(state.plot?.x.map((label) => label.replace(/^[A-Z][^:]*: /, "")), expected)
    }).pipe(Effect.provide(runtime)))

  it.effect("makes every combination of the parts of a prompt, which follow it", () =>
    Effect.gen(function*() {
      const { images } = yield* run({ x_axis: "Prompt matrix: night", y_axis: "Prompt matrix: by a lake" })
      assert.deepStrictEqual(images.map(({ prompt }) => prompt), [
        "a red cat",
        "a red cat, night",
        "a red cat, by a lake",
        "a red cat, night, by a lake"
      ])
    }).pipe(Effect.provide(runtime)))

  it.effect("names what is wrong with an axis", () =>
    Effect.gen(function*() {
      const wrong = (x_axis: string) => refusal({ x_axis })
      assert.include(yield* wrong("Stepz: 1"), "x_axis: no axis of txt2img is named \"Stepz\". Did you mean \"Steps\"?")
      assert.include(yield* wrong("Steps"), "x_axis: the axis Steps has no values")
      assert.include(yield* wrong("Steps: many"), "x_axis: \"many\" is not a whole number")
      assert.include(yield* wrong("Prompt S/R: dog, cat"), "\"dog\", the first value, is in neither prompt")
      assert.include(yield* wrong("Steps: 1-1000"), "values are over the limit of 400")
      assert.include(yield* wrong("Prompt matrix: a|b|c|d|e|f|g|h|i"), "values are over the limit of 400")
      assert.include(yield* wrong("Steps: 0"), "Correct steps:")
      assert.include(yield* wrong("Sampler: Euler, Oiler"), "Oiler")
    }).pipe(Effect.provide(runtime)))
})
