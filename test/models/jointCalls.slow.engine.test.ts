import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Record from "effect/Record"
import { join } from "node:path"
import type { LatentShape } from "../../src/core/LatentShape.ts"
import type { DenoisingCall, LoadedModel } from "../../src/model/LoadedModel.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import type { OptionsPatch } from "../../src/processing/FieldTypes.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { unpack } from "./checkpoint/data.ts"
import { textsOf } from "./checkpointImages.ts"
import { type FamilyName, inputsOf, make } from "./families.ts"
import { layerModels } from "./fixtures.ts"
import { largestDifference, small, wave } from "./numbers.ts"

/** Calls that were made as one with others, so far in this process. */
const jointCalls = Effect.map(Metric.snapshot, (metrics) => {
  const found = metrics.find(({ id }) => id === "serena_network_joint_calls_total")
  return found?.type === "Counter" ? Number(found.state.count) : 0
})

const fill = (call: DenoisingCall, seed: number) => {
  call.sample.set(wave(call.sample.length, 0.3 + seed / 10))
  for (const values of Object.values(call.inputs)) values.set(wave(values.length, 0.7 + seed / 100))
}

/** Two runs of two rows and of one, at their own timesteps: how far their calls are from those made alone. */
const together = Effect.fnUntraced(function*(
  model: LoadedModel,
  inputs: Readonly<Record<string, ReadonlyArray<number>>>,
  timesteps: readonly [number, number],
  { expectsJoint = true, size = small }: { readonly expectsJoint?: boolean; readonly size?: LatentShape } = {}
) {
  const one = Effect.fnUntraced(function*(batch: number, t: number) {
    const alone = yield* model.denoising({ ...size, batch, inputs })
    const call = yield* model.denoising({ ...size, batch, inputs, runsPerCall: 2 })
    for (const each of [alone, call]) fill(each, batch)
    yield* alone.run(t)
    return { expected: alone.prediction, call, t }
  })
  const [first, second] = timesteps
  const runs = [yield* one(2, first), yield* one(1, second)]
  const before = yield* jointCalls
  const most = expectsJoint ? 2000 : 24
  const largest = yield* Effect.forEach(runs, ({ call, expected, t }) =>
    Effect.gen(function*() {
      let largest = 0
      // On a busy machine they come late, or measure that it does not pay, until they try again.
      for (let time = 0; time < 24 || time < most && (yield* jointCalls) === before; time++) {
        call.prediction.fill(0)
        yield* call.run(t)
        largest = Math.max(largest, largestDifference(call.prediction, expected))
      }
      return largest
    }), { concurrency: 2 })
  return { joint: (yield* jointCalls) - before, largest: Math.max(...largest) }
}, Effect.scoped)

const families: ReadonlyArray<readonly [FamilyName, anyTimestep: boolean]> = [
  ["sd1", true],
  ["sd1-float16", true],
  ["sd1-timestep-batch", true],
  // These take one number for all rows, or none but that.
  ["sd1-timestep-one", false],
  ["sdxl", false]
]

describe("calls of several runs", () => {
  it.live.each(families)(
    "give as one what they give alone, at the timestep of each: %s",
    ([name, anyTimestep]) =>
      Effect.gen(function*() {
        const model = yield* (yield* ModelProvider).load(yield* make(name))
        const tolerance = name.endsWith("float16") ? 2e-3 : 1e-5
        const same = yield* together(model, inputsOf(name), [500, 500])
        assert.isBelow(same.largest, tolerance)
        assert.isAbove(same.joint, 0)
        const apart = yield* together(model, inputsOf(name), [500, 20], { expectsJoint: anyTimestep })
        assert.isBelow(apart.largest, tolerance)
        assert.strictEqual(apart.joint > 0, anyTimestep)
      }).pipe(Effect.provide(layerModels({ threads: 2 })))
  )

  it.live.each(["sd15", "sdxl"])(
    "of a checkpoint give as one what they give alone: %s",
    (name) =>
      Effect.gen(function*() {
        const folder = yield* unpack(`checkpoints/${name}.safetensors`)
        const model = yield* (yield* ModelProvider).load(join(folder, "checkpoints", `${name}.safetensors`))
        const [text = {}] = yield* textsOf(model, [
          Float32Array.from({ length: 154 }, (_, i) => i % 77 === 0 ? 94 : 95)
        ])
        const inputs = { ...Record.map(text, ({ dims }) => dims), ...(name === "sdxl" && { time_ids: [6] }) }
        const { joint, largest } = yield* together(model, inputs, [700, 30], {
          size: { ...small, height: 8, width: 16 }
        })
        assert.isBelow(largest, 1e-5)
        assert.isAbove(joint, 0)
      }).pipe(Effect.provide(layerModels({ threads: 2 })))
  )
})

