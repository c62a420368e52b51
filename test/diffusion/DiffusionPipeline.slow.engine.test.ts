import { assert, describe, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Txt2Img } from "../../src/processing/Processing.ts"
import type { GeneratedImage } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import * as Serena from "../../src/Serena.ts"
import { mainThreadShare } from "../mainThread.ts"
import { platform } from "../models/fixtures.ts"

// The networks are small: more threads only wait for each other.
const cmdOpts = { threads: 1 }

type Input = Parameters<typeof Txt2Img.make>[0]

/** A quick request that saves nothing. */
const request = (input: Input = {}) =>
  Txt2Img.make({
    prompt: "a red circle on a blue background",
    seed: 1,
    steps: 8,
    cfg_scale: 4,
    override_settings: { samples_save: false },
    ...input
  })

const run = (input?: Input) => processImages(request(input), { runId: "r1" })

const colours = {
  red: [226, 49, 39],
  blue: [38, 70, 220],
  green: [33, 158, 62],
  yellow: [245, 215, 40],
  white: [245, 245, 245],
  black: [15, 15, 15],
  pink: [245, 120, 180],
  cyan: [45, 205, 220]
} as const

const nearestColour = (pixel: ReadonlyArray<number>) => {
  const distance = (name: keyof typeof colours) =>
    colours[name].reduce((sum, value, i) => sum + (value - (pixel[i] ?? 0)) ** 2, 0)
  const names: ReadonlyArray<keyof typeof colours> = [
    "red",
    "blue",
    "green",
    "yellow",
    "white",
    "black",
    "pink",
    "cyan"
  ]
  return names.reduce((best, name) => distance(name) < distance(best) ? name : best)
}

const pixelAt = ({ pixels, width }: GeneratedImage, x: number, y: number) =>
  Array.from(pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3))

const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined) =>
  a !== undefined && b !== undefined && Buffer.compare(a, b) === 0

layer(Serena.layer({ cmdOpts }))("the engine on the embedded model", (it) => {
  it.effect.each(
    [
      ["a large red circle on a blue background", "red", "blue"],
      ["a large yellow square on a black background", "yellow", "black"],
      ["a large white diamond on a green background", "white", "green"],
      ["a large pink circle on a cyan background", "pink", "cyan"]
    ] as const
  )("shows %s", ([prompt, object, background]) =>
    Effect.gen(function*() {
      for (const sampler_name of ["Euler", "Euler a", "DPM++ 2M", "DPM++ 2M Simple"]) {
        const { images: [image] } = yield* run({ prompt, sampler_name, steps: 10 })
        assert.isDefined(image)
        assert.deepStrictEqual([image.width, image.height], [128, 128])
        assert.strictEqual(nearestColour(pixelAt(image, 64, 64)), object, sampler_name)
        assert.strictEqual(nearestColour(pixelAt(image, 4, 4)), background, sampler_name)
        assert.strictEqual(nearestColour(pixelAt(image, 123, 123)), background, sampler_name)
      }
    }))

  it.effect("gives the same bytes for the same seed, and others for another", () =>
    Effect.gen(function*() {
      const [first, again, other] = [yield* run(), yield* run(), yield* run({ seed: 2 })]
      assert.isTrue(sameBytes(first.images[0]?.bytes, again.images[0]?.bytes))
      assert.isFalse(sameBytes(first.images[0]?.pixels, other.images[0]?.pixels))
    }))

  it.effect("makes image i of a request from seed + i, whatever its neighbours are", () =>
    Effect.gen(function*() {
      const together = yield* run({ batch_size: 2, n_iter: 2, seed: 10 })
      assert.deepStrictEqual(together.images.map(({ index, seed }) => [index, seed]), [[0, 10], [1, 11], [2, 12], [
        3,
        13
      ]])
      for (const image of together.images) {
        const { images: [alone] } = yield* run({ seed: image.seed })
        const largest = image.pixels.reduce(
          (largest, value, i) => Math.max(largest, Math.abs(value - (alone?.pixels[i] ?? NaN))),
          0
        )
        assert.isAtMost(largest, 1)
      }
    }))

  it.effect("keeps the negative prompt away, and does without it at CFG scale 1", () =>
    Effect.gen(function*() {
      const prompt = "a large circle"
      const run = (input: Input) => processImages(request({ prompt, steps: 3, ...input }))
      const plain = yield* run({})
      const kept = yield* run({ negative_prompt: "a blue background" })
      assert.isFalse(sameBytes(plain.images[0]?.pixels, kept.images[0]?.pixels))
      const unguided = yield* run({ cfg_scale: 1 })
      const same = yield* run({ cfg_scale: 1, negative_prompt: "a blue background" })
      assert.isTrue(sameBytes(unguided.images[0]?.pixels, same.images[0]?.pixels))
    }))

  it.effect("makes other sizes, wide and tall", () =>
    Effect.gen(function*() {
      const { images: [image] } = yield* run({ width: 192, height: 96, steps: 2 })
      assert.deepStrictEqual([image?.width, image?.height, image?.pixels.length], [192, 96, 192 * 96 * 3])
    }))

  it.effect("makes several requests at once as it makes each alone", () =>
    Effect.gen(function*() {
      const seeds = [1, 2, 3, 4]
      const one = (seed: number) => run({ seed, steps: 3 })
      const alone = yield* Effect.forEach(seeds, one)
      const together = yield* Effect.forEach(seeds, one, { concurrency: "unbounded" })
      for (const [i, { images }] of together.entries()) {
        assert.isTrue(sameBytes(images[0]?.bytes, alone[i]?.images[0]?.bytes))
      }
    }))

  it.effect("is interrupted between any two calls of the network, and makes the same image afterwards", () =>
    Effect.gen(function*() {
      const expected = yield* run()
      for (let yields = 0; yields < 12; yields++) {
        const fiber = yield* Effect.forkChild(run(), { startImmediately: true })
        for (let turn = 0; turn < yields; turn++) yield* Effect.promise(() => new Promise((next) => setImmediate(next)))
        yield* Fiber.interrupt(fiber)
      }
      const after = yield* run()
      assert.isTrue(sameBytes(after.images[0]?.bytes, expected.images[0]?.bytes))
    }))

  it.effect("leaves the main thread free", () =>
    Effect.gen(function*() {
      yield* run()
      // Were the networks run here, nearly all of it would be.
      assert.isBelow(yield* mainThreadShare(run({ width: 256, height: 256, steps: 5 })), 0.5)
    }))
})

