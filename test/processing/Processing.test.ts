import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { InvalidProcessing } from "../../src/processing/errors.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { checkLimits, decode, exceeded, Processing, Txt2Img } from "../../src/processing/Processing.ts"

const defaults = {
  _tag: "Txt2Img",
  prompt: "",
  negative_prompt: "",
  seed: -1,
  steps: 20,
  sampler_name: "Euler",
  scheduler: "Automatic",
  cfg_scale: 7,
  batch_size: 1,
  n_iter: 1,
  override_settings: {}
} as const

const boundless = Limits.make({
  max_width: Number.MAX_SAFE_INTEGER,
  max_height: Number.MAX_SAFE_INTEGER,
  max_batch_size: Number.MAX_SAFE_INTEGER,
  max_n_iter: Number.MAX_SAFE_INTEGER,
  max_total_pixels: Number.MAX_SAFE_INTEGER,
  max_steps: Number.MAX_SAFE_INTEGER,
  max_prompt_bytes: Number.MAX_SAFE_INTEGER
})

const problems = (input: unknown, limits?: Limits) =>
  decode(input, limits).pipe(
    Effect.flip,
    Effect.map(({ problems }) => problems)
  )
const paths = (input: unknown, limits?: Limits) =>
  Effect.map(problems(input, limits), (problems) => [...new Set(problems.map(({ path }) => path))])

const fieldNames = Object.keys(Txt2Img.fields)
const anyJson = Arbitrary.schema(Schema.Json)
// Requests that are nearly right: known fields with any value.
const anyFields = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.all([Arbitrary.schema(Schema.Literals([...fieldNames, "__proto__", "constructor", "other"])), anyJson])
  ),
  (entries) => Object.fromEntries(entries)
)
const nested = (depth: number, wrap: (inner: unknown) => unknown): unknown => {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = wrap(value)
  return value
}

