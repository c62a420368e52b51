import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { OptionsPatch } from "../../src/processing/FieldTypes.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"

const made = Effect.fnUntraced(function*(
  override_settings: OptionsPatch,
  request: Partial<Pick<Txt2Img, "batch_size" | "enable_hr" | "height" | "seed" | "steps" | "width">> = {}
) {
  const { images } = yield* processImages(
    Txt2Img.make({
      prompt: "a red circle on a blue background",
      seed: 1,
      steps: 10,
      ...request,
      override_settings: { samples_save: false, ...override_settings }
    })
  )
  return images
})

const difference = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length

it.effect.each(["Automatic", "int8"] as const)(
  "runs that merge tokens make nearly the same image, the same each time and in a batch: %s",
  (unet_precision) =>
    Effect.gen(function*() {
      const merging = { unet_precision, token_merging_ratio: 0.5 }
      const [plain = assert.fail("the run made no image")] = yield* made({ unet_precision })
      const [first = assert.fail("the run made no image"), second] = yield* made(merging, { batch_size: 2 })
      assert.include(first.infotext, "Token merging ratio: 0.5")
      assert.notInclude(plain.infotext, "Token merging")
      assert.isAbove(difference(first.pixels, plain.pixels), 0)
      assert.isBelow(difference(first.pixels, plain.pixels), 3)
      assert.deepStrictEqual((yield* made(merging))[0]?.pixels, first.pixels)
      assert.deepStrictEqual((yield* made(merging, { seed: 2 }))[0]?.pixels, second?.pixels)
      // Runs with and without it take turns on one model.
      assert.deepStrictEqual((yield* made({ unet_precision }))[0]?.pixels, plain.pixels)
    }).pipe(Effect.provide(Serena.layer({ cmdOpts: { threads: 2 } })))
)

it.effect("merged tokens go with deep layers that are reused, sliced attention and the second pass's own ratio", () =>
  Effect.gen(function*() {
    const merging = { token_merging_ratio: 0.5 }
    const deep = { deepcache_interval: 2, deepcache_start: 0 }
    const [both] = yield* made({ ...merging, ...deep })
    const [alone] = yield* made(deep)
    const away = difference(both?.pixels ?? new Uint8Array(), alone?.pixels ?? new Uint8Array())
    assert.isAbove(away, 0)
    assert.isBelow(away, 4)

    const hires = { enable_hr: true, steps: 4 }
    const [same] = yield* made({ ...merging }, hires)
    const [other] = yield* made({ ...merging, token_merging_ratio_hr: 0.75 }, hires)
    assert.include(same?.infotext, "Token merging ratio: 0.5, Token merging ratio hr: 0.5")
    assert.include(other?.infotext, "Token merging ratio: 0.5, Token merging ratio hr: 0.75")
    assert.isAbove(difference(other?.pixels ?? new Uint8Array(), same?.pixels ?? new Uint8Array()), 0)

    const large = { height: 512, width: 512, steps: 2 }
    const [sliced] = yield* made({ ...merging }, large)
    const [whole] = yield* made({}, large)
    assert.isBelow(difference(sliced?.pixels ?? new Uint8Array(), whole?.pixels ?? new Uint8Array()), 10)
  }).pipe(Effect.provide(Serena.layer({ cmdOpts: { threads: 2 } }))))
