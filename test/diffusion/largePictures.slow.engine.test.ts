import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"

type Input = NonNullable<Parameters<typeof Txt2Img.make>[0]>

const picture = (override_settings: OptionsPatch, input: Input = {}) =>
  processImages(
    Txt2Img.make({
      prompt: "a red circle on a blue background",
      seed: 1,
      steps: 4,
      width: 256,
      height: 192,
      ...input,
      override_settings: { samples_save: false, ...override_settings }
    })
  ).pipe(Effect.map(({ images: [image] }) => image?.pixels ?? new Uint8Array()))

const distance = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length

/** Mean distance of neighbours across the left and right edge, and of all neighbours. */
const seam = (pixels: Uint8Array, width: number, height: number) => {
  let across = 0
  let inside = 0
  const at = (x: number, y: number, channel: number) => pixels[(y * width + x) * 3 + channel] ?? NaN
  for (let y = 0; y < height; y++) {
    for (let channel = 0; channel < 3; channel++) {
      across += Math.abs(at(0, y, channel) - at(width - 1, y, channel))
      for (let x = 1; x < width; x++) inside += Math.abs(at(x, y, channel) - at(x - 1, y, channel))
    }
  }
  return { across: across / (height * 3), inside: inside / (height * 3 * (width - 1)) }
}

layer(Serena.layer({ cmdOpts: { threads: 1 } }))("large images of the embedded model", (it) => {
  it.effect("are decoded in tiles nearly as they are in one piece", () =>
    Effect.gen(function*() {
      const [whole, tiled] = [yield* picture({ vae_tile_threshold: 0 }), yield* picture({ vae_tile_threshold: 192 })]
      assert.notDeepEqual(whole, tiled)
      assert.isBelow(distance(whole, tiled), 6)
    }))

  it.effect("are sampled in tiles when the settings say so", () =>
    Effect.gen(function*() {
      const [whole, tiled] = [yield* picture({}), yield* picture({ latent_tile_size: 128 })]
      assert.notDeepEqual(whole, tiled)
      assert.deepStrictEqual(yield* picture({ latent_tile_size: 256 }), whole)
    }))

  it.effect("go on at the other edge when they are seamless, also in tiles", () =>
    Effect.gen(function*() {
      // Hardly denoised, so that there is something at the edges.
      const size = { width: 192, height: 128, steps: 2, cfg_scale: 1 }
      const edges = (tiling: boolean, settings: OptionsPatch = {}) =>
        Effect.map(picture(settings, { ...size, tiling }), (pixels) => seam(pixels, 192, 128))
      for (const settings of [{}, { latent_tile_size: 128, vae_tile_threshold: 128 }]) {
        const { across, inside } = yield* edges(true, settings)
        assert.isBelow(across, 3 * inside)
      }
      const { across, inside } = yield* edges(false)
      assert.isAbove(across, 5 * inside)
    }))
})