describe("Processing.decode", () => {
  it.effect("gives every missing field its default", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decode({}), defaults)
    }))

  it.effect("takes a null for a missing field", () =>
    Effect.gen(function*() {
      const nulls = Object.fromEntries(fieldNames.map((name) => [name, null]))
      const { height, width, ...rest } = yield* decode(nulls)
      assert.deepStrictEqual(rest, defaults)
      assert.isUndefined(width)
      assert.isUndefined(height)
    }))

  it.effect("passes over unknown fields", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decode({ prompt: "a cat", restore_faces: true, alwayson_scripts: {} }), {
        ...defaults,
        prompt: "a cat"
      })
    }))

  it.effect("is not fooled by fields named after an object's own", () =>
    Effect.gen(function*() {
      const json = `{ "__proto__": { "steps": 5 }, "constructor": { "prototype": { "steps": 6 } }, "toString": 7,
        "override_settings": { "__proto__": { "samples_save": false } } }`
      const processing = yield* decode(JSON.parse(json))
      assert.deepStrictEqual(processing, defaults)
      assert.isUndefined(Object.getOwnPropertyDescriptor(Object.prototype, "steps"))
      assert.isUndefined(Reflect.get(processing.override_settings, "samples_save"))
    }))

  it.effect("keeps what was asked for", () =>
    Effect.gen(function*() {
      const input = {
        _tag: "Txt2Img",
        prompt: "a red circle",
        negative_prompt: "blue",
        seed: 4_294_967_295,
        steps: 30,
        sampler_name: "DPM++ 2M Karras",
        scheduler: "Beta",
        cfg_scale: 7.5,
        width: 256,
        height: 128,
        batch_size: 2,
        n_iter: 3,
        override_settings: { samples_save: false, randn_source: "NV" }
      }
      assert.deepStrictEqual<unknown>(yield* decode(input), input)
    }))

  it.effect("names every problem with its path", () =>
    Effect.gen(function*() {
      const found = yield* paths({
        prompt: 3,
        seed: 0.5,
        steps: 0,
        sampler_name: "",
        cfg_scale: -1,
        width: 7,
        height: "64",
        batch_size: 0,
        n_iter: {},
        override_settings: { samples_save: "yes", randn_source: "TPU" }
      })
      assert.sameMembers(found, [
        "prompt",
        "seed",
        "steps",
        "sampler_name",
        "cfg_scale",
        "width",
        "height",
        "batch_size",
        "n_iter",
        "override_settings.samples_save",
        "override_settings.randn_source"
      ])
    }))

  it.effect.each([null, 5, true, "a cat", [], [{}]])(
    "refuses what is not an object: %j",
    (input) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(decode(input))
        assert.instanceOf(error, InvalidProcessing)
        assert.deepStrictEqual(error.problems.map(({ path }) => path), [""])
        assert.notInclude(error.message, "Correct :")
      })
  )

  it.effect("refuses another kind of processing than there is", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* paths({ _tag: "Img2Img" }), ["_tag"])
    }))

  it.effect.each([1e300, -1e300, 0.1, 2 ** 53, "1", true, {}])(
    "refuses %j as a seed",
    (seed) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* paths({ seed }), ["seed"])
      })
  )

  it.effect.prop(
    "gives a Processing or InvalidProcessing for any JSON value",
    [anyJson],
    ([input]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Effect.catchTag(decode(input), "InvalidProcessing", Effect.succeed))
        assert.isTrue(Exit.isSuccess(exit))
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop(
    "gives a Processing or names a known field, for any values in any fields",
    [anyFields],
    ([input]) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(decode(input))
        if (result._tag === "Success") return assert.strictEqual(result.success._tag, "Txt2Img")
        assert.instanceOf(result.failure, InvalidProcessing)
        assert.isNotEmpty(result.failure.problems)
        for (const { message, path } of result.failure.problems) {
          assert.include(fieldNames, path.split(".")[0])
          assert.isNotEmpty(message)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("does not run out of stack on values a million levels deep", () =>
    Effect.gen(function*() {
      const arrays = nested(1_000_000, (inner) => [inner])
      const objects = nested(1_000_000, (inner) => ({ prompt: inner }))
      for (const name of fieldNames) assert.deepStrictEqual(yield* paths({ [name]: arrays }), [name])
      for (const deep of [arrays, objects]) {
        assert.deepStrictEqual(yield* paths({ seed: deep }), ["seed"])
        assert.deepStrictEqual(yield* decode({ other: deep }), defaults)
      }
      assert.deepStrictEqual(yield* paths(objects), ["prompt"])
      assert.deepStrictEqual(yield* paths({ override_settings: { randn_source: arrays } }), [
        "override_settings.randn_source"
      ])
    }))

  it.effect("does not give a huge value back in its message", () =>
    Effect.gen(function*() {
      const huge = "x".repeat(5_000_000)
      const list = Array.from({ length: 1_000_000 }, (_, index) => index)
      for (
        const input of [{ steps: huge }, { prompt: huge }, { sampler_name: huge }, { scheduler: huge }, { seed: list }]
      ) {
        const error = yield* Effect.flip(decode(input))
        assert.isBelow(error.message.length, 300)
      }
    }))
})

describe("a Processing", () => {
  it.effect.prop("comes back from JSON as it was", [Txt2Img], ([processing]) =>
    Effect.gen(function*() {
      const encoded = yield* Schema.encodeEffect(Schema.toCodecJson(Processing))(processing)
      const back = yield* decode(JSON.parse(JSON.stringify(encoded)), boundless)
      // Through text, which knows neither -0 nor undefined.
      assert.deepStrictEqual(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(processing)))
    }), { arbitrary: { runs: 300 } })

  it("is made with the same defaults by a program", () => {
    assert.deepStrictEqual(Txt2Img.make({}), defaults)
    assert.deepStrictEqual(Txt2Img.make({ prompt: "a cat", steps: 5 }), { ...defaults, prompt: "a cat", steps: 5 })
  })

  it("cannot be made out of bounds by a program", () => {
    assert.throws(() => Txt2Img.make({ steps: 0 }))
    assert.throws(() => Txt2Img.make({ sampler_name: "" }))
  })
})

