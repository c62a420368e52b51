/**
 * Requests: `Txt2Img` and `Img2Img`.
 *
 * A `Processing` is plain data: field names, defaults and meaning are those of stable-diffusion-webui's API, so that
 * programs, JSON bodies, infotexts and flags share one vocabulary. Make one with `Txt2Img.make({ prompt })`
 * when the values are your own, or with `decode` when they come from outside.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Struct from "effect/Struct"
import { type Described, field, fieldsOf } from "../core/Field.ts"
import { type Problem, problemsOf, unknownNames } from "../core/Problem.ts"
import { type NamedStruct, withDefault } from "../core/Schemas.ts"
import { Seed, toJson } from "../core/Seed.ts"
import { ControlUnit, mostUnits } from "./ControlUnit.ts"
import type * as FieldTypes from "./FieldTypes.ts"
import { hiresSize } from "./HiresSize.ts"
import { GivenImages, GivenMask, ImageBytes, ImageLimits, tooLarge } from "./ImageBytes.ts"
import { InvalidProcessing } from "./InvalidProcessing.ts"
import { Limits } from "./Limits.ts"
import { OptionsPatch } from "./OptionsSnapshot.ts"
import type { SamplerName, SchedulerName } from "./SamplerName.ts"

const positive = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const name = Schema.NonEmptyString.check(Schema.isMaxLength(200))
// Accepts every name; the type only suggests the known ones.
const samplerName = name.pipe(Schema.refine((text: string): text is SamplerName => typeof text === "string"))
const schedulerName = name.pipe(Schema.refine((text: string): text is SchedulerName => typeof text === "string"))
const pixels = Schema.Int.check(Schema.isGreaterThanOrEqualTo(8))

const strength = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const side = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 20 }))
const factor = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const bit = Schema.Literals([0, 1])

// Of 0, 1, true and false, clients send either pair for the other.
const booleanOrBit = Schema.Union([Schema.Boolean, bit]).pipe(Schema.decodeTo(
  Schema.Boolean,
  SchemaTransformation.transform({ decode: (value) => value === true || value === 1, encode: (value) => value })
))
const bitOrBoolean = Schema.Union([bit, Schema.Boolean]).pipe(Schema.decodeTo(
  bit,
  SchemaTransformation.transform({
    decode: (value: 0 | 1 | boolean): 0 | 1 => value === true || value === 1 ? 1 : 0,
    encode: (value: 0 | 1): 0 | 1 | boolean => value
  })
))

/** The schema of a kind of request, with its written-out types. */
export interface RequestStruct<
  Fields extends Schema.Struct.Fields,
  Request extends Schema.Struct.Type<Fields>,
  Input extends Schema.Struct.MakeIn<Fields>
> extends NamedStruct<Fields, Request, Input> {
  /** Makes a request: omitted fields take their defaults. Throws `InvalidProcessing`, which names every wrong value. */
  make(input: Input, options?: Schema.MakeOptions): Request
}

// A schema's own `make` throws an error that does not say which value is wrong, so it is replaced: this one throws
// `InvalidProcessing`.
const withReasons = <S extends Schema.Constraint>(tag: Tag, schema: S): S => {
  const make = SchemaParser.make(schema)
  const value = (input: S["~type.make.in"], options: Schema.MakeOptions = {}): S["Type"] => {
    const unknown = Predicate.isObject(input) ? unknownFields(tag, input) : []
    let problems: ReadonlyArray<Problem> = []
    try {
      const made = make(input, { ...options, parseOptions: { errors: "all", ...options.parseOptions } })
      if (unknown.length === 0) return made
    } catch (error) {
      if (!(error instanceof Error) || !SchemaIssue.isIssue(error.cause)) throw error
      problems = problemsOf(error.cause)
    }
    throw new InvalidProcessing({ problems: [...problems, ...unknown] })
  }
  return Object.defineProperty(schema, "make", { enumerable: true, value })
}

