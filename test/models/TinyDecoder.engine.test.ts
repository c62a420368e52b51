import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { renameSync } from "node:fs"
import { join } from "node:path"
import { sd1 } from "../../src/families/sd1.ts"
import { sdxl } from "../../src/families/sdxl.ts"
import { makeFinder } from "../../src/models/findFiles.ts"
import * as TinyDecoder from "../../src/models/TinyDecoder.ts"
import { unpack } from "./checkpoint/data.ts"
import { layerModels } from "./fixtures.ts"
import { entries, numbersOf, opened, shapeOf } from "./networks/references.ts"
import { largestDifference } from "./numbers.ts"

layer(layerModels())("a tiny decoder", (it) => {
  it.effect.each(["taesd-decoder", "taesd-diffusers"])(
    "gives what PyTorch computes, from -1 to 1: %s",
    (id) =>
      Effect.gen(function*() {
        const folder = yield* unpack("vaes/taesd*")
        const { cases, file = "", operations } = entries.find((entry) => entry.id === id) ?? assert.fail("it is there")
        const given = yield* opened(folder, cases)
        const { decode, space } = yield* TinyDecoder.make(join(folder, file))
        const [rows = 0, channels = 0, height = 0, width = 0] = shapeOf(given, "decode/in/z")
        const latents = numbersOf(given.tensors.get("decode/in/z"))
        const expected = numbersOf(given.tensors.get("decode/out/out"))
        const atol = operations?.["decode"]?.tolerances["out"]?.atol ?? 0
        for (let row = 0; row < rows; row++) {
          const latent = latents.subarray(row * latents.length / rows, (row + 1) * latents.length / rows)
          const pixels = yield* decode(latent, { channels, frames: 1, height, width })
          assert.strictEqual(pixels.length, 3 * height * width * space ** 2)
          const wanted = expected.subarray(row * pixels.length, (row + 1) * pixels.length).map((value) => value * 2 - 1)
          assert.isAtMost(largestDifference(pixels, wanted), 2 * atol)
        }
      }).pipe(Effect.scoped)
  )

  it.effect("is for the latents that its name says: Stable Diffusion's, or SDXL's", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("vaes/taesd_*", "vaes/diffusers.safetensors")
      const at = (name: string) => join(folder, "vaes", `${name}.safetensors`)
      renameSync(at("taesd_encoder"), at("taesdxl_encoder"))
      const fitting = Effect.gen(function*() {
        const files = yield* makeFinder()([{ folder, embedded: false }])
        return [sd1, sdxl].map(({ latents }) =>
          files.filter((file) => TinyDecoder.decodes(file, latents)).map(({ name }) => name)
        )
      })
      assert.deepStrictEqual(yield* fitting, [["taesd_decoder"], []])
      renameSync(at("taesd_decoder"), at("taesdxl_decoder"))
      assert.deepStrictEqual(yield* fitting, [[], ["taesdxl_decoder"]])
    }).pipe(Effect.scoped))
})