type Fields = Partial<Pick<Txt2Img, "batch_size" | "sampler_name" | "seed" | "steps">>

const image = Effect.fnUntraced(function*(fields: Fields, override_settings: OptionsPatch) {
  const { images: [made = assert.fail("the run made no image")] } = yield* processImages(Txt2Img.make({
    prompt: "a red circle on a blue background",
    width: 64,
    height: 64,
    ...fields,
    override_settings: { samples_save: false, ...override_settings }
  }))
  return made.pixels
})

const runs: ReadonlyArray<Fields> = [
  { seed: 1, steps: 24, sampler_name: "Euler" },
  { seed: 2, steps: 20, sampler_name: "DPM++ 2M" },
  { seed: 3, steps: 14, sampler_name: "Heun", batch_size: 2 }
]

const levels = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? NaN))), 0)

/** Makes the images of several runs one after the other, and then of all at once with joint calls. */
const compared = Effect.fnUntraced(function*(settings: OptionsPatch = {}, expectsJoint = true) {
  const alone = yield* Effect.forEach(runs, (fields) => image(fields, settings))
  const before = yield* jointCalls
  let largest = 0
  // As above.
  for (let time = 0; time < (expectsJoint ? 20 : 1) && (yield* jointCalls) === before; time++) {
    const joint = yield* Effect.forEach(runs, (fields) => image(fields, { ...settings, runs_per_call: 3 }), {
      concurrency: "unbounded"
    })
    largest = Math.max(largest, ...joint.map((pixels, i) => levels(pixels, alone[i] ?? new Uint8Array())))
  }
  return { joint: (yield* jointCalls) - before, largest }
})

describe("runs that share calls", () => {
  it.live("make the same images within a level, with other samplers and numbers of steps", () =>
    Effect.gen(function*() {
      const { joint, largest } = yield* compared()
      assert.isAtMost(largest, 1)
      assert.isAbove(joint, 0)
      // The rows of int8 have scales of their own.
      const int8 = yield* compared({ unet_precision: "int8", token_merging_ratio: 0.5 })
      assert.strictEqual(int8.largest, 0)
      assert.isAbove(int8.joint, 0)
      // Deep layers are kept for the run that computed them.
      const deep = yield* compared({ deepcache_interval: 3, deepcache_start: 0 }, false)
      assert.deepStrictEqual(deep, { joint: 0, largest: 0 })
    }).pipe(Effect.provide(Serena.layer({ cmdOpts: { threads: 2 } }))))

  it.live("go on when one of them is interrupted", () =>
    Effect.gen(function*() {
      const settings = { runs_per_call: 2 }
      const [first = {}, second = {}] = runs
      const alone = yield* image(first, {})
      for (let time = 0; time < 2; time++) {
        const ended = yield* Effect.forkChild(image({ ...second, steps: 150 }, settings), { startImmediately: true })
        const whole = yield* Effect.forkChild(image(first, settings), { startImmediately: true })
        const before = yield* jointCalls
        while ((yield* jointCalls) === before && whole.pollUnsafe() === undefined) yield* Effect.yieldNow
        yield* Fiber.interrupt(ended)
        assert.isAtMost(levels(yield* Fiber.join(whole), alone), 1)
      }
    }).pipe(Effect.provide(Serena.layer({ cmdOpts: { threads: 2 } }))))
})