/** The fields of every kind of request. */
const shared = {
  prompt: withDefault(Schema.String, "").pipe(
    field({
      title: "Prompt",
      description: "What the image shows, in the prompt language.",
      group: "Prompt",
      flag: "prompt",
      value: "text",
      infotext: "Prompt"
    })
  ),
  negative_prompt: withDefault(Schema.String, "").pipe(
    field({
      title: "Negative prompt",
      description: "What to avoid; acts only when the CFG scale is not 1.",
      group: "Prompt",
      flag: "negative-prompt",
      value: "text",
      infotext: "Negative prompt"
    })
  ),
  styles: withDefault(Schema.Array(Schema.String), []).pipe(
    field({
      title: "Styles",
      description: "Names of styles whose texts are merged into both prompts.",
      group: "Prompt",
      flag: "styles",
      value: "names",
      infotext: "Styles array"
    })
  ),
  dynamic_prompts: Schema.optional(Schema.Boolean).pipe(
    field({
      title: "Dynamic prompts",
      description:
        "Whether each image draws its own text from choices, as in {one|other}, and wildcards in the prompts.",
      group: "Prompt",
      flag: "dynamic-prompts",
      value: "switch",
      otherwise: "the setting",
      unwritten: "a text holds what was drawn, and the prompts as Template and Negative Template"
    })
  ),
  disable_extra_networks: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Disable extra networks",
      description: "Whether tags of extra networks, such as <lora:name:1>, are removed without a warning.",
      group: "Prompt",
      flag: "disable-extra-networks",
      value: "switch",
      infotext: "Disable extra networks"
    })
  ),
  seed: withDefault(Seed, -1).pipe(
    field({
      title: "Seed",
      description: "Seed of the first image; later images count up from it. -1 draws a random seed.",
      group: "Seed",
      flag: "seed",
      value: "seed",
      infotext: "Seed"
    })
  ),
  subseed: withDefault(Seed, -1).pipe(
    field({
      title: "Variation seed",
      description: "Seed of the variation noise. -1 draws a random seed.",
      group: "Seed",
      flag: "subseed",
      value: "seed",
      infotext: "Variation seed"
    })
  ),
  subseed_strength: withDefault(strength, 0).pipe(
    field({
      title: "Variation strength",
      description: "How much of the variation seed's noise is mixed in: 0 for none, 1 for all.",
      group: "Seed",
      flag: "subseed-strength",
      value: "number",
      infotext: "Variation seed strength"
    })
  ),
  seed_resize_from_w: withDefault(Schema.Int, -1).pipe(
    field({
      title: "Resize seed from width",
      description: "Width of the noise that is pasted into the middle; 0 or less for none.",
      group: "Seed",
      unit: "pixels",
      flag: "seed-resize-from-w",
      value: "integer",
      infotext: "Seed resize from-1"
    })
  ),
  seed_resize_from_h: withDefault(Schema.Int, -1).pipe(
    field({
      title: "Resize seed from height",
      description: "Height of the noise that is pasted into the middle; 0 or less for none.",
      group: "Seed",
      unit: "pixels",
      flag: "seed-resize-from-h",
      value: "integer",
      infotext: "Seed resize from-2"
    })
  ),
  steps: withDefault(positive, 20).pipe(
    field({
      title: "Sampling steps",
      description: "Number of sampling steps.",
      group: "Sampling",
      flag: "steps",
      value: "integer",
      infotext: "Steps"
    })
  ),
  sampler_name: withDefault(samplerName, "Euler").pipe(
    field({
      title: "Sampling method",
      description:
        "Name or alias of the sampler, from \"serena samplers\"; a schedule may follow, as in DPM++ 2M Karras.",
      group: "Sampling",
      flag: "sampler",
      value: "name",
      infotext: "Sampler"
    })
  ),
  scheduler: withDefault(schedulerName, "Automatic").pipe(
    field({
      title: "Schedule type",
      description: "Name or label of the schedule; Automatic is the sampler's own.",
      group: "Sampling",
      flag: "scheduler",
      value: "name",
      infotext: "Schedule type"
    })
  ),
  cfg_scale: withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })), 7).pipe(
    field({
      title: "CFG Scale",
      description:
        "Classifier-free guidance scale: how closely the image follows the prompt. 1 disables guidance and halves the work.",
      group: "Sampling",
      flag: "cfg-scale",
      value: "number",
      infotext: "CFG scale"
    })
  ),
  width: Schema.optional(pixels).pipe(
    field({
      title: "Width",
      description: "Width of the image, a multiple of what the model needs (8 or 16).",
      group: "Size and batches",
      unit: "pixels",
      flag: "width",
      value: "integer",
      otherwise: "the model's own",
      infotext: "Size-1"
    })
  ),
  height: Schema.optional(pixels).pipe(
    field({
      title: "Height",
      description: "Height of the image, a multiple of what the model needs (8 or 16).",
      group: "Size and batches",
      unit: "pixels",
      flag: "height",
      value: "integer",
      otherwise: "the model's own",
      infotext: "Size-2"
    })
  ),
  batch_size: withDefault(positive, 1).pipe(
    field({
      title: "Batch size",
      description: "Number of images that are sampled together.",
      group: "Size and batches",
      flag: "batch-size",
      value: "integer",
      infotext: "Batch size"
    })
  ),
  n_iter: withDefault(positive, 1).pipe(
    field({
      title: "Batch count",
      description: "Number of batches, one after the other.",
      group: "Size and batches",
      flag: "n-iter",
      value: "integer",
      unwritten: "each image has a text of its own"
    })
  ),
  x_axis: Schema.optional(Schema.String.check(Schema.isMaxLength(10_000))).pipe(
    field({
      title: "X axis",
      description:
        "What differs from column to column of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.",
      group: "Plot",
      flag: "x-axis",
      value: "text",
      otherwise: "nothing",
      unwritten: "each image of a plot has a text of its own"
    })
  ),
  y_axis: Schema.optional(Schema.String.check(Schema.isMaxLength(10_000))).pipe(
    field({
      title: "Y axis",
      description:
        "What differs from row to row of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.",
      group: "Plot",
      flag: "y-axis",
      value: "text",
      otherwise: "nothing",
      unwritten: "each image of a plot has a text of its own"
    })
  ),
  z_axis: Schema.optional(Schema.String.check(Schema.isMaxLength(10_000))).pipe(
    field({
      title: "Z axis",
      description:
        "What differs from sheet to sheet of a plot: the name of an axis and its values, as in Steps: 5, 10, 20.",
      group: "Plot",
      flag: "z-axis",
      value: "text",
      otherwise: "nothing",
      unwritten: "each image of a plot has a text of its own"
    })
  ),
  eta: Schema.optional(strength).pipe(
    field({
      title: "Eta",
      description: "Share of fresh noise in ancestral, SDE and DDIM steps.",
      group: "Sampling",
      flag: "eta",
      value: "number",
      otherwise: "the settings eta_ancestral and eta_ddim",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  s_churn: Schema.optional(factor).pipe(
    field({
      title: "Sigma churn",
      description: "Total noise added before the steps of Euler, Heun and DPM2.",
      group: "Sampling",
      flag: "s-churn",
      value: "number",
      otherwise: "the setting",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  s_tmin: Schema.optional(factor).pipe(
    field({
      title: "Sigma tmin",
      description: "Lowest noise level at which churn acts.",
      group: "Sampling",
      flag: "s-tmin",
      value: "number",
      otherwise: "the setting",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  s_tmax: Schema.optional(factor).pipe(
    field({
      title: "Sigma tmax",
      description: "Highest noise level at which churn acts; 0 for no limit.",
      group: "Sampling",
      flag: "s-tmax",
      value: "number",
      otherwise: "the setting",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  s_noise: Schema.optional(factor).pipe(
    field({
      title: "Sigma noise",
      description: "Factor on the noise of churn and on that of the SDE samplers, DPM++ 2S a, DPM2 a and DPM fast.",
      group: "Sampling",
      flag: "s-noise",
      value: "number",
      otherwise: "the setting",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  s_min_uncond: Schema.optional(factor).pipe(
    field({
      title: "Negative guidance minimum sigma",
      description: "Noise level below which every second step skips the negative prompt.",
      group: "Sampling",
      flag: "s-min-uncond",
      value: "number",
      otherwise: "the setting",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  tiling: Schema.optional(Schema.Boolean).pipe(
    field({
      title: "Tiling",
      description: "Whether the image can be tiled without seams.",
      group: "Sampling",
      flag: "tiling",
      value: "switch",
      otherwise: "the setting",
      unwritten: "written as the setting that acts in its place"
    })
  ),
  refiner_checkpoint: Schema.optional(Schema.String).pipe(
    field({
      title: "Refiner checkpoint",
      description: "Model that takes over before the end.",
      group: "Model",
      flag: "refiner-checkpoint",
      value: "name",
      otherwise: "none",
      infotext: "Refiner"
    })
  ),
  refiner_switch_at: Schema.optional(strength).pipe(
    field({
      title: "Refiner switch at",
      description: "Fraction of the steps after which the refiner takes over.",
      group: "Model",
      flag: "refiner-switch-at",
      value: "number",
      otherwise: "0.8",
      infotext: "Refiner switch at"
    })
  ),
  control_units: withDefault(Schema.Array(ControlUnit).check(Schema.isMaxLength(mostUnits)), []).pipe(
    field({
      title: "ControlNet",
      description: "Images that the result follows, each by a ControlNet.",
      group: "ControlNet",
      flag: "control",
      value: "parts",
      example: "image=pose.png,module=canny,model=NAME, also with mask, weight, start, end, mode and resize",
      unwritten: "each unit has a row of its own"
    })
  ),
  override_settings: withDefault(OptionsPatch, {}).pipe(
    field({
      title: "Override settings",
      description: "Settings for this request only.",
      group: "Model",
      unwritten: "each setting has a row of its own"
    })
  )
}

const txt2Img = Schema.Struct({
  _tag: Schema.tag("Txt2Img").pipe(Schema.withDecodingDefaultType(Effect.succeed("Txt2Img" as const))),
  ...shared,
  enable_hr: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Hires fix",
      description: "Whether a second pass follows at a larger size.",
      group: "Hires fix",
      flag: "enable-hr",
      value: "switch",
      unwritten: "other rows say that there is a second pass"
    })
  ),
  denoising_strength: withDefault(strength, 0.75).pipe(
    field({
      title: "Denoising strength",
      description: "How much the second pass changes the image: 0 nothing, 1 everything.",
      group: "Hires fix",
      flag: "denoising-strength",
      value: "number",
      infotext: "Denoising strength"
    })
  ),
  hr_scale: withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 16 })), 2).pipe(
    field({
      title: "Upscale by",
      description: "Factor by which the second pass is larger.",
      group: "Hires fix",
      flag: "hr-scale",
      value: "number",
      infotext: "Hires upscale"
    })
  ),
  hr_resize_x: withDefault(side, 0).pipe(
    field({
      title: "Resize width to",
      description: "Width of the second pass in place of the factor; 0 to keep the proportions.",
      group: "Hires fix",
      unit: "pixels",
      flag: "hr-resize-x",
      value: "integer",
      infotext: "Hires resize-1"
    })
  ),
  hr_resize_y: withDefault(side, 0).pipe(
    field({
      title: "Resize height to",
      description: "Height of the second pass in place of the factor; 0 to keep the proportions.",
      group: "Hires fix",
      unit: "pixels",
      flag: "hr-resize-y",
      value: "integer",
      infotext: "Hires resize-2"
    })
  ),
  hr_upscaler: withDefault(name, "Latent").pipe(
    field({
      title: "Upscaler",
      description: "Latent upscale mode, or upscaler, between the passes.",
      group: "Hires fix",
      flag: "hr-upscaler",
      value: "name",
      infotext: "Hires upscaler"
    })
  ),
  hr_second_pass_steps: withDefault(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)), 0).pipe(
    field({
      title: "Hires steps",
      description: "Sampling steps of the second pass; 0 for as many as the first.",
      group: "Hires fix",
      flag: "hr-second-pass-steps",
      value: "integer",
      infotext: "Hires steps"
    })
  ),
  hr_checkpoint_name: Schema.optional(Schema.String).pipe(
    field({
      title: "Hires checkpoint",
      description: "Model of the second pass.",
      group: "Hires fix",
      flag: "hr-checkpoint",
      value: "name",
      otherwise: "that of the first pass",
      infotext: "Hires checkpoint"
    })
  ),
  hr_sampler_name: Schema.optional(samplerName).pipe(
    field({
      title: "Hires sampling method",
      description: "Sampler of the second pass.",
      group: "Hires fix",
      flag: "hr-sampler",
      value: "name",
      otherwise: "that of the first pass",
      infotext: "Hires sampler"
    })
  ),
  hr_scheduler: Schema.optional(schedulerName).pipe(
    field({
      title: "Hires schedule type",
      description: "Schedule of the second pass.",
      group: "Hires fix",
      flag: "hr-scheduler",
      value: "name",
      otherwise: "that of the first pass",
      infotext: "Hires schedule type"
    })
  ),
  hr_prompt: withDefault(Schema.String, "").pipe(
    field({
      title: "Hires prompt",
      description: "Prompt of the second pass; empty for that of the first.",
      group: "Hires fix",
      flag: "hr-prompt",
      value: "text",
      infotext: "Hires prompt"
    })
  ),
  hr_negative_prompt: withDefault(Schema.String, "").pipe(
    field({
      title: "Hires negative prompt",
      description: "Negative prompt of the second pass; empty for that of the first.",
      group: "Hires fix",
      flag: "hr-negative-prompt",
      value: "text",
      infotext: "Hires negative prompt"
    })
  )
}).annotate({ identifier: "Txt2Img" })

/** Text-to-image, with `enable_hr` followed by a second pass at a larger size. */
export const Txt2Img: RequestStruct<typeof txt2Img.fields, Txt2Img, FieldTypes.Txt2ImgInput> = withReasons(
  "Txt2Img",
  txt2Img
)
export interface Txt2Img extends FieldTypes.Txt2Img {}

const img2Img = Schema.Struct({
  _tag: Schema.tag("Img2Img"),
  ...shared,
  init_images: Schema.NonEmptyArray(ImageBytes).pipe(
    field({
      title: "Init images",
      description: "Images to start from: one for the whole batch, or one for each image of it.",
      group: "Init images",
      flag: "init",
      value: "file",
      otherwise: "required",
      unwritten: "a text holds no images"
    })
  ),
  denoising_strength: withDefault(strength, 0.75).pipe(
    field({
      title: "Denoising strength",
      description: "How much the init image is changed: 0 nothing, 1 everything.",
      group: "Init images",
      flag: "denoising-strength",
      value: "number",
      infotext: "Denoising strength"
    })
  ),
  resize_mode: withDefault(Schema.Literals([0, 1, 2, 3]), 0).pipe(
    field({
      title: "Resize mode",
      description: "How an init image of another size is resized: 0 stretch, 1 crop, 2 fill, 3 stretch latents.",
      group: "Init images",
      flag: "resize-mode",
      value: "integer",
      infotext: "Resize mode"
    })
  ),
  mask: Schema.optional(ImageBytes).pipe(
    field({
      title: "Mask",
      description: "Mask: white areas are regenerated; of an image with transparency, the opaque areas.",
      group: "Mask",
      flag: "mask",
      value: "file",
      unwritten: "a text holds no images"
    })
  ),
  mask_blur_x: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 })), 4).pipe(
    field({
      title: "Mask blur across",
      description: "Horizontal blur of the mask's edge.",
      group: "Mask",
      unit: "pixels",
      flag: "mask-blur-x",
      value: "integer",
      infotext: "Mask blur"
    })
  ),
  mask_blur_y: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 })), 4).pipe(
    field({
      title: "Mask blur down",
      description: "Vertical blur of the mask's edge.",
      group: "Mask",
      unit: "pixels",
      flag: "mask-blur-y",
      value: "integer",
      infotext: "Mask blur"
    })
  ),
  mask_round: withDefault(Schema.Boolean, true).pipe(
    field({
      title: "Round mask",
      description: "Whether each latent value is either kept or regenerated, with nothing in between.",
      group: "Mask",
      flag: "mask-round",
      value: "switch",
      infotext: "Mask round"
    })
  ),
  inpainting_fill: withDefault(Schema.Literals([0, 1, 2, 3]), 1).pipe(
    field({
      title: "Masked content",
      description:
        "What the masked area starts from: 0 its blurred surroundings, 1 the original, 2 latent noise, 3 latent zeros.",
      group: "Mask",
      flag: "inpainting-fill",
      value: "integer",
      infotext: "Masked content"
    })
  ),
  inpaint_full_res: withDefault(booleanOrBit, true).pipe(
    field({
      title: "Inpaint area",
      description: "Whether only the masked area is generated, at full size, and pasted back.",
      group: "Mask",
      flag: "inpaint-full-res",
      value: "switch",
      infotext: "Inpaint area"
    })
  ),
  inpaint_full_res_padding: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 })), 32)
    .pipe(
      field({
        title: "Only masked padding",
        description: "Padding around the masked area when only that is generated.",
        group: "Mask",
        unit: "pixels",
        flag: "inpaint-full-res-padding",
        value: "integer",
        infotext: "Masked area padding"
      })
    ),
  inpainting_mask_invert: withDefault(bitOrBoolean, 0).pipe(
    field({
      title: "Mask mode",
      description: "Whether black areas are regenerated instead of white ones: 1 to invert.",
      group: "Mask",
      flag: "inpainting-mask-invert",
      value: "switch",
      infotext: "Mask mode"
    })
  ),
  initial_noise_multiplier: Schema.optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 10 })))
    .pipe(
      field({
        title: "Noise multiplier",
        description: "Factor on the noise that is added to the init image.",
        group: "Init images",
        flag: "initial-noise-multiplier",
        value: "number",
        otherwise: "the setting",
        infotext: "Noise multiplier"
      })
    ),
  image_cfg_scale: Schema.optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })))
    .pipe(
      field({
        title: "Image CFG scale",
        description: "How closely the result follows the init image; acts only with models that edit images.",
        group: "Init images",
        flag: "image-cfg-scale",
        value: "number",
        otherwise: "1",
        infotext: "Image CFG scale"
      })
    )
}).annotate({ identifier: "Img2Img" })

