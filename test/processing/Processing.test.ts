import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { checkRequest } from "../../src/processing/checkRequest.ts"
import { InvalidProcessing } from "../../src/processing/InvalidProcessing.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { decode, exceeded, Img2Img, Processing, Txt2Img } from "../../src/processing/Processing.ts"

const shared = {
  prompt: "",
  negative_prompt: "",
  styles: [],
  disable_extra_networks: false,
  seed: -1,
  subseed: -1,
  subseed_strength: 0,
  seed_resize_from_w: -1,
  seed_resize_from_h: -1,
  steps: 20,
  sampler_name: "Euler",
  scheduler: "Automatic",
  cfg_scale: 7,
  batch_size: 1,
  n_iter: 1,
  control_units: [],
  override_settings: {},
  denoising_strength: 0.75
} as const
const defaults = {
  _tag: "Txt2Img",
  ...shared,
  enable_hr: false,
  hr_scale: 2,
  hr_resize_x: 0,
  hr_resize_y: 0,
  hr_upscaler: "Latent",
  hr_second_pass_steps: 0,
  hr_prompt: "",
  hr_negative_prompt: ""
} as const
const img2imgDefaults = {
  _tag: "Img2Img",
  ...shared,
  resize_mode: 0,
  mask_blur_x: 4,
  mask_blur_y: 4,
  mask_round: true,
  inpainting_fill: 1,
  inpaint_full_res: true,
  inpaint_full_res_padding: 32,
  inpainting_mask_invert: 0
} as const

const bytes = new Uint8Array([251, 255, 190, 1])
const base64 = "+/++AQ=="
// Two fields that are equal, whether those that are undefined are there or not.
const sameFields = (actual: object, expected: object) =>
  assert.deepStrictEqual(
    Object.fromEntries(Object.entries(actual).filter(([, value]) => value !== undefined)),
    expected
  )

