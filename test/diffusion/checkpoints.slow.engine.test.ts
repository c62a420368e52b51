import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { contents } from "../models/checkpoint/data.ts"
import {
  as,
  below,
  checkpoint,
  inFloat32,
  mapped,
  numbers,
  renamed,
  saved,
  type SavedTensors,
  scaledEights
} from "../models/checkpoint/savedTensors.ts"
import * as pictures from "./pictures.ts"

/** A models folder, into which each test writes what it needs. */
class Folder extends Context.Service<Folder, string>()("test/Folder") {
  static readonly layer = Layer.effect(
    Folder,
    FileSystem.FileSystem.use((fs) => Effect.flatMap(fs.makeTempDirectoryScoped(), fs.realPath))
  ).pipe(Layer.provide(NodeFileSystem.layer))
}

const serena = Layer.unwrap(Effect.map(Folder, (modelsDir) => Serena.layer({ cmdOpts: { modelsDir } }))).pipe(
  Layer.provideMerge(Folder.layer)
)

const write = (name: string, tensors: SavedTensors) =>
  Effect.map(Folder, (folder) => writeFileSync(join(folder, `${name}.safetensors`), saved(tensors)))

const small = { prompt: "a red cat", negative_prompt: "a dog", seed: 1, steps: 2, width: 64, height: 64, cfg_scale: 4 }

type Given<A extends typeof Txt2Img | typeof Img2Img> = Parameters<A["make"]>[0]

// The first image, of a run without warnings.
const first = Effect.fnUntraced(function*(request: Txt2Img | Img2Img) {
  const { images: [image], warnings } = yield* processImages(request)
  assert.deepStrictEqual(warnings, [])
  return image ?? assert.fail("it made no image")
})

const settings = (model: string, more: Given<typeof Txt2Img>["override_settings"] = {}) => ({
  override_settings: { samples_save: false, sd_model_checkpoint: model, ...more }
})

const txt2img = (model: string, { override_settings, ...more }: Given<typeof Txt2Img> = {}) =>
  first(Txt2Img.make({ ...small, ...settings(model, override_settings), ...more }))

const img2img = (model: string, more: Given<typeof Img2Img>) =>
  first(Img2Img.make({ ...small, ...settings(model), ...more }))

type Made = Effect.Success<ReturnType<typeof first>>

const areAlike = (one: Made, other: Made) =>
  // Float32 is rounded elsewhere where a weight need not be converted first.
  assert.isTrue(one.pixels.every((value, i) => Math.abs(value - (other.pixels[i] ?? NaN)) <= 1))

const allDiffer = (images: ReadonlyArray<Made>) =>
  assert.lengthOf(new Set(images.map(({ pixels }) => Buffer.from(pixels).toString("base64"))), images.length)

const firstLayer = "model.diffusion_model.input_blocks.0.0.weight"

// A network's first layer without its last input channels.
const narrowed = (tensors: SavedTensors, channels: number): SavedTensors => {
  const { bytes, shape, type } = tensors[firstLayer] ?? assert.fail("it has other names")
  const [outputs = 1, inputs = 1, ...kernel] = shape
  const each = bytes.length / outputs / inputs
  const rows = Array.from(
    { length: outputs },
    (_, row) => bytes.subarray(row * inputs * each, (row * inputs + channels) * each)
  )
  return { ...tensors, [firstLayer]: { type, shape: [outputs, channels, ...kernel], bytes: Buffer.concat(rows) } }
}

// Diffusers' name of each module of a UNet that has the levels of Stable Diffusion 1.
const diffusersNames = (): ReadonlyMap<string, string> => {
  const rows: ReadonlyArray<readonly [own: string, diffusers: string]> = JSON.parse(
    Buffer.from(contents("real-layouts/sd15.unet-names.json")).toString()
  )
  return new Map(rows.map(([own, diffusers]) => [own, diffusers]))
}