/** Image to image, and with a `mask` inpainting. */
export const Img2Img: RequestStruct<typeof img2Img.fields, Img2Img, FieldTypes.Img2ImgInput> = withReasons(
  "Img2Img",
  img2Img
)
export interface Img2Img extends FieldTypes.Img2Img {}

/** A request of either kind. */
export const Processing = Schema.Union([Txt2Img, Img2Img])
export type Processing = Txt2Img | Img2Img

// Pure, here and below: bundles of pages that send requests leave out what decodes them.
const givenUnits = /* @__PURE__ */ withDefault(
  Schema.Array(
    ControlUnit.mapFields(Struct.assign({ image: Schema.optional(GivenMask), mask: Schema.optional(GivenMask) }))
  ).check(Schema.isMaxLength(mostUnits)),
  []
)
const decodeTxt2Img = /* @__PURE__ */ Schema.decodeUnknownEffect(
  Schema.toCodecJson(Txt2Img.mapFields(Struct.assign({ control_units: givenUnits }))),
  { errors: "all" }
)
const decodeImg2Img = /* @__PURE__ */ Schema.decodeUnknownEffect(
  Schema.toCodecJson(
    Img2Img.mapFields(Struct.assign({
      init_images: GivenImages,
      mask: Schema.optional(GivenMask),
      control_units: givenUnits
    }))
  ),
  { errors: "all" }
)