describe("limits", () => {
  it.effect("let the largest request through and stop whatever is larger, all places at once", () =>
    Effect.gen(function*() {
      const largest = {
        prompt: "é".repeat(50_000),
        negative_prompt: "x".repeat(100_000),
        steps: 150,
        width: 2048,
        height: 2048,
        batch_size: 16,
        n_iter: 4
      }
      yield* decode(largest)
      yield* decode({ width: 128, height: 128, batch_size: 16, n_iter: 100 })
      const found = yield* problems({
        prompt: `${largest.prompt}x`,
        negative_prompt: `${largest.negative_prompt}x`,
        steps: 151,
        width: 2049,
        height: 2049,
        batch_size: 17,
        n_iter: 101
      })
      assert.deepStrictEqual(found, [
        { path: "prompt", message: "100001 is over the limit of 100000 bytes" },
        { path: "negative_prompt", message: "100001 is over the limit of 100000 bytes" },
        { path: "steps", message: "151 is over the limit of 150" },
        { path: "width", message: "2049 is over the limit of 2048 pixels" },
        { path: "height", message: "2049 is over the limit of 2048 pixels" },
        { path: "batch_size", message: "17 is over the limit of 16" },
        { path: "n_iter", message: "101 is over the limit of 100" }
      ])
    }))

  it.effect("are told together with everything else that is wrong", () =>
    Effect.gen(function*() {
      const found = yield* paths({ steps: 0, n_iter: 101, width: "wide", batch_size: 10_000 })
      assert.deepStrictEqual(found.toSorted(), ["batch_size", "n_iter", "steps", "width"])
    }))

  it.effect("stop many pictures that are each small enough but too large together", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems({ width: 2048, height: 2048, batch_size: 16, n_iter: 5 }), [
        { path: "n_iter", message: "335544320 is over the limit of 268435456 pixels of all pictures together" }
      ])
    }))

  it.effect("count a prompt's bytes as UTF-8 does", () =>
    Effect.gen(function*() {
      const limits = Limits.make({ max_prompt_bytes: 4 })
      yield* decode({ prompt: "猫x" }, limits)
      yield* decode({ prompt: "😀" }, limits)
      assert.deepStrictEqual(yield* paths({ prompt: "猫é" }, limits), ["prompt"])
    }))

  it.effect("are whoever's starts the process", () =>
    Effect.gen(function*() {
      yield* decode({ width: 4096, steps: 1000 }, Limits.make({ max_width: 4096, max_steps: 1000 }))
      assert.deepStrictEqual(
        yield* paths({ width: 65, batch_size: 2 }, Limits.make({ max_width: 64, max_batch_size: 1 })),
        [
          "width",
          "batch_size"
        ]
      )
    }))

  it.effect("fail a Processing that a program made itself, too", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(checkLimits(Txt2Img.make({ steps: 10_000 }), Limits.make({})))
      assert.instanceOf(error, InvalidProcessing)
      assert.strictEqual(
        error.message,
        "The request cannot be processed. Correct steps: 10000 is over the limit of 150."
      )
    }))

  it("are decoded with defaults for those left out, and are at least 1", () => {
    const decodeLimits = Schema.decodeUnknownSync(Limits)
    assert.deepStrictEqual(decodeLimits({ max_steps: 10 }), Limits.make({ max_steps: 10 }))
    assert.throws(() => decodeLimits({ max_steps: 0 }))
    assert.throws(() => decodeLimits({ max_width: 0.5 }))
  })

  it.prop("are exceeded by no Processing when they are boundless", [Txt2Img], ([processing]) => {
    assert.isEmpty(exceeded(processing, boundless))
  })
})
