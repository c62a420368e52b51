import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import { fieldsOf } from "../../../src/core/Field.ts"
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
    hr_negative_prompt: "[]"
  }),
  Img2Img.make({
    init_images: [new Uint8Array([1, 2]), new Uint8Array([3])],
    mask: new Uint8Array([4]),
    batch_size: 2,
    inpainting_fill: 2,
    inpainting_mask_invert: 1,
    inpaint_full_res: false,
    mask_round: false,
    initial_noise_multiplier: 0.5
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