// Decodes by the tag, so that only problems of the intended kind are reported. Seeds may be in their form for JSON.
const decodeGiven = (input: unknown): Effect.Effect<Processing, Schema.SchemaError> => {
  const given = Predicate.isObject(input) && !Array.isArray(input) && Object.values(input).some(Predicate.isBigInt)
    ? Object.fromEntries(Object.entries(input).map(([name, value]) => [name, inJson(value)]))
    : input
  return Predicate.hasProperty(given, "_tag") && given._tag === "Img2Img" ? decodeImg2Img(given) : decodeTxt2Img(given)
}

type Tag = "Txt2Img" | "Img2Img"

const tagOf = (input: object): Tag =>
  Predicate.hasProperty(input, "_tag") && input._tag === "Img2Img" ? "Img2Img" : "Txt2Img"

/** Names that no field of this kind of request has, and no setting in its `override_settings`. */
export const unknownFields = (
  tag: Tag,
  input: object,
  others: ReadonlyArray<string> = []
): ReadonlyArray<Problem> => {
  const [own, another] = tag === "Txt2Img" ? [txt2Img, img2Img] : [img2Img, txt2Img]
  const overrides: unknown = Reflect.get(input, "override_settings")
  return [
    ...unknownNames(input, {
      what: "field",
      known: [...Object.keys(own.fields), ...others],
      other: (name) =>
        Object.hasOwn(another.fields, name)
          ? `it is one of ${tag === "Txt2Img" ? "an Img2Img" : "a Txt2Img"}`
          : undefined
    }),
    ...(Predicate.isObject(overrides)
      ? unknownNames(overrides, {
        what: "setting",
        known: Object.keys(OptionsPatch.fields),
        within: "override_settings."
      })
      : []),
    ...unitsOf(input).flatMap((unit, i) =>
      unknownNames(unit, { what: "field", known: Object.keys(ControlUnit.fields), within: `control_units.${i}.` })
    )
  ]
}

