import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { TestModel, TestRuntime } from "../../src/testing/index.ts"

const size = { channels: 4, frames: 1, height: 4, width: 6 }
const length = 4 * size.height * size.width
const model = TestModel.make()

/** A text as the network reads it, `[77, 12]`. */
const embed = Effect.fnUntraced(function*(text: string, clipSkip = 1) {
  const [encoder] = model.textEncoders
  const { encode, end, padding, start } = yield* encoder.vocabulary
  const [words = []] = yield* encode([text])
  const ids = [start, ...Array.from(words).slice(0, 75), end]
  const padded = [...ids, ...Array.from({ length: 77 - ids.length }, () => padding)]
  return (yield* encoder.encode(padded, { clipSkip })).values
})

/** What the model predicts for `sample` at timestep `t`, led by these texts one behind the other. */
const predict = Effect.fnUntraced(
  function*(
    texts: string | ReadonlyArray<string>,
    t: number,
    sample: (index: number) => number,
    using: LoadedModel = model
  ) {
    const chunks = yield* Effect.forEach([texts].flat(), (text) => embed(text))
    const { channels } = using.latents
    const call = yield* using.denoising({
      batch: 1,
      ...size,
      channels,
      inputs: { encoder_hidden_states: [77 * chunks.length, 12] }
    })
    for (const [i, chunk] of chunks.entries()) call.inputs["encoder_hidden_states"]?.set(chunk, i * chunk.length)
    for (let i = 0; i < call.sample.length; i++) call.sample[i] = sample(i)
    yield* call.run(t)
    return Array.from(call.prediction)
  },
  Effect.scoped
)
const Colour = Schema.Finite.check(Schema.isBetween({ minimum: -3, maximum: 3 }))
const noise = (index: number) => Math.sin(index * 12.9898) * 2
const withPrediction = (prediction: "epsilon" | "v_prediction" | "sample") => TestModel.make({ prediction })

// The share of the signal at a whole timestep, from the definition.
const alphaAt = (t: number) => {
  let product = 1
  for (let step = 0; step <= t; step++) {
    product *= 1 - (Math.sqrt(0.00085) + (Math.sqrt(0.012) - Math.sqrt(0.00085)) * step / 999) ** 2
  }
  return product
}

