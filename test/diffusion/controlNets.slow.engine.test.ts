import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Raster } from "../../src/core/Raster.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import type { ControlUnitInput } from "../../src/processing/FieldTypes.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import type { ProcessingError } from "../../src/runner/ProcessingError.ts"
import { Runs } from "../../src/runner/Runs.ts"
import * as Serena from "../../src/Serena.ts"
import { unpack } from "../models/checkpoint/data.ts"
import { madeControlNet } from "../models/checkpoint/madeControlNet.ts"
import { platform } from "../models/fixtures.ts"
import * as pictures from "./pictures.ts"

const files = Effect.gen(function*() {
  const folder = yield* unpack("checkpoints/{sd1-full-vocabulary,sdxl}.safetensors", "controlnets/sdxl*.safetensors")
  const base = join(folder, "checkpoints", "sd1-full-vocabulary.safetensors")
  writeFileSync(join(folder, "followed.safetensors"), madeControlNet(yield* openSafetensors(base)))
  renameSync(base, join(folder, "a.safetensors"))
  return folder
}).pipe(Effect.provide(platform))

const layerAll = Layer.unwrap(
  Effect.map(files, (folder) =>
    Serena.layer({
      cmdOpts: { modelsDir: folder },
      options: { sd_model_checkpoint: "a", samples_save: false, grid_save: false }
    }))
).pipe(Layer.provide(NodeFileSystem.layer))

type Fields = Omit<Parameters<typeof Txt2Img.make>[0], "control_units">

const follow = Effect.fnUntraced(function*(raster: Raster, unit: ControlUnitInput = {}) {
  const made: ControlUnitInput = { model: "followed", image: yield* pictures.file(raster), ...unit }
  return made
})

const size = { prompt: "a cat", seed: 1, steps: 4, width: 64, height: 64 }
const fields: Fields = size

const txt2img = Effect.fnUntraced(function*(units: ReadonlyArray<ControlUnitInput>, more: Fields = {}) {
  const processed = yield* processImages(Txt2Img.make({ ...fields, ...more, control_units: units }))
  return processed
})

const pixels = Effect.fnUntraced(function*(units: ReadonlyArray<ControlUnitInput>, more: Fields = {}) {
  const { images } = yield* txt2img(units, more)
  return images.map(({ pixels }) => base64(pixels))
})

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")

const problemsOf = <A, R>(run: Effect.Effect<A, ProcessingError, R>) =>
  Effect.map(Effect.flip(run), (error) => error._tag === "InvalidProcessing" ? error.problems : [])

