import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Raster } from "../../src/core/Raster.ts"
import { Img2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { TestRuntime } from "../../src/testing/index.ts"
import * as pictures from "./pictures.ts"

type Input = Omit<Parameters<typeof Img2Img.make>[0], "init_images" | "mask">

const run = Effect.fnUntraced(function*(input: Input & { readonly init?: Raster; readonly mask?: Raster } = {}) {
  const { init = pictures.slopes(), mask, ...fields } = input
  return yield* processImages(
    Img2Img.make({
      prompt: "a cat",
      seed: 1,
      steps: 8,
      ...fields,
      init_images: [yield* pictures.file(init)],
      ...(mask && { mask: yield* pictures.file(mask) })
    })
  )
})

const only = (input: Parameters<typeof run>[0]) =>
  Effect.map(run(input), ({ images: [image] }) => {
    assert.isDefined(image)
    return image
  })

/** Mean distance of two pictures' samples. */
const distance = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length

layer(TestRuntime.layer())("img2img", (it) => {
  it.effect("leaves more of the image the lower the denoising strength is", () =>
    Effect.gen(function*() {
      const init = pictures.draw(64, 64, () => [200, 30, 90])
      const distances = yield* Effect.forEach([0, 0.3, 0.6, 1], (denoising_strength) =>
        Effect.map(only({ init, denoising_strength }), ({ pixels }) =>
          distance(pixels, init.data)))
      for (const [i, value] of distances.entries()) {
        if (i > 0) {
          assert.isAbove(value, distances[i - 1] ?? NaN)
        }
      }
      assert.isBelow(distances[0] ?? NaN, 10)
    }))

  it.effect("makes as many steps as the webui does", () =>
    Effect.gen(function*() {
      const steps = Effect.fnUntraced(function*(input: Input) {
        const runs = yield* Runs
        const id = `steps-${JSON.stringify(input)}`
        const watching = yield* Effect.forkChild(Stream.runLast(runs.watch(id)), { startImmediately: true })
        const init_images = [yield* pictures.file(pictures.slopes())] as const
        yield* processImages(Img2Img.make({ seed: 1, steps: 20, ...input, init_images }), { runId: id })
        return Option.getOrThrow(yield* Fiber.join(watching)).samplingSteps
      })
      // samplers.md, section 4: t_enc + 1.
      for (const [strength, count] of [[0, 1], [0.3, 7], [0.5, 11], [0.75, 16], [1, 20]] as const) {
        assert.strictEqual(yield* steps({ denoising_strength: strength }), count)
      }
      const fixed = { img2img_fix_steps: true }
      assert.strictEqual(yield* steps({ denoising_strength: 0.3, override_settings: fixed }), 20)
    }))

  it.effect("keeps the image's own size, and takes any other", () =>
    Effect.gen(function*() {
      const init = pictures.slopes(75, 50)
      const own = yield* only({ init })
      assert.deepStrictEqual([own.width, own.height], [72, 48])
      for (const resize_mode of [0, 1, 2, 3] as const) {
        const { height, width } = yield* only({ init, width: 40, height: 80, resize_mode })
        assert.deepStrictEqual([width, height], [40, 80])
      }
    }))

  it.effect("brings an image to size in four ways", () =>
    Effect.gen(function*() {
      const init = pictures.draw(128, 64, (x, y) => x < 64 ? [250, y * 4, 10] : [10, y * 4, 250])
      const low = { init, width: 64, height: 64, denoising_strength: 0 }
      const made = yield* Effect.forEach([0, 1, 2, 3] as const, (resize_mode) => only({ ...low, resize_mode }))
      const corner = (pixels: Uint8Array, x: number, y: number) =>
        Array.from(pixels.subarray((y * 64 + x) * 3).slice(0, 3))
      const [stretched, cropped, filled, latent] = made.map(({ pixels }) => pixels)
      assert(stretched !== undefined && cropped !== undefined && filled !== undefined && latent !== undefined)
      assert.notDeepEqual(stretched, cropped)
      assert.notDeepEqual(stretched, filled)
      // All show red at the left and blue at the right.
      for (const pixels of [stretched, cropped, filled, latent]) {
        const [left = [], right = []] = [corner(pixels, 4, 32), corner(pixels, 59, 32)]
        assert.isAbove(left[0] ?? 0, left[2] ?? 0)
        assert.isAbove(right[2] ?? 0, right[0] ?? 0)
      }
    }))

  it.effect("starts each image of a batch from one of several", () =>
    Effect.gen(function*() {
      const [red, blue] = [pictures.draw(64, 64, () => [255, 0, 0]), pictures.draw(64, 64, () => [0, 0, 255])]
      const init_images = [yield* pictures.file(red), yield* pictures.file(blue)] as const
      const base = { prompt: "a cat", seed: 5, steps: 8, denoising_strength: 0.5 }
      const { images } = yield* processImages(Img2Img.make({ ...base, init_images, batch_size: 2 }))
      assert.lengthOf(images, 2)
      const alone = yield* only({ ...base, seed: 6, init: blue })
      assert.deepStrictEqual(images[1]?.pixels, alone.pixels)
    }))

  it.effect("lays transparent places over the background colour", () =>
    Effect.gen(function*() {
      const clear: Raster = { width: 64, height: 64, channels: 4, data: new Uint8Array(64 * 64 * 4) }
      const green = { override_settings: { img2img_background_color: "#00ff00" } }
      const opaque = pictures.draw(64, 64, () => [0, 255, 0])
      assert.deepStrictEqual(
        (yield* only({ init: clear, ...green })).pixels,
        (yield* only({ init: opaque, ...green })).pixels
      )
    }))

  it.effect("names every image that cannot be read", () =>
    Effect.gen(function*() {
      const good = yield* pictures.file(pictures.slopes())
      const error = yield* Effect.flip(processImages(
        Img2Img.make({
          init_images: [good, new TextEncoder().encode("no picture")],
          mask: good.subarray(0, 40),
          batch_size: 2
        })
      ))
      assert(error._tag === "InvalidProcessing")
      assert.deepStrictEqual(error.problems.map(({ path }) => path), ["init_images.1", "mask"])
    }))

  it.effect("takes the smallest images in every way", () =>
    Effect.gen(function*() {
      for (const resize_mode of [0, 1, 2, 3] as const) {
        const { height, width } = yield* only({ init: pictures.slopes(3, 5), width: 32, height: 24, resize_mode })
        assert.deepStrictEqual([width, height], [32, 24])
      }
    }))

  it.effect("stretches latents of no image that is larger than one may be made", () =>
    Effect.gen(function*() {
      const wide = pictures.slopes(2056, 8)
      const error = yield* Effect.flip(run({ init: wide, width: 64, height: 64, resize_mode: 3 }))
      assert(error._tag === "InvalidProcessing")
      assert.deepStrictEqual(error.problems.map(({ path }) => path), ["init_images.0"])
    }))

  it.effect("gives an image the colours of the one it came from when a setting says so", () =>
    Effect.gen(function*() {
      const init = pictures.draw(64, 64, (x) => [x * 4, 128, 128])
      const strong = { init, denoising_strength: 1 }
      const plain = yield* only(strong)
      const corrected = yield* only({ ...strong, override_settings: { img2img_color_correction: true } })
      const mean = (pixels: Uint8Array, channel: number) =>
        pixels.reduce((sum, value, i) => i % 3 === channel ? sum + value : sum, 0) / (pixels.length / 3)
      const off = (pixels: Uint8Array) =>
        [0, 1, 2].reduce((sum, channel) => sum + Math.abs(mean(pixels, channel) - mean(init.data, channel)), 0)
      assert.isBelow(off(corrected.pixels), off(plain.pixels))
    }))
})

describe("inpainting", () => {
  const init = pictures.slopes()
  const box = [16, 16, 40, 40] as const
  const mask = pictures.rectangle(box)
  const sharp = { init, mask, mask_blur_x: 0, mask_blur_y: 0 }
  const isInside = (place: number) => {
    const [x, y] = [place % 64, Math.floor(place / 64)]
    return x >= box[0] && x < box[2] && y >= box[1] && y < box[3]
  }
  const changed = (pixels: Uint8Array): ReadonlyArray<number> =>
    Array.from({ length: 64 * 64 }, (_, place) => place).filter((place) =>
      [0, 1, 2].some((channel) => pixels[place * 3 + channel] !== init.data[place * 3 + channel])
    )

  layer(TestRuntime.layer())((it) => {
    it.effect.each([true, false])(
      "keeps every pixel outside of the mask as it was (only the masked part: %s)",
      (part) =>
        Effect.gen(function*() {
          const { pixels } = yield* only({ ...sharp, inpaint_full_res: part, inpaint_full_res_padding: 8 })
          const places = changed(pixels)
          assert.isTrue(places.every(isInside))
          assert.isAbove(places.length, 300)
        })
    )

    it.effect.each(["Euler", "DDIM", "UniPC", "DPM++ 2M SDE"])(
      "keeps them with %s, also without the overlay, as latents",
      (sampler_name) =>
        Effect.gen(function*() {
          const flat = { ...sharp, init: pictures.draw(64, 64, () => [220, 60, 120]), inpaint_full_res: false }
          const { pixels } = yield* only({ ...flat, sampler_name, override_settings: { overlay_inpaint: false } })
          for (let place = 0; place < 64 * 64; place++) {
            const [x, y] = [place % 64, Math.floor(place / 64)]
            // Latents are squares of 8 pixels.
            if (x >= 16 && x < 40 && y >= 16 && y < 40) continue
            for (const [channel, value] of [220, 60, 120].entries()) {
              assert.closeTo(pixels[place * 3 + channel] ?? NaN, value, 2)
            }
          }
        })
    )

    it.effect("makes anew what the mask leaves out, when it is inverted", () =>
      Effect.gen(function*() {
        const { pixels } = yield* only({ ...sharp, inpaint_full_res: false, inpainting_mask_invert: 1 })
        assert.isTrue(changed(pixels).every((place) => !isInside(place)))
      }))

    it.effect("begins under the mask with its surroundings, the image, noise or nothing", () =>
      Effect.gen(function*() {
        const made = yield* Effect.forEach(
          [0, 1, 2, 3] as const,
          (inpainting_fill) => only({ ...sharp, inpaint_full_res: false, inpainting_fill, denoising_strength: 0.4 })
        )
        const different = new Set(made.map(({ pixels }) => Buffer.from(pixels).toString("base64")))
        assert.strictEqual(different.size, 4)
      }))

    it.effect("keeps all of the image when the mask is black, and takes all when only its part was wanted", () =>
      Effect.gen(function*() {
        const black = pictures.draw(64, 64, () => [0, 0, 0])
        const kept = yield* run({ ...sharp, mask: black, inpaint_full_res: false })
        assert.deepStrictEqual(kept.images[0]?.pixels, init.data)
        assert.isEmpty(kept.warnings)
        const { images: [image], warnings } = yield* run({ ...sharp, mask: black, inpaint_full_res: true })
        assert.lengthOf(warnings, 1)
        assert.deepStrictEqual(image?.pixels, (yield* only({ init })).pixels)
      }))

    it.effect("reads a mask from the alpha of an image", () =>
      Effect.gen(function*() {
        const data = new Uint8Array(64 * 64 * 4)
        for (let place = 0; place < 64 * 64; place++) data[place * 4 + 3] = isInside(place) ? 255 : 0
        const alpha: Raster = { width: 64, height: 64, channels: 4, data }
        assert.deepStrictEqual((yield* only({ ...sharp, mask: alpha })).pixels, (yield* only(sharp)).pixels)
      }))

    it.effect("gives mask and composite back when the settings say so", () =>
      Effect.gen(function*() {
        const { extraImages, images: [image] } = yield* run({
          ...sharp,
          override_settings: { return_mask: true, return_mask_composite: true }
        })
        assert.deepStrictEqual(
          extraImages.map(({ format, index, infotext, kind }) => [kind, index, format, infotext]),
          [["mask", 0, "png", ""], ["mask composite", 0, "png", ""]]
        )
        assert.include(image?.infotext, "Masked area padding: 32")
      }))
  })
})
