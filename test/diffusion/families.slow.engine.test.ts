import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { filled } from "../../src/core/Raster.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import type { ProcessedImage } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { PlainEncoder } from "../../src/testing/index.ts"
import { families, type FamilyName, makeAll } from "../models/families.ts"
import { platform } from "../models/fixtures.ts"

const layerAll = Layer.unwrap(
  Effect.map(
    makeAll(),
    (modelsDir) => Serena.layer({ options: { samples_save: false }, cmdOpts: { modelsDir, maxModels: 20, threads: 1 } })
  )
).pipe(Layer.provide(platform))

type Wanted<A> = Partial<Omit<A, "_tag">>

const first = ({ images: [image] }: { readonly images: ReadonlyArray<ProcessedImage> }) => {
  assert.isDefined(image)
  return image
}

const common = { prompt: "a red circle", seed: 1, steps: 2, width: 64, height: 64 }

/** A picture of 64 by 64 pixels by a family's model. */
const txt2img = (family: FamilyName, wanted: Wanted<Txt2Img> = {}) =>
  Effect.map(
    processImages(Txt2Img.make({ ...common, override_settings: { sd_model_checkpoint: family }, ...wanted })),
    first
  )

const img2img = (family: FamilyName, wanted: Wanted<Img2Img> & Pick<Img2Img, "init_images">) =>
  Effect.map(
    processImages(Img2Img.make({ ...common, override_settings: { sd_model_checkpoint: family }, ...wanted })),
    first
  )

const side = 64

/** A file of 64 by 64 pixels, grey, or what `red` says of each pixel. */
const picture = (value: number, red: (x: number, y: number) => number = () => value) => {
  const raster = filled({ width: side, height: side }, 3, value)
  for (let i = 0; i < side * side; i++) raster.data[3 * i] = red(i % side, Math.floor(i / side))
  return PlainEncoder.encode({ raster, infotext: "" })
}

/** White in the middle. */
const mask = PlainEncoder.encode({
  raster: {
    ...filled({ width: side, height: side }, 1),
    data: Uint8Array.from(
      { length: side * side },
      (_, i) => Math.max(Math.abs(i % side - 32), Math.abs(Math.floor(i / side) - 32)) < 16 ? 255 : 0
    )
  },
  infotext: ""
})

const isSame = (a: ProcessedImage, b: ProcessedImage): boolean => Buffer.compare(a.pixels, b.pixels) === 0

const differences = (a: ProcessedImage, b: ProcessedImage) => {
  const all = a.pixels.map((value, i) => Math.abs(value - (b.pixels[i] ?? NaN)))
  return {
    largest: all.reduce((most, value) => Math.max(most, value), 0),
    mean: all.reduce((sum, value) => sum + value, 0) / all.length
  }
}

const names = Object.keys(families) as ReadonlyArray<FamilyName>
const ofEncoder = names.filter((name) => families[name].vaeEncoder !== undefined)