const inGroup = (struct: Described, group: string, leader: string): ReadonlyArray<string> =>
  fieldsOf(struct).flatMap(([name, field]) => field.group === group && name !== leader ? [name] : [])

/** Fields that have an effect only where another one is set. */
const followers: ReadonlyArray<readonly [tag: Tag | undefined, leader: string, names: ReadonlyArray<string>]> = [
  ["Txt2Img", "enable_hr", inGroup(txt2Img, "Hires fix", "enable_hr")],
  ["Img2Img", "mask", inGroup(img2Img, "Mask", "mask")],
  [undefined, "subseed_strength", ["subseed"]],
  [undefined, "refiner_checkpoint", ["refiner_switch_at"]]
]

/** The fields of a request that have no effect, whatever they hold: those of hires fix without it, for example. */
export const dormantFields = (input: object): ReadonlySet<string> => {
  const tag = tagOf(input)
  const isOff = (leader: string): boolean => {
    const value: unknown = Reflect.get(input, leader)
    return value === undefined || value === null || value === false || value === 0 || value === ""
  }
  return new Set(
    followers.flatMap(([kind, leader, names]) => (kind === undefined || kind === tag) && isOff(leader) ? names : [])
  )
}

const imageFields = new Set(["init_images", "mask", "image"])

const unitsOf = (input: object): ReadonlyArray<object> => {
  const units: unknown = Reflect.get(input, "control_units")
  return Array.isArray(units) ? units.slice(0, mostUnits).filter(Predicate.isObject) : []
}

