import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Img2Img, type Processing, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { BlobStore, hashOf } from "../../src/runs/BlobStore.ts"
import { RunStore } from "../../src/runs/RunStore.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"
import { file, rectangle, slopes } from "../diffusion/pictures.ts"
import { until } from "../server/serving.ts"
import { workers } from "./workers.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, steps: 3, width: 64, height: 64 })

describe("A run that a worker makes", () => {
  it.live("gives the bytes of the library: of images, a grid, a second pass, an image to start from, a mask", () =>
    Effect.gen(function*() {
      const { layer } = yield* workers({})
      const picture = yield* file(slopes())
      const mask = yield* file(rectangle([16, 16, 40, 48]))
      const wantsMasks = { return_mask: true, return_mask_composite: true }
      const all: ReadonlyArray<Processing> = [
        cat,
        { ...cat, batch_size: 2, n_iter: 2, sampler_name: "DPM++ 2M SDE Karras" },
        {
          ...cat,
          negative_prompt: "a dog",
          subseed: 3,
          subseed_strength: 0.25,
          override_settings: { randn_source: "NV" }
        },
        { ...cat, enable_hr: true, hr_scale: 2, hr_upscaler: "Lanczos" },
        Img2Img.make({
          prompt: "a cat",
          seed: 1,
          steps: 4,
          batch_size: 2,
          init_images: [picture],
          mask,
          override_settings: wantsMasks
        })
      ]
      for (const processing of all) {
        const there = yield* Effect.provide(processImages(processing), layer)
        const here = yield* Effect.provide(processImages(processing), TestRuntime.layer())
        assert.deepStrictEqual(
          there.images.map(({ bytes, infotext, path, pixels }) => ({ bytes, infotext, path, pixels })),
          here.images.map(({ bytes, infotext, path, pixels }) => ({ bytes, infotext, path, pixels }))
        )
        assert.deepStrictEqual(
          there.extraImages.map(({ bytes, index, kind }) => ({ bytes, index, kind })),
          here.extraImages.map(({ bytes, index, kind }) => ({ bytes, index, kind }))
        )
      }
    }))

  it.live("leaves nothing in the stores, unless its runs are kept", () =>
    Effect.gen(function*() {
      for (const keep of [false, true]) {
        const { layer, stores } = yield* workers({ keep, priority: 3, client: "me" })
        const { images: [image] } = yield* Effect.provide(processImages(cat, { runId: "mine" }), layer)
        assert.isDefined(image)
        const run = (yield* Context.get(stores, RunStore).get("mine")).pipe((found) =>
          found._tag === "Some" ? found.value : assert.fail()
        )
        assert.deepInclude(run, { client: "me", priority: 3, state: "done", attempt: 1 })
        assert.lengthOf(run.images, keep ? 1 : 0)
        assert.strictEqual(yield* Context.get(stores, BlobStore).has(hashOf(image.bytes)), keep)
      }
    }))

  it.live("says so when someone cancels it, and cancels it when it is interrupted", () =>
    Effect.gen(function*() {
      const model = TestModel.make({ stepDuration: "10 millis" })
      const { layer, stores } = yield* workers({ engine: { model } })
      const store = Context.get(stores, RunStore)
      const begin = (runId: string) =>
        Effect.forkChild(Effect.provide(processImages({ ...cat, steps: 150 }, { runId }), layer), {
          startImmediately: true
        })
      const stateOf = (runId: string) =>
        Effect.map(store.get(runId), (run) => run._tag === "Some" ? run.value.state : undefined)
      const cancelled = yield* begin("a")
      yield* until(stateOf("a"), (state) => state === "running")
      const [run] = (yield* store.list({ limit: 1 })).runs
      yield* store.append(run?.id ?? "", [{ _tag: "Wished", wish: "cancel" }])
      const error = yield* Effect.flip(Fiber.join(cancelled))
      assert.strictEqual(error._tag, "ClusterError")
      assert.match(error.message, /cancelled in the cluster/)

      const interrupted = yield* begin("b")
      yield* until(stateOf("b"), (state) => state === "running")
      yield* Fiber.interrupt(interrupted)
      yield* until(stateOf("b"), (state) => state === "cancelled")
    }))
})
