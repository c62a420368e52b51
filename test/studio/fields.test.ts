import { assert, describe, it } from "@effect/vitest"
import * as Struct from "effect/Struct"
import { fieldOf, fieldsOf } from "../../src/core/Field.ts"
import { OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { labelOf, settingLabelOf } from "../../src/studio/state/fields.ts"
import type { Form } from "../../src/studio/state/form.ts"

// Complete, or it does not compile.
const form = {
  prompt: true,
  negative_prompt: true,
  styles: true,
  sampler_name: true,
  scheduler: true,
  steps: true,
  cfg_scale: true,
  width: true,
  height: true,
  seed: true,
  batch_size: true,
  n_iter: true,
  has_variation: true,
  subseed: true,
  subseed_strength: true,
  seed_resize_from_w: true,
  seed_resize_from_h: true,
  tiling: true,
  eta: true,
  refiner_checkpoint: true,
  refiner_switch_at: true,
  enable_hr: true,
  hr_scale: true,
  hr_resize_x: true,
  hr_resize_y: true,
  hr_upscaler: true,
  hr_second_pass_steps: true,
  hr_denoising_strength: true,
  denoising_strength: true,
  resize_mode: true,
  initial_noise_multiplier: true,
  image_cfg_scale: true,
  mask_blur: true,
  mask_round: true,
  inpainting_fill: true,
  inpaint_full_res: true,
  inpaint_full_res_padding: true,
  inpainting_mask_invert: true,
  x_axis: true,
  y_axis: true,
  z_axis: true
} satisfies Record<keyof Form, true>

const names = Struct.keys(form)
const isSetting = (name: string): name is keyof OptionsSnapshot => name in OptionsSnapshot.fields

describe("the studio's labels", () => {
  it("are the titles of the fields, with their descriptions as hints", () => {
    for (const name of names) {
      const field = fieldOf({ fields: { ...Txt2Img.fields, ...Img2Img.fields } }, name)
      if (field !== undefined) assert.deepStrictEqual(labelOf(name), { label: field.title, hint: field.description })
    }
    assert.strictEqual(labelOf("hr_denoising_strength").hint, fieldOf(Txt2Img, "denoising_strength")?.description)
    assert.strictEqual(labelOf("denoising_strength").hint, fieldOf(Img2Img, "denoising_strength")?.description)
  })

  it("are there for every field of the form, and every setting", () => {
    for (const name of names) assert.notStrictEqual(labelOf(name).label, "")
    for (const [name, { title }] of fieldsOf(OptionsSnapshot)) {
      assert.isTrue(isSetting(name) && settingLabelOf(name).label === title, name)
    }
  })
})