const within = (place: string) => ({ message, path }: Problem): Problem => ({ path: `${place}.${path}`, message })

// JSON can spell half of a surrogate pair, which is no character. Files and networks would get another one instead.
// Images are base64, in which there is none.
const illFormed = (input: object): ReadonlyArray<Problem> =>
  Object.entries(input).flatMap(([path, value]: readonly [string, unknown]) => {
    if (imageFields.has(path)) return []
    if (path === "control_units") {
      return unitsOf(input).flatMap((unit, i) => illFormed(unit).map(within(`control_units.${i}`)))
    }
    const texts: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
    return texts.every((text) => typeof text !== "string" || text.isWellFormed())
      ? []
      : [{ path, message: "it is not valid Unicode: half of a surrogate pair stands alone" }]
  })

const rootOf = ({ path }: Problem): string => path.split(".")[0] ?? ""

const inJson = (value: unknown): unknown => typeof value === "bigint" ? toJson(value) : value

const utf8 = new TextEncoder()

/** Every field of `processing` that exceeds `limits`. */
export const exceeded = (processing: Processing, limits: Limits): ReadonlyArray<Problem> => {
  const problems = [
    ...exceededEach({ ...processing }, limits),
    ...(processing._tag === "Img2Img" ? exceededImages(processing, limits) : exceededHires(processing, limits)),
    ...exceededUnits(processing, limits)
  ]
  const { batch_size, height = 8, n_iter, width = 8 } = processing
  const second = secondPass(processing)
  const pixels = batch_size * n_iter * Math.max(width * height, second === undefined ? 0 : second.enlarged)
  // The product is checked only if each factor is within its own limit.
  return problems.length > 0 || pixels <= limits.max_total_pixels ? problems : [{
    path: second === undefined || batch_size * n_iter > 1 ? "n_iter" : second.path,
    message: `${pixels} is over the limit of ${limits.max_total_pixels} pixels of all images together`
  }]
}