describe("TestModel", () => {
  it.effect("predicts the same for the same", () =>
    Effect.gen(function*() {
      const once = yield* predict("a cat", 500, noise)
      assert.strictEqual(once.length, length)
      assert.isTrue(once.every(Number.isFinite))
      assert.deepStrictEqual(yield* predict("a cat", 500, noise, TestModel.make()), once)
    }))

  it.effect("predicts otherwise for another prompt, another sample, another timestep", () =>
    Effect.gen(function*() {
      const all = yield* Effect.all([
        predict("a cat", 500, noise),
        predict("a dog", 500, noise),
        predict("cat a", 500, noise),
        predict("", 500, noise),
        predict("a cat", 500, (i) => noise(i + 1)),
        predict("a cat", 500.5, noise)
      ])
      assert.strictEqual(new Set(all.map((prediction) => prediction.join())).size, all.length)
    }))

  it.effect("finds almost all of pure noise to be noise, and none of it at the last step", () =>
    Effect.gen(function*() {
      const start = yield* predict("", 999, noise)
      start.forEach((value, i) => assert.closeTo(value, noise(i), 0.05))
      const end = yield* predict("", 0, noise)
      end.forEach((value, i) => assert.isBelow(Math.abs(value), Math.abs(noise(i)) + 0.05))
    }))

  it.effect.each([0, 100, 500, 999])(
    "predicts noise, velocity and picture that agree at timestep %d",
    (t) =>
      Effect.gen(function*() {
        const [epsilon, velocity, original] = yield* Effect.all([
          predict("a cat", t, noise, withPrediction("epsilon")),
          predict("a cat", t, noise, withPrediction("v_prediction")),
          predict("a cat", t, noise, withPrediction("sample"))
        ])
        const [signal, rest] = [Math.sqrt(alphaAt(t)), Math.sqrt(1 - alphaAt(t))]
        for (let i = 0; i < length; i++) {
          const [e, v, x] = [epsilon[i] ?? NaN, velocity[i] ?? NaN, original[i] ?? NaN]
          assert.closeTo(signal * x + rest * e, noise(i), 1e-5)
          assert.closeTo(signal * e - rest * x, v, 1e-5)
        }
      })
  )

  it.effect("treats each latent of a batch on its own", () =>
    Effect.gen(function*() {
      const [cat, dog] = [yield* embed("a cat"), yield* embed("a dog")]
      const call = yield* model.denoising({ batch: 2, ...size, inputs: { encoder_hidden_states: [77, 12] } })
      call.inputs["encoder_hidden_states"]?.set([...cat, ...dog])
      for (let i = 0; i < length; i++) call.sample[i] = call.sample[length + i] = noise(i)
      yield* call.run(500)
      assert.deepStrictEqual(Array.from(call.prediction.subarray(0, length)), yield* predict("a cat", 500, noise))
      assert.deepStrictEqual(Array.from(call.prediction.subarray(length)), yield* predict("a dog", 500, noise))
    }).pipe(Effect.scoped))

  it.effect("takes each word and each comma for a token", () =>
    Effect.gen(function*() {
      const { comma, encode, end, padding, start } = yield* model.textEncoders[0].vocabulary
      const [ids, same] = (yield* encode(["a cat,a dog", "  a\ncat , a dog "])).map((ids) => Array.from(ids))
      assert.isDefined(ids)
      assert.strictEqual(ids.length, 5)
      assert.deepStrictEqual([ids[2], ids[3]], [comma, ids[0]])
      assert.strictEqual(new Set(ids).size, 4)
      assert.isFalse(ids.some((id) => id === start || id === end || id === padding))
      assert.deepStrictEqual(same, ids)
    }))

  it.effect("embeds words otherwise in another place, and with layers left out", () =>
    Effect.gen(function*() {
      const [last, skipped, moved] = [
        yield* embed("a cat"),
        yield* embed("a cat", 2),
        yield* embed("cat a")
      ]
      assert.strictEqual(last.length, 77 * model.textEncoders[0].width)
      assert.notDeepEqual(skipped, last)
      assert.notDeepEqual(moved, last)
      assert.notDeepEqual(yield* embed("a cat", 3), skipped)
      assert.deepStrictEqual(yield* embed("a cat", 2), skipped)
      assert.isAtLeast(yield* model.textEncoders[0].largestClipSkip, 2)
    }))

  it.effect("is led by every portion of a long text", () =>
    Effect.gen(function*() {
      const long = yield* predict(["a cat", "on a mat"], 500, noise)
      assert.notDeepEqual(long, yield* predict("a cat", 500, noise))
      assert.notDeepEqual(long, yield* predict(["a cat", "on a hat"], 500, noise))
      assert.deepStrictEqual(long, yield* predict(["a cat", "on a mat"], 500, noise))
    }))

  it.effect("decodes each latent value to a square of 8 by 8 pixels, within -1 and 1", () =>
    Effect.gen(function*() {
      const pixels = yield* model.decode(Float32Array.from({ length }, (_, i) => noise(i) * 3), size)
      const [rows, columns] = [size.height * 8, size.width * 8]
      assert.strictEqual(pixels.length, 3 * rows * columns)
      assert.isTrue(pixels.every((value) => Math.abs(value) < 1))
      const at = (y: number, x: number) => pixels[y * columns + x]
      assert.strictEqual(at(0, 0), at(7, 7))
      assert.notStrictEqual(at(0, 0), at(0, 8))
      assert.notStrictEqual(at(0, 0), at(8, 0))
    }))

  it.effect("decodes a latent of nothing to grey", () =>
    Effect.gen(function*() {
      const pixels = yield* model.decode(new Float32Array(length), size)
      assert.isTrue(pixels.every((value) => value === 0))
    }))

  it.effect.prop(
    "encodes squares of one colour to what they were decoded from",
    [Colour, Colour, Colour],
    (colours) =>
      Effect.gen(function*() {
        // Each square has a colour of its own; the last channel, light, is 0.
        const area = size.height * size.width
        const latent = Float32Array.from({ length }, (_, i) => (colours[Math.floor(i / area)] ?? 0) * Math.cos(i))
        const encoded = yield* model.encode(yield* model.decode(latent, size), size)
        assert.strictEqual(encoded.length, length)
        encoded.forEach((value, i) => assert.closeTo(value, latent[i] ?? NaN, 1e-4))
      })
  )

  it.effect("encodes white and black to something finite", () =>
    Effect.gen(function*() {
      const pixels = Float32Array.from({ length: 3 * 64 * size.height * size.width }, (_, i) => i % 128 < 64 ? 1 : -1)
      assert.isTrue((yield* model.encode(pixels, size)).every(Number.isFinite))
    }))

  it.effect("has every part replaced that is given", () =>
    Effect.gen(function*() {
      const small = TestModel.make({
        name: "small",
        latents: { ...model.latents, channels: 3, scale: { space: 2, time: 1 } },
        hash: Effect.succeed("0")
      })
      assert.strictEqual(small.name, "small")
      assert.strictEqual(yield* small.hash, "0")
      assert.strictEqual(
        (yield* small.decode(new Float32Array(3), { channels: 3, frames: 1, height: 1, width: 1 })).length,
        12
      )
      assert.strictEqual((yield* predict("a cat", 1, noise, small)).length, 3 * size.height * size.width)
    }))

  it.effect.prop("embeds any text", [Schema.String], ([prompt]) =>
    Effect.gen(function*() {
      const { encode, end, start } = yield* model.textEncoders[0].vocabulary
      const [ids = []] = yield* encode([prompt])
      assert.isTrue(Array.from(ids).every((id) => Number.isInteger(id) && id > Math.max(start, end)))
      const values = yield* embed(prompt)
      assert.strictEqual(values.length, 77 * model.textEncoders[0].width)
      assert.isTrue(values.every((value) => Math.abs(value) <= 1))
    }))

  it.effect("lets other fibers run during a call", () =>
    Effect.gen(function*() {
      let ran = false
      yield* Effect.forkChild(Effect.sync(() => {
        ran = true
      }))
      yield* predict("a cat", 500, noise)
      assert.isTrue(ran)
    }))

  it.effect("takes its time for each denoising call, so that a test moves a run step by step", () => {
    const steps = 5
    return Effect.gen(function*() {
      const { get } = yield* Runs
      const fiber = yield* Effect.forkChild(
        processImages(Txt2Img.make({ prompt: "a cat", steps }), { runId: "slow" })
      )
      for (let step = 0; step < steps; step++) {
        yield* TestClock.adjust(step === 0 ? "1999 millis" : "2 seconds")
        const { samplingStep } = yield* Option.getOrThrow(yield* get("slow")).progress
        assert.strictEqual(samplingStep, step)
        assert.isUndefined(fiber.pollUnsafe())
      }
      yield* TestClock.adjust("1 milli")
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(TestRuntime.layer({ model: TestModel.make({ stepDuration: "2 seconds" }) })))
  })
})