layer(layerAll)("an image by a model of each family", (it) => {
  describe("from a text", () => {
    it.effect.each(names)("%s", (name) =>
      Effect.gen(function*() {
        const picture = yield* txt2img(name)
        assert.deepStrictEqual([picture.width, picture.height, picture.pixels.length], [64, 64, 64 * 64 * 3])
        assert.isAbove(new Set(picture.pixels).size, 20)
        assert.include(picture.infotext, `Model: ${name},`)
        assert.deepStrictEqual((yield* txt2img(name)).bytes, picture.bytes)
        for (const change of [{ seed: 2 }, { prompt: "a blue star" }, { cfg_scale: 3 }]) {
          assert.isFalse(isSame(yield* txt2img(name, change), picture), JSON.stringify(change))
        }
      }))
  })

  describe("from an image", () => {
    it.effect.each(ofEncoder)("%s", (name) =>
      Effect.gen(function*() {
        const [grey, stripes] = [yield* picture(128), yield* picture(128, (x) => 8 * x % 256)]
        const from = (init: Uint8Array, denoising_strength: number) =>
          img2img(name, { init_images: [init], denoising_strength })
        const made = yield* from(grey, 0.6)
        assert.deepStrictEqual([made.width, made.height], [64, 64])
        assert.deepStrictEqual((yield* from(grey, 0.6)).bytes, made.bytes)
        assert.isFalse(isSame(yield* from(stripes, 0.6), made))
        assert.isFalse(isSame(yield* from(grey, 0.3), made))
      }))
  })

  it.effect("without an encoder says that img2img needs one", () =>
    Effect.gen(function*() {
      const init = yield* picture(128)
      const error = yield* Effect.flip(img2img("sd1-no-encoder", { init_images: [init] }))
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "img2img needs it")
    }))

  it.effect.each(["inpainting", "sd1", "sdxl"] as const)(
    "keeps what is not masked, with %s",
    (name) =>
      Effect.gen(function*() {
        const stripes = yield* picture(90, (x, y) => (8 * x + 3 * y) % 256)
        const inpaint = (inpainting_mask_invert: 0 | 1, init = stripes) =>
          Effect.flatMap(mask, (mask) =>
            img2img(name, {
              init_images: [init],
              mask,
              mask_blur_x: 0,
              mask_blur_y: 0,
              inpaint_full_res: false,
              inpainting_mask_invert,
              denoising_strength: 1
            }))
        const made = yield* inpaint(0)
        assert.deepStrictEqual((yield* inpaint(0)).bytes, made.bytes)
        const differsAt = (x: number, y: number, other: ProcessedImage) =>
          [0, 1, 2].some((channel) =>
            other.pixels[(y * side + x) * 3 + channel] !== [(8 * x + 3 * y) % 256, 90, 90][channel]
          )
        const inverted = yield* inpaint(1)
        for (const [x, y] of [[2, 2], [60, 5], [32, 3], [5, 60]] as const) {
          assert.isFalse(differsAt(x, y, made), `${x}, ${y}`)
          assert.isTrue(differsAt(x, y, inverted), `${x}, ${y}, inverted`)
        }
        assert.isTrue(differsAt(32, 32, made))
        assert.isFalse(differsAt(32, 32, inverted))
      })
  )

  it.effect.each(
    [["inpainting", false], ["sd1", true]] as const
  )(
    "hides from an inpainting network what is masked, and others see no mask: %s",
    ([name, same]) =>
      Effect.gen(function*() {
        const [init, masked] = [yield* picture(90, (x, y) => (8 * x + 3 * y) % 256), yield* mask]
        const of = (inpainting_mask_weight: number) =>
          img2img(name, {
            init_images: [init],
            mask: masked,
            inpaint_full_res: false,
            override_settings: { sd_model_checkpoint: name, inpainting_mask_weight }
          })
        assert.strictEqual(isSame(yield* of(1), yield* of(0)), same)
      })
  )

  it.effect("is finished by the refiner from where it is asked to be", () =>
    Effect.gen(function*() {
      const refined = (refiner_switch_at: number) =>
        txt2img("sdxl", { steps: 4, refiner_checkpoint: "sdxl-refiner", refiner_switch_at })
      const alone = yield* txt2img("sdxl", { steps: 4 })
      const half = yield* refined(0.5)
      assert.isFalse(isSame(half, alone))
      assert.deepStrictEqual((yield* refined(0.5)).bytes, half.bytes)
      assert.isFalse(isSame(yield* refined(0.25), half))
      assert.isTrue(isSame(yield* refined(1), alone))
      assert.match(half.infotext, /Refiner: sdxl-refiner[^,]*, Refiner switch at: 0.5/)
    }))

  it.effect("is enlarged by another model", () =>
    Effect.gen(function*() {
      const enlarged = (hr_checkpoint_name?: FamilyName) =>
        txt2img("sd1", {
          width: 32,
          height: 32,
          enable_hr: true,
          hr_scale: 2,
          ...(hr_checkpoint_name !== undefined && { hr_checkpoint_name })
        })
      const own = yield* enlarged()
      assert.deepStrictEqual([own.width, own.height], [64, 64])
      for (const name of ["sd2", "sdxl", "lcm"] as const) {
        const other = yield* enlarged(name)
        assert.isFalse(isSame(other, own), name)
        assert.deepStrictEqual((yield* enlarged(name)).bytes, other.bytes, name)
        assert.match(other.infotext, new RegExp(`Hires checkpoint: ${name}`))
      }
    }))

  it.effect("follows the guidance scale in one call a step where the network reads it", () =>
    Effect.gen(function*() {
      const lcm = (wanted: Wanted<Txt2Img>) => txt2img("lcm", { sampler_name: "LCM", ...wanted })
      const [weak, strong] = [yield* lcm({ cfg_scale: 1.5 }), yield* lcm({ cfg_scale: 8 })]
      assert.isFalse(isSame(weak, strong))
      // There is no second prediction to keep away from.
      assert.isTrue(isSame(yield* lcm({ cfg_scale: 8, negative_prompt: "blue" }), strong))
      const [one, other] = [
        yield* txt2img("sd1", { cfg_scale: 8 }),
        yield* txt2img("sd1", { cfg_scale: 8, negative_prompt: "blue" })
      ]
      assert.isFalse(isSame(one, other))
    }))

  it.effect("takes the network's output for what its scheduler says it is", () =>
    Effect.gen(function*() {
      // The same network: velocity in one folder, noise in the other.
      for (const sampler_name of ["Euler", "DDIM", "DPM++ 2M"]) {
        const [velocity, noise] = [yield* txt2img("sd2", { sampler_name }), yield* txt2img("turbo", { sampler_name })]
        assert.isFalse(isSame(velocity, noise), sampler_name)
      }
    }))

  it.effect("is the same however the network declares its timestep, where timesteps are whole", () =>
    Effect.gen(function*() {
      const expected = yield* txt2img("sd1", { sampler_name: "DDIM", steps: 3 })
      for (const name of ["sd1-timestep-one", "sd1-timestep-batch", "sd1-timestep-float"] as const) {
        assert.isTrue(isSame(yield* txt2img(name, { sampler_name: "DDIM", steps: 3 }), expected), name)
      }
      // Between whole timesteps, those of whole numbers are told the nearest one.
      const between = (name: FamilyName) => txt2img(name, { scheduler: "karras", steps: 5, cfg_scale: 1 })
      const { largest, mean } = differences(yield* between("sd1"), yield* between("sd1-timestep-float"))
      assert.isAbove(largest, 0)
      assert.isBelow(mean, 2)
    }))

  it.effect.each(
    [["sd1", "sd1-float16"], ["sdxl", "sdxl-float16"]] as const
  )("%s in half precision is nearly the same", ([single, half]) =>
    Effect.gen(function*() {
      // Guidance would multiply what half precision rounds.
      const unguided = (name: FamilyName) => txt2img(name, { cfg_scale: 1 })
      const { largest, mean } = differences(yield* unguided(single), yield* unguided(half))
      assert.isAbove(largest, 0)
      assert.isAtMost(largest, 16)
      assert.isBelow(mean, 1)
    }))
})
