import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import { fieldsOf } from "../../../src/core/Field.ts"
import { ControlUnit } from "../../../src/processing/ControlUnit.ts"
import { Limits } from "../../../src/processing/Limits.ts"
import { decode, Img2Img, Txt2Img } from "../../../src/processing/Processing.ts"
import { formSchema, readForm } from "../../../src/server/v1/Form.ts"

const requests = [
  Txt2Img.make({
    prompt: "12",
    negative_prompt: "true",
    styles: ["a", "b"],
    width: 64,
    height: 72,
    eta: 0.5,
    s_churn: 1,
    s_tmin: 2,
    s_tmax: 3,
    s_noise: 4,
    s_min_uncond: 5,
    tiling: true,
    refiner_checkpoint: "1.5",
    refiner_switch_at: 0.5,
    override_settings: { emphasis: "None" },
    hr_checkpoint_name: "7",
    hr_sampler_name: "8",
    hr_scheduler: "9",
    hr_prompt: "null",
    hr_negative_prompt: "[]",
    control_units: [ControlUnit.make({ model: "a, b", weight: 0.5 }), ControlUnit.make({ module: "canny" })]
  }),
  Img2Img.make({
    init_images: [new Uint8Array([1, 2]), new Uint8Array([3])],
    mask: new Uint8Array([4]),
    batch_size: 2,
    inpainting_fill: 2,
    inpainting_mask_invert: 1,
    inpaint_full_res: false,
    mask_round: false,
    initial_noise_multiplier: 0.5,
    image_cfg_scale: 1.5
  })
]

// A form of a request: texts as they are, files as files, all else as JSON.
const formOf = (request: (typeof requests)[number]): FormData => {
  const form = new FormData()
  for (const [name, value] of Object.entries(request)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item instanceof Uint8Array) form.append(name, new Blob([Uint8Array.from(item)]), `${name}.png`)
      else form.append(name, typeof item === "string" ? item : JSON.stringify(item))
    }
  }
  return form
}

describe("readForm", () => {
  it.effect.each(requests)("reads every field of a $_tag as it was meant", (request) =>
    Effect.gen(function*() {
      const sent = HttpServerRequest.fromWeb(new Request("http://x/", { method: "POST", body: formOf(request) }))
      const limits = Limits.make({})
      const read = yield* decode((yield* readForm(sent, limits, 2 ** 20)).fields, limits)
      assert.deepStrictEqual(read, request)
    }))

  // Bytes of one part, as Latin-1 text, with headers of its own.
  const raw = (value: string, headers = "") =>
    HttpServerRequest.fromWeb(
      new Request("http://x/", {
        method: "POST",
        headers: { "content-type": "multipart/form-data; boundary=b" },
        body: new Uint8Array(
          Buffer.from(
            `--b\r\nContent-Disposition: form-data; name="prompt"\r\n${headers}\r\n${value}\r\n--b--\r\n`,
            "latin1"
          )
        )
      })
    )

  it.effect.each<readonly [bytes: string, headers: string, prompt: string]>([
    ["d\xC3\xA9tail", "", "d\u00E9tail"],
    ["a \xEF\xBF\xBD cat", "", "a \uFFFD cat"],
    ["\xEF\xBB\xBFa cat", "", "a cat"],
    ["d\xE9tail", "Content-Type: text/plain; charset=iso-8859-1\r\n", "d\u00E9tail"],
    ["one\r\ntwo", "", "one\r\ntwo"]
  ])("reads the bytes %j with %j", ([bytes, headers, prompt]) =>
    Effect.gen(function*() {
      const { fields, problems } = yield* readForm(raw(bytes, headers), Limits.make({}), 2 ** 20)
      assert.deepStrictEqual([fields, problems], [{ prompt }, []])
    }))

  it.effect.each<readonly [bytes: string, headers: string, message: string]>([
    ["d\xE9tail", "", "it is not valid UTF-8"],
    ["a \xEF\xBF\xBD cat \xFF", "", "it is not valid UTF-8"],
    ["a", "Content-Type: text/plain; charset=klingon\r\n", "it is not valid KLINGON"]
  ])("refuses the bytes %j with %j, and replaces none", ([bytes, headers, message]) =>
    Effect.gen(function*() {
      const { problems } = yield* readForm(raw(bytes, headers), Limits.make({}), 2 ** 20)
      assert.deepStrictEqual(problems, [{ path: "prompt", message }])
    }))

  it.effect("is held to its limits while it arrives", () =>
    Effect.gen(function*() {
      const read = (limits: Partial<Limits>, most: number) =>
        Effect.flip(readForm(raw("a".repeat(1000)), Limits.make(limits), most))
      assert.include((yield* read({ max_image_bytes: 100 }, 2 ** 20)).message, "A part of the form")
      assert.include((yield* read({}, 500)).message, "The body")
    }))

  it("is described with every field of a request", () => {
    const { properties } = Schema.decodeUnknownSync(
      Schema.Struct({ properties: Schema.Record(Schema.String, Schema.Struct({ description: Schema.String })) })
    )(formSchema)
    const differing = [...fieldsOf(Txt2Img), ...fieldsOf(Img2Img)].filter(([name, { description }]) =>
      properties[name]?.description !== description
    )
    // The strength means another thing in each kind; the form describes that of an Img2Img.
    assert.deepStrictEqual(differing.map(([name]) => name), ["denoising_strength"])
  })
})