layer(serena)("a checkpoint", (it) => {
  const sd15 = checkpoint("sd15")
  const sdxl = checkpoint("sdxl")

  it.effect.each<readonly [what: string, tensors: SavedTensors]>([
    ["16 bits of both kinds", mapped(sd15, (tensor, i) => as(i % 3 === 0 ? "F16" : "BF16", tensor))],
    [
      "8 bits of both kinds, matrices with a scale",
      mapped(scaledEights(sd15), (tensor, i) => as(i % 2 === 0 ? "F8_E4M3" : "F8_E5M2", tensor))
    ]
  ])(
    "in %s makes the image of its values in float32, also under the name of another that was there",
    ([, tensors]) =>
      Effect.gen(function*() {
        yield* write("exchanged", tensors)
        const small = yield* txt2img("exchanged")
        yield* write("exchanged", inFloat32(tensors))
        const whole = yield* txt2img("exchanged")
        areAlike(small, whole)
        assert.notStrictEqual(small.infotext, whole.infotext)
      })
  )

  it.effect("of SDXL predicts what marks in it say, and a refiner takes over from it", () =>
    Effect.gen(function*() {
      yield* write("xl", sdxl)
      yield* write("xl-v", { ...sdxl, v_pred: numbers([0]), ztsnr: numbers([0]) })
      yield* write("playground", {
        ...sdxl,
        edm_mean: numbers([1, 4, 1, 1], -1.6574, 1.886, -1.383, 2.5155),
        edm_std: numbers([1, 4, 1, 1], 8.4927, 5.9022, 6.5498, 5.2299)
      })
      yield* write("refiner", checkpoint("sdxl-refiner"))
      const plain = yield* txt2img("xl")
      const refined = yield* txt2img("xl", { refiner_checkpoint: "refiner", refiner_switch_at: 0.5 })
      assert.match(refined.infotext, /, Refiner: refiner, Refiner switch at: 0\.5/)
      allDiffer([plain, refined, yield* txt2img("xl-v"), yield* txt2img("playground")])
    }))

  it.effect("for inpainting reads the mask and what is masked, one for instructions the image, by its own scale", () =>
    Effect.gen(function*() {
      const inpainting = checkpoint("sd1-inpainting")
      yield* write("inpainting", inpainting)
      yield* write("pix2pix", narrowed(inpainting, 8))
      const image = yield* pictures.file(pictures.slopes())
      const left = yield* pictures.file(pictures.rectangle([0, 0, 32, 64]))
      const corner = yield* pictures.file(pictures.rectangle([0, 0, 16, 16]))
      const masked = {
        init_images: [image],
        denoising_strength: 1,
        inpaint_full_res: false,
        mask_blur_x: 0,
        mask_blur_y: 0
      } as const
      const one = yield* img2img("inpainting", { ...masked, mask: left })
      const other = yield* img2img("inpainting", { ...masked, mask: corner })
      assert.match(one.infotext, /Conditional mask weight: 1\.0/)
      const at = (
        { pixels }: Made,
        x: number,
        y: number
      ) => [...pixels.subarray((y * 64 + x) * 3, (y * 64 + x) * 3 + 3)]
      assert.deepStrictEqual(at(one, 60, 20), at(other, 60, 20))
      assert.notDeepEqual(at(one, 4, 4), at(other, 4, 4))
      const edited = { init_images: [image], denoising_strength: 1 } as const
      const strong = yield* img2img("pix2pix", { ...edited, image_cfg_scale: 3 })
      assert.match(strong.infotext, /Image CFG scale: 3\.0/)
      allDiffer([
        strong,
        yield* img2img("pix2pix", { ...edited, image_cfg_scale: 1 }),
        yield* img2img("pix2pix", { ...edited, init_images: [left], image_cfg_scale: 3 })
      ])
    }))

  it.effect("makes the image of the whole from a UNet by diffusers' names, with a chosen VAE and text encoder", () =>
    Effect.gen(function*() {
      const names = diffusersNames()
      yield* write("sd15", sd15)
      yield* write(
        "unet",
        renamed(below(sd15, "model.diffusion_model.", ""), (name) => {
          const [, module = "", kind = ""] = /^(.*)\.(weight|bias)$/.exec(name) ?? []
          return `${names.get(module) ?? assert.fail(name)}.${kind}`
        })
      )
      yield* write("own_vae", below(sd15, "first_stage_model.", ""))
      yield* write("clip_l", below(sd15, "cond_stage_model.transformer.", ""))
      const parts = { sd_vae: "own_vae", sd_text_encoders: "clip_l" }
      const made = yield* txt2img("unet", { override_settings: parts })
      assert.deepStrictEqual(made.pixels, (yield* txt2img("sd15")).pixels)
      assert.match(made.infotext, /, VAE hash: [0-9a-f]{10}, VAE: own_vae\.safetensors, .*Text encoders: clip_l/)
    }))

  it.effect("follows a LoRA by LCM's sampler, with little memory as with much", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      writeFileSync(join(folder, "sd1-kohya.safetensors"), contents("adapters/sd1-kohya.safetensors"))
      yield* write("sd15", sd15)
      const lcm = { sampler_name: "LCM", cfg_scale: 1 }
      const plain = yield* txt2img("sd15", lcm)
      const made = yield* txt2img("sd15", { ...lcm, prompt: "a red cat<lora:sd1-kohya:1>" })
      assert.match(made.infotext, /Sampler: LCM, .*Lora hashes: "sd1-kohya: [0-9a-f]{12}"/)
      allDiffer([plain, made])
      const little = Serena.layer({ cmdOpts: { modelsDir: folder, lowvram: true } })
      const again = yield* txt2img("sd15", { ...lcm, prompt: "a red cat<lora:sd1-kohya:1>" }).pipe(
        Effect.provide(little)
      )
      assert.deepStrictEqual(again.pixels, made.pixels)
    }))

  it.effect("computes in int8 what no LoRA changes, next to the model in float32", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      writeFileSync(join(folder, "sd1-kohya.safetensors"), contents("adapters/sd1-kohya.safetensors"))
      yield* write("sd15", sd15)
      const prompt = "a red cat<lora:sd1-kohya:1>"
      const exact = yield* txt2img("sd15", { prompt })
      const rough = yield* txt2img("sd15", { prompt, override_settings: { unet_precision: "int8" } })
      assert.match(rough.infotext, /, Precision: int8/)
      const distance = rough.pixels.reduce((sum, value, i) => sum + Math.abs(value - (exact.pixels[i] ?? NaN)), 0)
      assert.isBelow(distance / rough.pixels.length, 2)
      allDiffer([exact, rough])
      assert.deepStrictEqual((yield* txt2img("sd15", { prompt })).pixels, exact.pixels)
    }))

  it.effect("takes LoRAs, and exported networks none, which a run says", () =>
    Effect.gen(function*() {
      const folder = yield* Folder
      writeFileSync(join(folder, "sd1-kohya.safetensors"), contents("adapters/sd1-kohya.safetensors"))
      const prompt = "a red star<lora:sd1-kohya:1>"
      const { images: [image], warnings } = yield* processImages(
        Txt2Img.make({ ...small, ...settings("shapes-128"), prompt, steps: 1 })
      )
      assert.deepStrictEqual(warnings, [
        "shapes-128 takes no LoRAs, as its networks are exported: sd1-kohya was left out."
      ])
      assert.notInclude(image?.infotext, "Lora hashes")
    }))
})