describe("hooks", () => {
  const two = run({ batch_size: 2, subseed: 3 })
  const withHooks = (hooks: Layer.Layer<RunnerHooks>) => Effect.provide(two, Serena.layer({ hooks, cmdOpts }))

  it.effect("change nothing: none, no-op ones and three observers give the same bytes and metadata", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const observer = (name: string) => ({
        onPrepare: () => Effect.sync(() => seen.push(`${name} onPrepare`)),
        onExecute: () => Effect.sync(() => seen.push(`${name} onExecute`)),
        onFinalize: () => Effect.sync(() => seen.push(`${name} onFinalize`)),
        around: <A, E, R>(_: string, effect: Effect.Effect<A, E, R>) => Effect.delay(effect, 0)
      })
      const none = yield* Effect.provide(two, Serena.layer({ cmdOpts }))
      const noop = yield* withHooks(RunnerHooks.layerNoop)
      const three = yield* withHooks(RunnerHooks.layer(observer("a"), observer("b"), observer("c")))
      assert.strictEqual(seen.length, 9)
      for (const other of [noop, three]) {
        assert.deepStrictEqual(other, none)
        assert.isTrue(other.images.every(({ bytes }, i) => sameBytes(bytes, none.images[i]?.bytes)))
      }
    }))

  const interruptingAt = (step: number) =>
    RunnerHooks.layer({
      onPrepare: () =>
        Effect.gen(function*() {
          const { state } = yield* RuntimeContext
          yield* state.changes.pipe(
            Stream.filter(({ samplingStep }) => samplingStep >= step),
            Stream.take(1),
            Stream.runForEach(() => state.interrupt),
            Effect.forkDetach
          )
        })
    })

  it.effect("may ask the run to end: it gives what it has after the step, and saves nothing unfinished", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const processed = yield* processImages(Txt2Img.make({
        prompt: "a red circle",
        seed: 1,
        steps: 100,
        n_iter: 3,
        override_settings: { outdir_txt2img_samples: folder }
      })).pipe(Effect.provide(Serena.layer({ hooks: interruptingAt(5), cmdOpts })))
      assert.isTrue(processed.interrupted)
      assert.deepStrictEqual(processed.images.map(({ complete, path }) => [complete, path]), [[false, undefined]])
      assert.deepStrictEqual(yield* fs.readDirectory(folder), [])
    }).pipe(Effect.provide(platform)))

  it.effect("see the run's progress, step after step", () =>
    Effect.gen(function*() {
      const steps: Array<number> = []
      const done = yield* Deferred.make<void>()
      const hooks = RunnerHooks.layer({
        onPrepare: () =>
          Effect.gen(function*() {
            const { state } = yield* RuntimeContext
            yield* state.changes.pipe(
              Stream.takeUntil(({ activity }) => activity === "done"),
              Stream.runForEach(({ samplingStep }) => Effect.sync(() => steps.push(samplingStep))),
              Effect.andThen(Deferred.succeed(done, undefined)),
              Effect.forkDetach
            )
          })
      })
      yield* withHooks(hooks)
      yield* Deferred.await(done)
      const sampled = steps.filter((step) => step > 0)
      assert.deepStrictEqual(sampled, sampled.toSorted((a, b) => a - b))
      assert.isAtLeast(new Set(sampled).size, 4)
      assert.strictEqual(Math.max(...sampled), 8)
    }))
})