const boundless = Limits.make({
  max_width: Number.MAX_SAFE_INTEGER,
  max_height: Number.MAX_SAFE_INTEGER,
  max_batch_size: Number.MAX_SAFE_INTEGER,
  max_n_iter: Number.MAX_SAFE_INTEGER,
  max_total_pixels: Number.MAX_SAFE_INTEGER,
  max_steps: Number.MAX_SAFE_INTEGER,
  max_image_bytes: Number.MAX_SAFE_INTEGER,
  max_image_pixels: Number.MAX_SAFE_INTEGER,
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
const img2imgNames = Object.keys(Img2Img.fields)
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
      sameFields(yield* decode(nulls), defaults)
      const pictured = { ...Object.fromEntries(img2imgNames.map((name) => [name, null])), _tag: "Img2Img" }
      sameFields(yield* decode({ ...pictured, init_images: [base64] }), { ...img2imgDefaults, init_images: [bytes] })
    }))

  it.effect("names unknown fields and settings, with the nearest one", () =>
    Effect.gen(function*() {
      const given = {
        promt: "a cat",
        sampler: "Euler",
        zzz: 1,
        nothing: undefined,
        override_settings: { samples_fromat: 1 }
      }
      assert.deepStrictEqual((yield* problems(given)).map(({ message, path }) => `${path}: ${message}`), [
        "promt: no field has this name; did you mean \"prompt\"?",
        "sampler: no field has this name; did you mean \"sampler_name\"?",
        "zzz: no field has this name",
        "override_settings.samples_fromat: no setting has this name; did you mean \"samples_format\"?"
      ])
      assert.deepStrictEqual(yield* problems({ mask: base64 }), [
        { path: "mask", message: "no field has this name; it is one of an Img2Img" }
      ])
      const near = (yield* Effect.flip(decode({ taskid: "x" }, Limits.make({}), ["task_id"]))).message
      assert.include(near, "did you mean \"task_id\"?")
      assert.throws(() => Reflect.apply(Txt2Img.make, undefined, [{ promt: "a cat" }]), /did you mean "prompt"\?/)
    }))

  it.effect("counts the unknown fields of which there are too many to name", () =>
    Effect.gen(function*() {
      const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`field ${i}`, i]))
      const found = yield* problems(many)
      assert.lengthOf(found, 21)
      assert.deepStrictEqual(found[20], { path: "", message: "99980 more names of fields are unknown" })
    }))

  it.effect("does not look at fields without effect, and keeps those that are right", () =>
    Effect.gen(function*() {
      const hires = { hr_scale: 99, hr_sampler_name: "", hr_second_pass_steps: "many", denoising_strength: 7 }
      const others = { refiner_switch_at: -1, subseed: "none", hr_prompt: "x".repeat(200_000) }
      const read = yield* decode({ ...hires, ...others, hr_upscaler: "Lanczos" })
      sameFields(read, { ...defaults, hr_upscaler: "Lanczos", hr_prompt: others.hr_prompt })
      assert.deepStrictEqual(
        yield* paths({
          ...hires,
          ...others,
          enable_hr: true,
          refiner_checkpoint: "x",
          subseed_strength: 1
        }),
        [
          "subseed",
          "refiner_switch_at",
          "denoising_strength",
          "hr_scale",
          "hr_second_pass_steps",
          "hr_sampler_name",
          "hr_prompt"
        ]
      )
      const unmasked = { _tag: "Img2Img", init_images: [base64], mask_blur_x: -1, inpainting_fill: 9 }
      sameFields(yield* decode(unmasked), { ...img2imgDefaults, init_images: [bytes] })
      assert.deepStrictEqual(yield* paths({ ...unmasked, mask: base64 }), ["mask_blur_x", "inpainting_fill"])
    }))

  it.effect("is not fooled by fields named after an object's own", () =>
    Effect.gen(function*() {
      const json = `{ "__proto__": { "steps": 5 }, "constructor": { "prototype": { "steps": 6 } }, "toString": 7,
        "override_settings": { "__proto__": { "samples_save": false } } }`
      assert.deepStrictEqual(yield* paths(JSON.parse(json)), [
        "__proto__",
        "constructor",
        "toString",
        "override_settings.__proto__"
      ])
      assert.isUndefined(Object.getOwnPropertyDescriptor(Object.prototype, "steps"))
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
      assert.deepStrictEqual<unknown>(yield* decode(input), { ...defaults, ...input })
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
      assert.deepStrictEqual(yield* paths({ _tag: "Upscale" }), ["_tag"])
    }))

  it.effect.each([1e300, -1e300, 0.1, 2 ** 53, "one", true, {}])(
    "refuses %j as a seed",
    (seed) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* paths({ seed }), ["seed"])
      })
  )

  it.effect.each<readonly [given: unknown, seed: number | bigint]>([
    [5, 5],
    [5n, 5],
    ["5", 5],
    [2n ** 63n, 2n ** 63n],
    ["-9223372036854775808", -(2n ** 63n)]
  ])("reads %s as a seed", ([given, seed]) =>
    Effect.gen(function*() {
      const read = yield* decode({ seed: given, subseed: given })
      assert.deepStrictEqual([read.seed, read.subseed], [seed, seed])
    }))

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
          assert.include([...fieldNames, "__proto__", "constructor", "other"], path.split(".")[0])
          assert.isNotEmpty(message)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("does not run out of stack on values a million levels deep", () =>
    Effect.gen(function*() {
      const arrays = nested(1_000_000, (inner) => [inner])
      const objects = nested(1_000_000, (inner) => ({ prompt: inner }))
      // Without them, fields are not looked at.
      const leaders = { subseed_strength: 1, refiner_checkpoint: "x" }
      const img2imgLeaders = { _tag: "Img2Img", init_images: [base64], mask: base64 }
      for (const name of fieldNames) {
        const [path = "", ...others] = yield* paths({ ...leaders, enable_hr: true, [name]: arrays })
        assert.deepStrictEqual([path.split(".")[0], others], [name, []])
      }
      for (const name of img2imgNames.filter((name) => name !== "_tag")) {
        const found = yield* paths({ ...leaders, ...img2imgLeaders, [name]: arrays })
        assert.deepStrictEqual(found.map((path) => path.split(".")[0]), [name])
      }
      for (const deep of [arrays, objects]) {
        assert.deepStrictEqual(yield* paths({ seed: deep }), ["seed"])
        assert.deepStrictEqual(yield* paths({ other: deep }), ["other"])
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

describe("Processing.decode, of an Img2Img", () => {
  const img2img = { _tag: "Img2Img", init_images: [base64] }

  it.effect("takes images in base64, as a data URL, with line breaks, without padding, or for URLs", () =>
    Effect.gen(function*() {
      for (const text of [`data:image/png;base64,${base64}`, "+/++\r\nAQ==\n", "+/++AQ", "-_--AQ=="]) {
        const processing = yield* decode({ ...img2img, init_images: [base64, text], mask: text, batch_size: 2 })
        assert.deepStrictEqual<unknown>(processing, {
          ...img2imgDefaults,
          batch_size: 2,
          init_images: [bytes, bytes],
          mask: bytes
        })
      }
    }))

  it.effect("refuses what is no image, and a request without one", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* paths({
          ...img2img,
          init_images: [base64, "", "?", 5, null, base64],
          batch_size: 6,
          mask: "https://x.y/z"
        }),
        ["init_images.1", "init_images.2", "init_images.3", "init_images.4", "mask"]
      )
      for (const init_images of [undefined, null, [], "AA==", {}]) {
        const found = yield* paths({ ...img2img, init_images })
        assert.deepStrictEqual(found.map((path) => path.split(".")[0]), ["init_images"])
      }
    }))

  it.effect("takes an empty mask for none", () =>
    Effect.gen(function*() {
      sameFields(yield* decode({ ...img2img, mask: "" }), { ...img2imgDefaults, init_images: [bytes] })
    }))

  it.effect("takes numbers for flags and flags for numbers where clients send either", () =>
    Effect.gen(function*() {
      for (
        const [inpaint_full_res, inpainting_mask_invert] of [[1, true], [true, 1], [0, false], [false, 0]] as const
      ) {
        const processing = yield* decode({ ...img2img, inpaint_full_res, inpainting_mask_invert })
        const isOn = Boolean(inpaint_full_res)
        assert.deepInclude(processing, { inpaint_full_res: isOn, inpainting_mask_invert: isOn ? 1 : 0 })
      }
      assert.deepStrictEqual(
        yield* paths({ ...img2img, mask: base64, inpaint_full_res: 2, inpainting_mask_invert: "true" }),
        [
          "inpaint_full_res",
          "inpainting_mask_invert"
        ]
      )
    }))
})

const inJson = (value: unknown) =>
  JSON.stringify(value, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner)

describe("a Processing", () => {
  it.effect.prop("comes back from JSON as it was", [Processing], ([any]) =>
    Effect.gen(function*() {
      // No more pictures to start from than are made.
      const least = any._tag === "Img2Img" ? any.init_images.length : 1
      const processing = { ...any, batch_size: Math.max(any.batch_size, least) }
      // Half of a surrogate pair is no text.
      if (/\\ud[89a-f]/.test(inJson(processing))) return
      // So many pixels that no whole number bounds them are no request.
      if (exceeded(processing, boundless).length > 0) return
      const encoded = yield* Schema.encodeEffect(Schema.toCodecJson(Processing))(processing)
      const back = yield* decode(JSON.parse(JSON.stringify(encoded)), boundless)
      // Through text, which knows neither -0 nor undefined.
      assert.deepStrictEqual(JSON.parse(inJson(back)), JSON.parse(inJson(processing)))
    }), { arbitrary: { runs: 300 } })

  it("is made with the same defaults by a program", () => {
    assert.deepStrictEqual(Txt2Img.make({}), defaults)
    assert.deepStrictEqual(Txt2Img.make({ prompt: "a cat", steps: 5 }), { ...defaults, prompt: "a cat", steps: 5 })
  })

  it("cannot be made out of bounds by a program", () => {
    const refused = (make: () => Processing): InvalidProcessing => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, InvalidProcessing)
        return error
      }
      return assert.fail("it was made")
    }
    assert.strictEqual(
      refused(() => Txt2Img.make({ steps: 0 })).message,
      "The request cannot be processed. Correct steps: Expected a value greater than or equal to 1."
    )
    const paths = (make: () => Processing) => refused(make).problems.map(({ path }) => path)
    assert.deepStrictEqual(paths(() => Txt2Img.make({ sampler_name: "", cfg_scale: -1 })), [
      "sampler_name",
      "cfg_scale"
    ])
    assert.deepStrictEqual(paths(() => Img2Img.make({ init_images: [bytes], denoising_strength: 2 })), [
      "denoising_strength"
    ])
    assert.include(refused(() => Txt2Img.make({ seed: 2 ** 53 })).message, "write a bigint")
    assert.include(refused(() => Txt2Img.make({ seed: 2n ** 64n })).message, "out of range: -2^63 to 2^64 - 1")
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

  it.effect("hold for the second pass, the noise's size, and names as well", () =>
    Effect.gen(function*() {
      const found = yield* problems({
        enable_hr: true,
        width: 1024,
        height: 512,
        hr_scale: 2.5,
        hr_second_pass_steps: 151,
        hr_prompt: "x".repeat(100_001),
        hr_negative_prompt: "x".repeat(100_001),
        hr_checkpoint_name: "x".repeat(1001),
        seed_resize_from_w: 2049,
        seed_resize_from_h: 1e9,
        styles: ["a", "x".repeat(1001)]
      })
      assert.deepStrictEqual(found, [
        { path: "seed_resize_from_w", message: "2049 is over the limit of 2048 pixels" },
        { path: "seed_resize_from_h", message: "1000000000 is over the limit of 2048 pixels" },
        { path: "hr_second_pass_steps", message: "151 is over the limit of 150" },
        { path: "hr_prompt", message: "100001 is over the limit of 100000 bytes" },
        { path: "hr_negative_prompt", message: "100001 is over the limit of 100000 bytes" },
        { path: "hr_checkpoint_name", message: "1001 is over the limit of 1000 characters" },
        { path: "styles.1", message: "1001 is over the limit of 1000 characters" },
        { path: "hr_scale", message: "the width of the second pass, 2560, is over the limit of 2048 pixels" }
      ])
      assert.deepStrictEqual(yield* paths({ styles: Array.from({ length: 101 }, () => "a") }), ["styles"])
    }))

  it.effect("count a second pass as large as it is, by scale or by size", () =>
    Effect.gen(function*() {
      const hr = { enable_hr: true, width: 512, height: 1024 }
      yield* decode({ ...hr, hr_scale: 2 })
      yield* decode({ ...hr, hr_resize_x: 1024, hr_scale: 16 })
      yield* decode({ ...hr, hr_scale: 16, enable_hr: false })
      yield* decode({ ...hr, hr_resize_x: 2048, hr_resize_y: 2048 })
      assert.deepStrictEqual(yield* paths({ ...hr, hr_scale: 2.1 }), ["hr_scale"])
      assert.deepStrictEqual(yield* paths({ ...hr, hr_resize_x: 1100 }), ["hr_resize_x"])
      assert.deepStrictEqual(yield* paths({ ...hr, hr_resize_y: 2056 }), ["hr_resize_y"])
      assert.deepStrictEqual(yield* paths({ ...hr, hr_resize_x: 2056, hr_resize_y: 64 }), ["hr_resize_x"])
      // It is cut out of a picture of 2048x524288.
      assert.deepStrictEqual(
        yield* paths({ enable_hr: true, width: 8, height: 2048, hr_resize_x: 2048, hr_resize_y: 2048 }),
        ["hr_resize_x"]
      )
      assert.deepStrictEqual(yield* paths({ ...hr, hr_scale: 2, batch_size: 16, n_iter: 10 }), ["n_iter"])
    }))

  it.effect("stop images that are too large before they are decoded, or too many for the batch", () =>
    Effect.gen(function*() {
      const limits = Limits.make({ max_image_bytes: 1000, max_batch_size: 4 })
      const text = (bytes: number) => "A".repeat(Math.ceil(bytes / 3) * 4)
      const img2img = { _tag: "Img2Img", batch_size: 4 }
      yield* decode({ ...img2img, init_images: [text(999)], mask: text(999) }, limits)
      const long = [text(999), text(1002), text(5000), "!"]
      assert.deepStrictEqual(
        (yield* problems({ ...img2img, init_images: long, mask: text(50_001), steps: 0 }, limits)).map(({ path }) =>
          path
        ),
        ["steps", "init_images.1", "init_images.2", "init_images.3", "mask"]
      )
      assert.deepStrictEqual(yield* problems({ ...img2img, init_images: [text(1002)] }, limits), [
        { path: "init_images.0", message: "1002 is over the limit of 1000 bytes for an image file" }
      ])
      assert.deepStrictEqual(yield* problems({ ...img2img, init_images: ["AA==", "AA=="], batch_size: 1 }, limits), [
        { path: "init_images", message: "2 images are too many for a batch of 1" }
      ])
      const many = Array.from({ length: 100_000 }, () => "AA==")
      assert.deepStrictEqual(yield* problems({ ...img2img, init_images: many }, limits), [
        { path: "init_images", message: "100000 images are over the limit of 4" }
      ])
      const made = Img2Img.make({
        init_images: [new Uint8Array(1000), new Uint8Array(1001)],
        mask: new Uint8Array(1001)
      })
      assert.deepStrictEqual(exceeded(made, limits).map(({ path }) => path), ["init_images", "init_images.1", "mask"])
    }))

  it.effect("are told together with everything else that is wrong", () =>
    Effect.gen(function*() {
      const found = yield* paths({ steps: 0, n_iter: 101, width: "wide", batch_size: 10_000 })
      assert.deepStrictEqual(found.toSorted(), ["batch_size", "n_iter", "steps", "width"])
    }))

  it.effect("stop many images that are each small enough but too large together", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems({ width: 2048, height: 2048, batch_size: 16, n_iter: 5 }), [
        { path: "n_iter", message: "335544320 is over the limit of 268435456 pixels of all images together" }
      ])
    }))

  it.effect("count a prompt's bytes as UTF-8 does", () =>
    Effect.gen(function*() {
      const limits = Limits.make({ max_prompt_bytes: 4 })
      yield* decode({ prompt: "猫x" }, limits)
      yield* decode({ prompt: "😀" }, limits)
      assert.deepStrictEqual(yield* paths({ prompt: "猫é" }, limits), ["prompt"])
    }))

  it.effect("are set where the process starts", () =>
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
      const error = yield* Effect.flip(checkRequest(Txt2Img.make({ steps: 10_000 }), Limits.make({})))
      assert.instanceOf(error, InvalidProcessing)
      assert.strictEqual(
        error.message,
        "The request cannot be processed. Correct steps: 10000 is over the limit of 150."
      )
    }))

  it.effect("are checked together with values and names that a spread brought in", () =>
    Effect.gen(function*() {
      const spread = { ...Txt2Img.make({ steps: 10_000 }), width: "wide", step: 20 }
      const error = yield* Effect.flip(checkRequest(spread, Limits.make({})))
      assert.deepStrictEqual(error.problems.map(({ path }) => path), ["width", "step", "steps"])
    }))

  it("are decoded with defaults for those left out, and are at least 1", () => {
    const decodeLimits = Schema.decodeUnknownSync(Limits)
    assert.deepStrictEqual(decodeLimits({ max_steps: 10 }), Limits.make({ max_steps: 10 }))
    assert.throws(() => decodeLimits({ max_steps: 0 }))
    assert.throws(() => decodeLimits({ max_width: 0.5 }))
  })

  it.prop("are exceeded by no Processing when they are boundless", [Processing], ([processing]) => {
    // There are never more init images than places in the batch, and no integer bounds more pixels than the largest
    // one.
    const most = `over the limit of ${boundless.max_total_pixels} pixels`
    assert.isEmpty(
      exceeded(processing, boundless).filter(({ message, path }) => path !== "init_images" && !message.includes(most))
    )
  })
})
