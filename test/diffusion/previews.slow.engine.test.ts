import { assert, describe, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as previews from "../../src/diffusion/previews.ts"
import * as Progress from "../../src/instrumentation/Progress.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Options } from "../../src/processing/Options.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import type { Preview } from "../../src/runner/RunState.ts"
import * as RunState from "../../src/runner/RunState.ts"
import * as Serena from "../../src/Serena.ts"
import * as TestModel from "../../src/testing/TestModel.ts"

const run = Effect.fnUntraced(
  function*(settings: NonNullable<Parameters<typeof Txt2Img.make>[0]["override_settings"]>) {
    const seen: Array<Preview> = []
    const watching = yield* Progress.stream("watched").pipe(
      Stream.runForEach(({ preview }) => Effect.sync(() => preview && seen.at(-1) !== preview && seen.push(preview))),
      Effect.forkChild({ startImmediately: true })
    )
    const { images: [image] } = yield* processImages(
      Txt2Img.make({
        prompt: "a large red circle on a blue background",
        seed: 1,
        steps: 12,
        cfg_scale: 4,
        override_settings: { samples_save: false, show_progress_every_n_steps: 3, ...settings }
      }),
      { runId: "watched" }
    )
    yield* Fiber.join(watching)
    assert.isDefined(image)
    return { image, seen }
  }
)

const meanDistance = (preview: Preview, pixels: Uint8Array, size: number) => {
  const scale = size / preview.width
  let sum = 0
  for (let y = 0; y < preview.height; y++) {
    for (let x = 0; x < preview.width; x++) {
      const centre = (Math.floor((y + 0.5) * scale) * size + Math.floor((x + 0.5) * scale)) * 3
      for (let c = 0; c < 3; c++) {
        sum += Math.abs((preview.pixels[(y * preview.width + x) * 3 + c] ?? 0) - (pixels[centre + c] ?? 0))
      }
    }
  }
  return sum / (preview.width * preview.height * 3)
}

layer(Serena.layer({ cmdOpts: { threads: 1 } }))("previews of a run", (it) => {
  it.effect("are small and look more and more like the image", () =>
    Effect.gen(function*() {
      const { image, seen } = yield* run({ show_progress_type: "Approx cheap" })
      const last = seen.at(-1)
      assert.isDefined(last)
      assert.deepStrictEqual([last.width, last.height, last.pixels.length], [16, 16, 16 * 16 * 3])
      assert.isTrue(seen.every(({ step }) => step % 3 === 0))
      const [first = last] = seen
      assert.isBelow(meanDistance(last, image.pixels, 128), meanDistance(first, image.pixels, 128) / 2)
    }))

  it.effect("are decoded in full when the settings say so", () =>
    Effect.gen(function*() {
      // The first one waits until the decoder is open in the background.
      yield* run({ show_progress_type: "Full" })
      const { image, seen } = yield* run({ show_progress_type: "Full" })
      const last = seen.at(-1)
      assert.isDefined(last)
      assert.deepStrictEqual([last.width, last.height], [128, 128])
      const [first = last] = seen
      assert.isAtMost(meanDistance(last, image.pixels, 128), meanDistance(first, image.pixels, 128))
    }))

  it.effect("are not made when they are switched off", () =>
    Effect.gen(function*() {
      const { seen } = yield* run({ live_previews_enable: false })
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("change nothing in the image", () =>
    Effect.gen(function*() {
      const off = yield* run({ live_previews_enable: false })
      for (const show_progress_type of ["Approx cheap", "Full"] as const) {
        const on = yield* run({ show_progress_type, show_progress_every_n_steps: 1 })
        assert.strictEqual(Buffer.compare(on.image.bytes, off.image.bytes), 0)
      }
    }))
})

describe("a preview", () => {
  it.effect("is left out while the one before is being made, so that sampling never waits", () =>
    Effect.gen(function*() {
      const decoding = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      let decoded = 0
      const model = TestModel.make({
        decode: (latent) => {
          decoded++
          return Deferred.succeed(decoding, undefined).pipe(
            Effect.andThen(Deferred.await(finish)),
            Effect.as(new Float32Array(latent.length * 48))
          )
        }
      })
      const state = yield* RunState.make("run")
      const opts = { ...Options.defaults, show_progress_type: "Full" as const, show_progress_every_n_steps: 1 }
      const show = yield* previews.make(
        { model, opts, cmdOpts: CommandOptions.defaults, state, embeddings: [], images: 1, seamless: false },
        { channels: 4, frames: 1, height: 2, width: 2 }
      )
      const latents = new Float32Array(16)
      const step = (step: number) => show({ step, steps: 9, sigma: 1, x: latents, denoised: latents })
      yield* step(1)
      yield* Deferred.await(decoding)
      yield* step(2)
      yield* step(3)
      yield* Deferred.succeed(finish, undefined)
      const { preview } = yield* state.changes.pipe(
        Stream.filter(({ preview }) => preview !== undefined),
        Stream.take(1),
        Stream.runLast,
        Effect.flatMap(Effect.fromOption)
      )
      assert.strictEqual(preview?.step, 1)
      assert.strictEqual(decoded, 1)
      yield* Effect.yieldNow
      yield* step(4)
      yield* Effect.yieldNow
      assert.strictEqual(decoded, 2)
    }))

  it.effect("that cannot be made does not end the run", () =>
    Effect.gen(function*() {
      const opts = { ...Options.defaults, show_progress_every_n_steps: 1 }
      const state = yield* RunState.make("run")
      const model = TestModel.make({ latents: { ...TestModel.make().latents, rgb: undefined } })
      const show = yield* previews.make(
        { model, opts, cmdOpts: CommandOptions.defaults, state, embeddings: [], images: 1, seamless: false },
        { channels: 4, frames: 1, height: 2, width: 2 }
      )
      const latents = new Float32Array(16)
      yield* show({ step: 1, steps: 1, sigma: 1, x: latents, denoised: latents })
      assert.isUndefined((yield* state.progress).preview)
    }))
})