// The limits of single fields; fields of a wrong type are skipped.
const exceededEach = (fields: Readonly<Record<string, unknown>>, limits: Limits): ReadonlyArray<Problem> => {
  const dormant = dormantFields(fields)
  return exceededAll(fields, limits).filter((problem) => !dormant.has(rootOf(problem)))
}

const exceededAll = (fields: Readonly<Record<string, unknown>>, limits: Limits): ReadonlyArray<Problem> => [
  ...bounded.flatMap(([path, limit, unit]) => {
    const field = fields[path]
    const value = typeof field === "string" && unit === " bytes" ? utf8.encode(field).length : field
    return typeof value === "number" && value > limits[limit]
      ? [{ path, message: `${value} is over the limit of ${limits[limit]}${unit}` }]
      : []
  }),
  ...names.flatMap((path) => longName(path, fields[path])),
  ...exceededStyles(fields["styles"])
]

const bounded = [
  ["prompt", "max_prompt_bytes", " bytes"],
  ["negative_prompt", "max_prompt_bytes", " bytes"],
  ["steps", "max_steps", ""],
  ["width", "max_width", " pixels"],
  ["height", "max_height", " pixels"],
  ["batch_size", "max_batch_size", ""],
  ["n_iter", "max_n_iter", ""],
  ["seed_resize_from_w", "max_width", " pixels"],
  ["seed_resize_from_h", "max_height", " pixels"],
  ["hr_second_pass_steps", "max_steps", ""],
  ["hr_prompt", "max_prompt_bytes", " bytes"],
  ["hr_negative_prompt", "max_prompt_bytes", " bytes"]
] as const

/** The largest number that `limits` allows in a field; `undefined` for a field that no limit bounds. */
export const limitOf = (field: string, limits: Limits): number | undefined => {
  const found = bounded.find(([path, , unit]) => path === field && unit !== " bytes")
  return found === undefined ? undefined : limits[found[1]]
}

const names = ["refiner_checkpoint", "hr_checkpoint_name"] as const
const longestName = 1000
const mostStyles = 100

const longName = (path: string, value: unknown): ReadonlyArray<Problem> =>
  typeof value === "string" && value.length > longestName
    ? [{ path, message: `${value.length} is over the limit of ${longestName} characters` }]
    : []

const exceededStyles = (styles: unknown): ReadonlyArray<Problem> =>
  !Array.isArray(styles)
    ? []
    : styles.length > mostStyles
    ? [{ path: "styles", message: `${styles.length} is over the limit of ${mostStyles} styles` }]
    : styles.flatMap((style, i) => longName(`styles.${i}`, style))

// The second pass of hires fix: its size, the pixels of the image that it is cut from, and the field that decides.
const secondPass = (processing: Processing) => {
  if (processing._tag !== "Txt2Img" || !processing.enable_hr) return undefined
  const { height = 8, hr_resize_x: x, hr_resize_y: y, width = 8 } = processing
  const { enlarged, wanted } = hiresSize(processing, { width, height })
  const path = x > 0 ? "hr_resize_x" : y > 0 ? "hr_resize_y" : "hr_scale"
  return { ...wanted, enlarged: enlarged.width * enlarged.height, path }
}