layer(layerAll)("ControlNets in a run", (it) => {
  it.effect("act, and leave nothing behind: with, without, with another weight, with", () =>
    Effect.gen(function*() {
      const unit = yield* follow(pictures.slopes())
      const [without] = yield* pixels([])
      const [followed] = yield* pixels([unit])
      assert.notStrictEqual(followed, without)
      const [half] = yield* pixels([{ ...unit, weight: 0.5 }])
      assert.strictEqual(new Set([half, followed, without]).size, 3)
      assert.deepStrictEqual(yield* pixels([]), [without])
      assert.deepStrictEqual(yield* pixels([unit]), [followed])
      // Of no weight, or disabled.
      assert.deepStrictEqual(
        yield* pixels([{ ...unit, weight: 0 }, { ...unit, enabled: false, model: "none such" }]),
        [without]
      )
      const [other] = yield* pixels([yield* follow(pictures.rectangle([8, 8, 40, 40]))])
      assert.notStrictEqual(other, followed)
    }))

  it.effect("act in their window of the steps, in every mode, and together", () =>
    Effect.gen(function*() {
      const unit = yield* follow(pictures.slopes())
      const [without] = yield* pixels([])
      const seen = new Set([without])
      for (
        const change of [
          {},
          { control_mode: "prompt" },
          { control_mode: "control" },
          { guidance_start: 0.3 },
          { guidance_end: 0.2 },
          { module: "invert" },
          { weight: 1.5 }
        ] as const
      ) {
        const [image = ""] = yield* pixels([{ ...unit, ...change }])
        assert.isFalse(seen.has(image), JSON.stringify(change))
        seen.add(image)
      }
      const [both = ""] = yield* pixels([unit, yield* follow(pictures.rectangle([8, 8, 40, 40]))])
      assert.isFalse(seen.has(both))
      // Over before it begins: the first two steps count as none.
      assert.deepStrictEqual(yield* pixels([{ ...unit, guidance_start: 0.9 }]), [without])
    }))

  it.effect("give each image of a batch what it is given alone, in one call or in several, whole or in tiles", () =>
    Effect.gen(function*() {
      const unit = yield* follow(pictures.slopes())
      const batch = yield* pixels([unit], { batch_size: 2, prompt: "a cat AND a dog" })
      const alone = [1, 2].map((seed) => pixels([unit], { prompt: "a cat AND a dog", seed }))
      assert.deepStrictEqual(batch, (yield* Effect.all(alone)).flat())
      // A tile sees its part of the image: where that is all of it, nothing changes.
      const tiled = { latent_tile_size: 64, latent_tile_overlap: 16 }
      const whole = yield* pixels([unit], { override_settings: tiled })
      assert.deepStrictEqual(whole, yield* pixels([unit]))
      const wide = { width: 128, override_settings: tiled }
      const [plain, followed] = [yield* pixels([], wide), yield* pixels([unit], wide)]
      assert.notDeepEqual(followed, plain)
      const [seamless] = yield* pixels([unit], { ...wide, tiling: true })
      assert.notStrictEqual(seamless, followed[0])
    }))

  it.effect("act in both passes of hires fix, each in its size", () =>
    Effect.gen(function*() {
      const unit = yield* follow(pictures.slopes(96, 64), { module: "canny", pixel_perfect: true })
      const hires = { enable_hr: true, hr_scale: 1.5, denoising_strength: 0.7, steps: 3 }
      const [without, followed] = [yield* pixels([], hires), yield* pixels([unit], hires)]
      assert.notDeepEqual(followed, without)
      // The first pass alone, then the second: both differ.
      const first = { ...unit, guidance_end: 0 }
      assert.notDeepEqual(yield* pixels([first], hires), followed)
    }))

  it.effect("follow the init image where they have none, and its masked part where only that is made", () =>
    Effect.gen(function*() {
      const init = yield* pictures.file(pictures.slopes())
      const mask = yield* pictures.file(pictures.rectangle([16, 16, 48, 48]))
      const img2img = (units: ReadonlyArray<ControlUnitInput>, more: object = {}) =>
        Effect.map(
          processImages(Img2Img.make({ ...size, init_images: [init], control_units: units, ...more })),
          ({ images }) => images.map(({ pixels }) => base64(pixels))
        )
      const plain = yield* img2img([])
      const own = yield* img2img([{ model: "followed" }])
      assert.notDeepEqual(own, plain)
      assert.deepStrictEqual(yield* img2img([{ model: "followed", image: init }]), own)
      const masked = yield* img2img([{ model: "followed" }], { mask })
      const hidden = yield* img2img([{ model: "followed", module: "inpaint_only" }], { mask })
      assert.notDeepEqual(hidden, masked)
      const whole = { mask, inpaint_full_res: false }
      assert.notDeepEqual(yield* img2img([{ model: "followed" }], whole), yield* img2img([], whole))
    }))

  it.effect("stop with the run", () =>
    Effect.gen(function*() {
      const unit = yield* follow(pictures.slopes())
      const runs = yield* Runs
      const stopping = runs.watch("stopped").pipe(
        Stream.filter(({ samplingStep }) => samplingStep >= 1),
        Stream.runHead,
        Effect.andThen(runs.get("stopped")),
        Effect.flatMap(Option.match({ onNone: () => Effect.void, onSome: ({ interrupt }) => interrupt }))
      )
      yield* Effect.forkChild(stopping, { startImmediately: true })
      const request = Txt2Img.make({ ...fields, steps: 50, control_units: [unit] })
      const { images, interrupted } = yield* processImages(request, { runId: "stopped" })
      assert.deepStrictEqual([images.length, interrupted], [1, true])
    }))

  it.effect("are refused with all that is wrong, before anything runs", () =>
    Effect.gen(function*() {
      const image = yield* pictures.file(pictures.slopes())
      const wrong = yield* problemsOf(
        txt2img([{ model: "folowed", image }, { model: "sdxl-control-diffusers", image }])
      )
      assert.deepStrictEqual(wrong.map(({ path }) => path), ["control_units.0.model", "control_units.1.model"])
      assert.match(wrong[0]?.message ?? "", /^no ControlNet is named "folowed". Did you mean "followed"\?/)
      assert.match(
        wrong[1]?.message ?? "",
        /^sdxl-control-diffusers: it is a ControlNet of Stable Diffusion XL, and a is of Stable Diffusion 1$/
      )
      const early = yield* problemsOf(
        txt2img([{ model: "followed" }, { model: "followed", image, module: "openpose" }])
      )
      assert.deepStrictEqual(early.map(({ path }) => path), ["control_units.0.image", "control_units.1.module"])
      assert.match(early[1]?.message ?? "", /needs a network of its own/)
      const exported = yield* problemsOf(
        txt2img([{ model: "followed", image }], { override_settings: { sd_model_checkpoint: "shapes-128" } })
      )
      assert.match(exported[0]?.message ?? "", /^shapes-128 takes no ControlNet/)
      const broken = yield* problemsOf(txt2img([{ model: "followed", image: new Uint8Array([1, 2, 3]) }]))
      assert.deepStrictEqual(broken.map(({ path }) => path), ["control_units.0.image"])
    }))

  it.effect("are written to the infotext as sd-webui-controlnet writes them", () =>
    Effect.gen(function*() {
      const unit = yield* follow(pictures.slopes(), { module: "canny", threshold_a: 80, control_mode: "control" })
      const { images: [image], warnings } = yield* txt2img([{ ...unit, low_vram: true }])
      assert.include(
        image?.infotext ?? "",
        "ControlNet 0: \"Module: canny, Model: followed [e3b0c442], Weight: 1.0, Resize Mode: Crop and Resize, " +
          "Processor Res: 512, Threshold A: 80.0, Threshold B: 200.0, Guidance Start: 0.0, Guidance End: 1.0, " +
          "Pixel Perfect: False, Control Mode: ControlNet is more important\""
      )
      assert.match(warnings.join(), /control_units\.0\.low_vram is ignored/)
    }))
})
