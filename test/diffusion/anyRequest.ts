/**
 * Requests over all fields and all settings, made from the tables that describe them.
 *
 * A field is generated from its schema. Those with a range too wide, or with names, get their values here; so a new
 * field takes part without a change.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { fieldOf } from "../../src/core/Field.ts"
import { OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"

type Values = Readonly<Record<string, unknown>>

const oneOf = (...values: ReadonlyArray<unknown>): Arbitrary.Arbitrary<unknown> =>
  Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length - 1 }))),
    (index) => values[index]
  )

const many = (word: string, count: number) => Array.from({ length: count }, (_, i) => `${word}${i}`).join(", ")

/** Words that mean something to the prompt language, and none to an infotext. */
const words = [
  "a cat",
  "(dog:1.3)",
  "[bird]",
  "[sun:moon:0.5]",
  "[red|green]",
  "AND",
  "BREAK",
  "\"quoted\"",
  "a: b, c",
  "é 猫",
  "\n",
  "  ",
  "# not this\n",
  "\\(",
  "<unknown:1>",
  "<lora:x:0.5>",
  "{prompt}",
  many("fur", 40)
]

/** Words that an infotext reads in its own way. */
const labels = [
  "Negative prompt: x",
  "\nNegative prompt: x",
  "{\"prompt\": \"x\"}",
  "Steps: 3, Seed: 4, Size: 8x8",
  "32x32",
  "\"x\"",
  "\r",
  "\u0085",
  "\\nSteps: 3"
]

const sentence = (parts: ReadonlyArray<unknown>) =>
  Arbitrary.map(Arbitrary.array(oneOf(...parts), { maxLength: 6 }), (chosen) => chosen.join(" "))

/** A prompt: of plain words, or of any text at all. */
const prompts = {
  plain: sentence(words),
  any: Arbitrary.map(
    Arbitrary.all([
      oneOf(0, 1, 2),
      sentence([...words, ...labels]),
      Arbitrary.schema(Schema.String),
      Arbitrary.schema(Schema.Literals(labels))
    ]),
    ([which, mixed, text, label]) => which === 0 ? mixed : which === 1 ? text : label
  )
}

const share = oneOf(0, 0.25, 0.3, 0.75, 1)
const samplers = Samplers.all.map(({ name }) => name)
const schedules = ["Automatic", ...Schedules.all.map(({ label }) => label)]
const folder = oneOf("", "pictures", "some/where")
const upscalers = ["Lanczos", "Nearest", "None", "Wide"]

/** Values of fields and settings whose schemas allow more than a test can use. */
const chosen: Readonly<Record<string, Arbitrary.Arbitrary<unknown>>> = {
  styles: Arbitrary.array(oneOf("ink", "framed", "nothing"), { maxLength: 2 }),
  // The text of an image that was drawn has a template, and that of the same image made again has none.
  dynamic_prompts: oneOf(false),
  // Each image of a plot has the text of a request without axes.
  x_axis: oneOf(undefined),
  y_axis: oneOf(undefined),
  z_axis: oneOf(undefined),
  subseed_strength: oneOf(0, 0, 0.25, 1),
  seed_resize_from_w: oneOf(-1, 0, 3, 48, 80),
  seed_resize_from_h: oneOf(-1, 0, 3, 48, 80),
  steps: oneOf(1, 2, 5),
  sampler_name: oneOf(...samplers, "DPM++ 2M Karras", "k_euler_a"),
  scheduler: oneOf(...schedules, "karras"),
  cfg_scale: oneOf(0, 1, 2.5, 7, 1e-7),
  width: oneOf(undefined, 32, 64),
  height: oneOf(undefined, 32, 40),
  batch_size: oneOf(1, 1, 2),
  n_iter: oneOf(1, 1, 2),
  s_churn: oneOf(undefined, 0, 5),
  s_tmin: oneOf(undefined, 0, 0.5),
  s_tmax: oneOf(undefined, 0, 5),
  s_noise: oneOf(undefined, 0, 1, 1.1),
  s_min_uncond: oneOf(undefined, 0, 3),
  refiner_checkpoint: oneOf(undefined, undefined, "other", "", "None"),
  denoising_strength: share,
  hr_scale: oneOf(1, 1.5, 2),
  hr_resize_x: oneOf(0, 0, 48, 96),
  hr_resize_y: oneOf(0, 0, 48, 80),
  hr_upscaler: oneOf("Latent", "latent (nearest)", ...upscalers),
  hr_second_pass_steps: oneOf(0, 1, 3),
  hr_checkpoint_name: oneOf(undefined, undefined, "other", "Use same checkpoint"),
  hr_sampler_name: oneOf(undefined, ...samplers),
  hr_scheduler: oneOf(undefined, ...schedules),
  mask_blur_x: oneOf(0, 4, 9),
  mask_blur_y: oneOf(0, 4, 9),
  inpaint_full_res_padding: oneOf(0, 16, 32),
  initial_noise_multiplier: oneOf(undefined, 0, 1, 1.4),
  image_cfg_scale: oneOf(undefined, undefined, 0, 1, 1.5),

  // Their images come with the request, like init images.
  control_units: oneOf([]),

  sd_model_checkpoint: oneOf("", "other", "inpainting"),
  sd_vae: oneOf("Automatic", "None", "bright.safetensors"),
  sd_text_encoders: oneOf("", "", "clip_l", "clip_l.safetensors, clip_g"),
  sigma_min: oneOf(0, 0.1),
  sigma_max: oneOf(0, 5, 20),
  rho: oneOf(0, 1, 5, 7),
  beta_dist_alpha: oneOf(0.3, 0.6, 2),
  beta_dist_beta: oneOf(0.3, 0.6, 2),
  img2img_background_color: oneOf("#ffffff", "#FFFFFF", "#0a64c8"),
  upscaler_for_img2img: oneOf(null, ...upscalers),
  vae_tile_threshold: oneOf(0, 32, 1024),
  latent_tile_size: oneOf(0, 16, 24),
  latent_tile_overlap: oneOf(0, 8, 64),
  n_rows: oneOf(-1, 0, 1, 3),
  samples_filename_pattern: oneOf("", "[seed]-[steps]"),
  directories_filename_pattern: oneOf("[date]", "[prompt_words]"),
  outdir_samples: folder,
  outdir_grids: folder,
  show_progress_every_n_steps: oneOf(1, 2)
}

