import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { OptionsPatch } from "../../src/processing/FieldTypes.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"

const made = Effect.fnUntraced(function*(override_settings: OptionsPatch) {
  const { images: [image] } = yield* processImages(
    Txt2Img.make({
      prompt: "a red circle on a blue background",
      seed: 1,
      steps: 20,
      override_settings: { samples_save: false, ...override_settings }
    })
  )
  return image ?? assert.fail("the run made no image")
})

const difference = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length

it.effect.each(["Automatic", "int8"] as const)(
  "runs that reuse deep layers make nearly the same image, the same each time: %s",
  (unet_precision) =>
    Effect.gen(function*() {
      const plain = yield* made({ unet_precision })
      const deep = yield* made({ unet_precision, deepcache_interval: 2 })
      assert.include(deep.infotext, "DeepCache interval: 2")
      assert.notInclude(plain.infotext, "DeepCache")
      assert.isAbove(difference(deep.pixels, plain.pixels), 0)
      assert.isBelow(difference(deep.pixels, plain.pixels), 2)
      // Runs with and without it take turns on one model.
      assert.deepStrictEqual((yield* made({ unet_precision })).pixels, plain.pixels)
      assert.deepStrictEqual((yield* made({ unet_precision, deepcache_interval: 2 })).pixels, deep.pixels)
    }).pipe(Effect.provide(Serena.layer({ cmdOpts: { threads: 1 } })))
)
