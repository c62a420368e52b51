import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readMetadata } from "../../src/images/Metadata.ts"
import { InferenceError } from "../../src/model/ModelError.ts"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { PromptStyle } from "../../src/prompt/Styles.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { Faults, RecordingHooks, SavedImages, TestModel, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, subseed: 8 })

layer(TestRuntime.layer())("TestRuntime", (it) => {
  it.effect("makes images of the model's size by the diffusion pipeline", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* processImages(cat)
      assert.isDefined(image)
      assert.deepStrictEqual([image.width, image.height, image.pixels.length], [64, 64, 64 * 64 * 3])
      assert.isAbove(new Set(image.pixels).size, 50)
      assert.match(
        image.infotext,
        /^a cat\nSteps: 20, Sampler: Euler, Schedule type: \w+, CFG scale: 7.0, Seed: 7, Size: 64x64, Model hash: 7e57000000, Model: test-model, RNG: CPU, Version: serena-/
      )
      assert.strictEqual((yield* readMetadata(image.bytes)).infotext, image.infotext)
    }))

  it.effect("saves them in memory", () =>
    Effect.gen(function*() {
      const { clear, files, texts } = yield* SavedImages
      yield* clear
      const { images } = yield* processImages(Txt2Img.make({ prompt: "a cat", seed: 7, batch_size: 2 }))
      assert.deepStrictEqual(
        [...yield* files],
        images.map(({ bytes, path }) => [path, bytes])
      )
      assert.deepStrictEqual(images.map(({ path }) => path), [
        "outputs/txt2img-images/1970-01-01/00000-7.png",
        "outputs/txt2img-images/1970-01-01/00001-8.png"
      ])
      assert.deepStrictEqual([...yield* texts], [
        ["outputs/txt2img-images/params.txt", `${images[0]?.infotext}\n`]
      ])
      yield* clear
      assert.strictEqual((yield* files).size, 0)
      assert.strictEqual((yield* texts).size, 0)
    }))

  it.effect("saves each image's text next to it when the settings say so", () =>
    Effect.gen(function*() {
      const { clear, texts } = yield* SavedImages
      yield* clear
      const { images } = yield* processImages({
        ...cat,
        n_iter: 2,
        override_settings: { save_txt: true, save_params_txt: false }
      })
      assert.deepStrictEqual(
        [...yield* texts],
        images.map(({ infotext, path }) => [path?.replace(/png$/, "txt"), `${infotext}\n`])
      )
      yield* clear
    }))

  it.effect("has the live settings and the runs, too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* Options).snapshot, Options.defaults)
      assert.deepStrictEqual(yield* (yield* Runs).list, [])
    }))
})

describe("TestRuntime.layer", () => {
  it.effect("gives the same images every time", () =>
    Effect.gen(function*() {
      const run = processImages(cat, { runId: "r1" })
      const once = yield* Effect.provide(run, TestRuntime.layer())
      assert.deepStrictEqual(yield* Effect.provide(run, TestRuntime.layer()), once)
    }))

  it.effect("knows the styles that it is given, and no others", () => {
    const fluffy: PromptStyle = { name: "Fluffy", prompt: "{prompt}, fluffy", negativePrompt: "bald" }
    const styled = { ...cat, styles: ["Fluffy", "Shiny"] }
    return Effect.gen(function*() {
      const { images: [image], state } = yield* Effect.provide(
        processImages(styled),
        TestRuntime.layer({ styles: [fluffy] })
      )
      assert.deepStrictEqual([image?.prompt, image?.negativePrompt], ["a cat, fluffy", "bald"])
      assert.deepStrictEqual([state.prompt, state.negativePrompt], ["a cat, fluffy", "bald"])
      const { images: [plain] } = yield* Effect.provide(processImages(styled), TestRuntime.layer())
      assert.deepStrictEqual([plain?.prompt, plain?.negativePrompt], ["a cat", ""])
      assert.notDeepEqual(image?.pixels, plain?.pixels)
    })
  })

  it.effect("keeps its model, settings and files to itself inside of another one", () => {
    const inner = TestRuntime.layer({
      model: TestModel.make({ name: "inner" }),
      opts: { outdir_txt2img_samples: "in" }
    })
    const outer = TestRuntime.layer({
      model: TestModel.make({ name: "outer" }),
      opts: { outdir_txt2img_samples: "out" }
    })
    const saved = Effect.gen(function*() {
      const { state } = yield* processImages(cat)
      const { files } = yield* SavedImages
      return [state.model.name, ...(yield* files).keys()]
    })
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.provide(saved, inner), ["inner", "in/1970-01-01/00000-7.png"])
      assert.deepStrictEqual(yield* saved, ["outer", "out/1970-01-01/00000-7.png"])
    }).pipe(Effect.provide(outer))
  })

  it.effect("has the pipeline replaced by another", () =>
    Effect.gen(function*() {
      const { images } = yield* processImages(cat)
      assert.deepStrictEqual(images.map(({ bytes }) => bytes.length), [0])
    }).pipe(Effect.provide(TestRuntime.layer({ pipeline: TestPipeline.layer() }))))

  const error = new InferenceError({ file: "unet", reason: "out of memory" })

  it.effect("puts faults into the diffusion pipeline", () =>
    Effect.gen(function*() {
      const { calls } = yield* RecordingHooks
      assert.strictEqual(yield* Effect.flip(processImages(cat)), error)
      assert.deepStrictEqual((yield* calls).map(({ hook }) => hook), [
        "around:prepare:start",
        "around:prepare:end",
        "onPrepare",
        "around:execute:start",
        "around:execute:end"
      ])
    }).pipe(Effect.provide(TestRuntime.layerRecording({ faults: [Faults.fail("execute", error)] }))))

  it.effect("gives hooks the runs and settings when their layer is built", () => {
    const seen: Array<number> = []
    const hooks = RunnerHooks.layerEffect(Effect.map(Runs, ({ list }) => [{
      onExecute: () => Effect.map(list, (runs) => void seen.push(runs.length))
    }]))
    return Effect.gen(function*() {
      yield* processImages(cat)
      assert.deepStrictEqual(seen, [1])
    }).pipe(Effect.provide(TestRuntime.layer({ hooks })))
  })
})