const exceededHires = (processing: Txt2Img, limits: Limits): ReadonlyArray<Problem> => {
  const second = secondPass(processing)
  if (second === undefined) return []
  const problem = (
    own: "hr_resize_x" | "hr_resize_y",
    side: "width" | "height",
    limit: number
  ): ReadonlyArray<Problem> =>
    second[side] <= limit ? [] : [{
      path: processing[own] > 0 ? own : second.path,
      message: `the ${side} of the second pass, ${second[side]}, is over the limit of ${limit} pixels`
    }]
  return [
    ...problem("hr_resize_x", "width", limits.max_width),
    ...problem("hr_resize_y", "height", limits.max_height)
  ]
}

const largeImage = (path: string, { length }: Uint8Array, limits: Limits): ReadonlyArray<Problem> =>
  length > limits.max_image_bytes ? [{ path, message: tooLarge(length, limits) }] : []

const exceededUnits = ({ control_units }: Processing, limits: Limits): ReadonlyArray<Problem> =>
  control_units.flatMap(({ image, mask }, i) => [
    ...(image === undefined ? [] : largeImage(`control_units.${i}.image`, image, limits)),
    ...(mask === undefined ? [] : largeImage(`control_units.${i}.mask`, mask, limits))
  ])

const exceededImages = (
  { batch_size, init_images, mask }: Img2Img,
  limits: Limits
): ReadonlyArray<Problem> => {
  const problem = (path: string, bytes: Uint8Array) => largeImage(path, bytes, limits)
  return [
    ...(init_images.length > batch_size
      ? [{ path: "init_images", message: `${init_images.length} images are too many for a batch of ${batch_size}` }]
      : []),
    ...init_images.flatMap((bytes, i) => problem(`init_images.${i}`, bytes)),
    ...(mask === undefined ? [] : problem("mask", mask))
  ]
}

/**
 * Decodes any value to a `Processing`: missing fields and nulls take their defaults, and so do fields without effect
 * that hold something else, such as those of hires fix without it. An empty `mask` is none. Images are bytes, which are
 * taken as they are, or base64. A seed is a number, a bigint, or a text of digits.
 *
 * Fails with an `InvalidProcessing` that holds every problem with its path, before any memory is allocated for the
 * request: base64 over the limit is not decoded. Unknown fields are problems, named with the nearest known field, or
 * with the nearest of `others`: names that the caller reads itself.
 */
export const decode = /* @__PURE__ */ Effect.fn("Processing.decode")(function*(
  input: unknown,
  limits: Limits = Limits.make({}),
  others: ReadonlyArray<string> = []
) {
  const attempt = (given: unknown) => decodeGiven(given).pipe(Effect.provideService(ImageLimits, limits), Effect.result)
  const isFields = Predicate.isObject(input) && !Array.isArray(input)
  const dormant: ReadonlySet<string> = isFields ? dormantFields(input) : new Set()
  const first = yield* attempt(input)
  const passedOver = new Set(
    Result.isFailure(first) ? problemsOf(first.failure.issue).map(rootOf).filter((name) => dormant.has(name)) : []
  )
  const decoded = isFields && passedOver.size > 0
    ? yield* attempt(Object.fromEntries(Object.entries(input).filter(([name]) => !passedOver.has(name))))
    : first
  const broken = isFields ? illFormed(input).filter((problem) => !dormant.has(rootOf(problem))) : []
  return yield* accepted(input, decoded, { limits, others, broken })
})

/** The request, if it is taken: the one place that decides, for whatever it was decoded from. */
export const accepted = /* @__PURE__ */ Effect.fnUntraced(function*(
  given: unknown,
  decoded: Result.Result<Processing, Schema.SchemaError>,
  { broken, limits, others }: {
    readonly limits: Limits
    readonly others: ReadonlyArray<string>
    readonly broken: ReadonlyArray<Problem>
  }
) {
  const fields = Predicate.isObject(given) && !Array.isArray(given) ? given : {}
  const wrong = [
    ...(Result.isFailure(decoded) ? problemsOf(decoded.failure.issue) : []),
    ...broken,
    ...unknownFields(tagOf(fields), fields, others)
  ]
  const beyond = Result.isSuccess(decoded) ? exceeded(decoded.success, limits) : exceededEach({ ...fields }, limits)
  const problems = [...wrong, ...beyond.filter(({ path }) => !wrong.some((problem) => problem.path === path))]
  return Result.isFailure(decoded) || problems.length > 0
    ? yield* new InvalidProcessing({ problems })
    : decoded.success
})
