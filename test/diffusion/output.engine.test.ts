import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import sharp from "sharp"
import * as DiffusionPipeline from "../../src/diffusion/DiffusionPipeline.ts"
import { ImageEncoder } from "../../src/images/ImageEncoder.ts"
import { readMetadata } from "../../src/images/Metadata.ts"
import type { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { SavedImages, TestRuntime } from "../../src/testing/index.ts"
import * as pictures from "./pictures.ts"

type Input = NonNullable<Parameters<typeof Txt2Img.make>[0]>

const run = (override_settings: OptionsPatch, input: Input = {}) =>
  processImages(Txt2Img.make({ prompt: "a cat, sleeping", seed: 7, steps: 2, ...input, override_settings }))

/** Paths of what a run saved, and its texts. */
const saved = Effect.fnUntraced(function*(override_settings: OptionsPatch, input: Input = {}) {
  const store = yield* SavedImages
  yield* store.clear
  const processed = yield* run(override_settings, input)
  return { processed, paths: [...(yield* store.files).keys()], texts: yield* store.texts }
})

// Files of every format, by the encoder that Serena has.
const withSharp = TestRuntime.layer({ pipeline: DiffusionPipeline.layer.pipe(Layer.provide(ImageEncoder.layer)) })

layer(withSharp)("output", (it) => {
  it.effect.each(["png", "jpg", "jpeg", "webp"] as const)(
    "is written as %s, with the infotext in it",
    (samples_format) =>
      Effect.gen(function*() {
        const { paths, processed: { images: [image] } } = yield* saved({ samples_format, jpeg_quality: 95 })
        assert.isDefined(image)
        const extension = samples_format === "jpeg" ? "jpg" : samples_format
        assert.strictEqual(image.format, extension)
        assert.deepStrictEqual(paths, [`outputs/txt2img-images/1970-01-01/00000-7.${extension}`])
        const { format, height, width } = yield* Effect.promise(() => sharp(image.bytes).metadata())
        assert.deepStrictEqual([format, width, height], [extension === "jpg" ? "jpeg" : extension, 64, 64])
        assert.strictEqual((yield* readMetadata(image.bytes)).infotext, image.infotext)
      })
  )

  it.effect("loses less the higher the quality is, and nothing in lossless files", () =>
    Effect.gen(function*() {
      const size = (options: OptionsPatch) =>
        Effect.map(run(options), ({ images: [image] }) => image?.bytes.length ?? 0)
      assert.isBelow(
        yield* size({ samples_format: "jpg", jpeg_quality: 20 }),
        yield* size({ samples_format: "jpg", jpeg_quality: 95 })
      )
      const { images: [image] } = yield* run({ samples_format: "webp", webp_lossless: true })
      const pixels = yield* Effect.promise(() => sharp(image?.bytes).removeAlpha().raw().toBuffer())
      assert.deepStrictEqual(new Uint8Array(pixels), image?.pixels)
    }))

  it.effect("holds no infotext when a setting says so", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* run({ enable_pnginfo: false })
      assert.isDefined(image)
      assert.isUndefined((yield* readMetadata(image.bytes)).infotext)
      assert.include(image.infotext, "Seed: 7")
    }))

  it.effect("is named by patterns", () =>
    Effect.gen(function*() {
      const { paths } = yield* saved({
        samples_filename_pattern: "[seed]-[steps]-[cfg]-[sampler]-[prompt_words]",
        directories_filename_pattern: "[model_name]/[date]"
      })
      assert.deepStrictEqual(paths, [
        "outputs/txt2img-images/test-model/1970-01-01/00000-7-2-7.0-Euler-a cat sleeping.png"
      ])
      const flat = yield* saved({ save_to_dirs: false, save_images_add_number: false })
      assert.deepStrictEqual(flat.paths, ["outputs/txt2img-images/7-a cat, sleeping.png"])
      const everywhere = yield* saved({ outdir_samples: "all" })
      assert.deepStrictEqual(everywhere.paths, ["all/1970-01-01/00000-7.png"])
    }))

  it.effect("is put into a grid, which is saved and given back when the settings say so", () =>
    Effect.gen(function*() {
      const four = { batch_size: 2, n_iter: 2 }
      const none = yield* saved({}, four)
      assert.deepStrictEqual([none.paths.length, none.processed.extraImages.length], [4, 0])

      const { paths, processed } = yield* saved({ grid_save: true, return_grid: true }, four)
      assert.strictEqual(paths.at(-1), "outputs/txt2img-grids/1970-01-01/grid-0000.png")
      const [grid] = processed.extraImages
      assert(grid !== undefined && grid.kind === "grid")
      const { height, width } = yield* Effect.promise(() => sharp(grid.bytes).metadata())
      assert.deepStrictEqual([width, height], [128, 128])
      assert.strictEqual((yield* readMetadata(grid.bytes)).infotext, processed.images[0]?.infotext)

      const rows = yield* run({ return_grid: true, n_rows: 1, grid_format: "jpg" }, four)
      const wide = yield* Effect.promise(() => sharp(rows.extraImages[0]?.bytes).metadata())
      assert.deepStrictEqual([wide.format, wide.width, wide.height], ["jpeg", 256, 64])

      assert.isEmpty((yield* run({ return_grid: true })).extraImages)
      assert.lengthOf((yield* run({ return_grid: true, grid_only_if_multiple: false })).extraImages, 1)
    }))

  it.effect("keeps the infotext next to the image, and the last request's in params.txt", () =>
    Effect.gen(function*() {
      const { processed: { images: [image] }, texts } = yield* saved({ save_txt: true })
      assert.deepStrictEqual([...texts], [
        ["outputs/txt2img-images/1970-01-01/00000-7.txt", `${image?.infotext}\n`],
        ["outputs/txt2img-images/params.txt", `${image?.infotext}\n`]
      ])
      assert.isEmpty((yield* saved({ save_params_txt: false })).texts)
      assert.isEmpty((yield* saved({ samples_save: false })).texts)
    }))

  it.effect("keeps what img2img began with when the settings say so", () =>
    Effect.gen(function*() {
      const store = yield* SavedImages
      yield* store.clear
      const init = yield* pictures.file(pictures.slopes())
      yield* processImages(
        Img2Img.make({
          steps: 2,
          seed: 7,
          init_images: [init],
          mask: yield* pictures.file(pictures.rectangle([8, 8, 40, 40])),
          override_settings: { save_init_img: true, save_mask: true, save_mask_composite: true }
        })
      )
      const files = yield* store.files
      assert.deepStrictEqual([...files.keys()], [
        "outputs/init-images/00000-init.png",
        "outputs/img2img-images/1970-01-01/00000-7.png",
        "outputs/img2img-images/1970-01-01/00001-7-mask.png",
        "outputs/img2img-images/1970-01-01/00002-7-mask-composite.png"
      ])
      assert.deepStrictEqual(files.get("outputs/init-images/00000-init.png"), init)
    }))
})