const given = new Set(["_tag", "override_settings", "init_images", "mask"])
const texts = new Set(["prompt", "negative_prompt"])
const hiresTexts = new Set(["hr_prompt", "hr_negative_prompt"])

// A prompt of the second pass that is a comment or in quotes is another one in an infotext.
const led = (prompt: Arbitrary.Arbitrary<string>) =>
  Arbitrary.map(
    Arbitrary.all([prompt, oneOf("", "  ", "b ", "b ")]),
    ([text, start]) => start === "b " ? `b ${text}` : String(start)
  )

const anyOf = (name: string, schema: Schema.Top, prompt: Arbitrary.Arbitrary<string>): Arbitrary.Arbitrary<unknown> =>
  chosen[name] ?? (texts.has(name) ? prompt : hiresTexts.has(name) ? led(prompt) : Arbitrary.schema(schema))

const fields = (
  struct: { readonly fields: Readonly<Record<string, Schema.Top>> },
  prompt: Arbitrary.Arbitrary<string>
) =>
  Object.entries(struct.fields)
    .filter(([name]) => !given.has(name))
    .map(([name, schema]) => [name, anyOf(name, schema, prompt)] as const)

const all = (fields: ReadonlyArray<readonly [string, Arbitrary.Arbitrary<unknown>]>): Arbitrary.Arbitrary<Values> =>
  Arbitrary.map(
    Arbitrary.all(Object.fromEntries(fields)),
    (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
  )

/** Some of the settings: each is left out as often as not. */
const settings: Arbitrary.Arbitrary<Values> = Arbitrary.map(
  all([
    ...Object.entries(OptionsSnapshot.fields).map(([name, schema]) =>
      [name, anyOf(name, schema, prompts.plain)] as const
    ),
    ...Object.keys(OptionsSnapshot.fields).map((name) => [`has ${name}`, Arbitrary.schema(Schema.Boolean)] as const)
  ]),
  (values) =>
    Object.fromEntries(
      Object.keys(OptionsSnapshot.fields).flatMap((name) =>
        values[`has ${name}`] === true && name in values ? [[name, values[name]]] : []
      )
    )
)

export interface AnyRequest {
  /** All fields but the images. */
  readonly fields: Values
  /** The request's settings, and those that are in force on the machine that reads the infotext. */
  readonly override_settings: Values
  readonly elsewhere: Values
}

const request = (
  struct: { readonly fields: Readonly<Record<string, Schema.Top>> },
  prompt: Arbitrary.Arbitrary<string>
): Arbitrary.Arbitrary<AnyRequest> =>
  Arbitrary.all({ fields: all(fields(struct, prompt)), override_settings: settings, elsewhere: settings })

/** Requests with prompts of plain words, and with prompts of any text. */
export const requests = {
  txt2img: { plain: request(Txt2Img, prompts.plain), any: request(Txt2Img, prompts.any) },
  img2img: { plain: request(Img2Img, prompts.plain), any: request(Img2Img, prompts.any) }
}

/** Settings about files, not about what an image shows: they are no part of an infotext. */
export const isOfFiles = (setting: string): boolean =>
  ["Saving images", "Directories", "Infotext", "Live previews"].includes(fieldOf(OptionsSnapshot, setting)?.group ?? "")

export const styles = [
  { name: "ink", prompt: "ink, drawing", negativePrompt: "photo" },
  { name: "framed", prompt: "a frame around {prompt}", negativePrompt: "" }
]
