/**
 * What to make.
 *
 * A `Processing` is plain data: field names, defaults and meaning are those of stable-diffusion-webui's API, so that one
 * word means one thing in a program, a JSON body, a saved picture and a flag. Make one with `Txt2Img.make({ prompt })`
 * when the values are your own, or with `decode` when they come from outside.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { hiresSize } from "./HiresSize.ts"
import { ImageBytes } from "./ImageBytes.ts"
import { InvalidProcessing } from "./InvalidProcessing.ts"
import { Limits } from "./Limits.ts"
import { OptionsPatch } from "./Options.ts"

const withDefault = <S extends Schema.Top & Schema.WithoutConstructorDefault>(
  schema: S,
  value: S["~type.make.in"] & S["Type"]
) =>
  schema.pipe(
    Schema.withConstructorDefault(Effect.succeed(value)),
    Schema.withDecodingDefaultType(Effect.succeed(value))
  )

const positive = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const name = Schema.NonEmptyString.check(Schema.isMaxLength(200))
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

/** What every kind of request has. */
const shared = {
  /** What to show, in the prompt language. */
  prompt: withDefault(Schema.String, ""),
  /** What to keep away from; guides only when `cfg_scale` is not 1. */
  negative_prompt: withDefault(Schema.String, ""),
  /** Names of styles, whose texts are merged into both prompts. */
  styles: withDefault(Schema.Array(Schema.String), []),
  /** Whether tags of extra networks (`<lora:name:1>`) are taken out without a word. */
  disable_extra_networks: withDefault(Schema.Boolean, false),
  /** Seed of the first picture, the next ones count on from it; -1 for a random one. */
  seed: withDefault(Schema.Int, -1),
  /** Variation seed (-1 for a random one), and how much of its noise there is: 0 for none, 1 for all. */
  subseed: withDefault(Schema.Int, -1),
  subseed_strength: withDefault(strength, 0),
  /** Size whose noise is put into the middle, in pixels; 0 or less for none. */
  seed_resize_from_w: withDefault(Schema.Int, -1),
  seed_resize_from_h: withDefault(Schema.Int, -1),
  /** Sampling steps. */
  steps: withDefault(positive, 20),
  /** A sampler's name or alias; a schedule's name may follow, as in `DPM++ 2M Karras`. */
  sampler_name: withDefault(name, "Euler"),
  /** A schedule's name or label; `Automatic` is the sampler's own. */
  scheduler: withDefault(name, "Automatic"),
  /** Classifier-free guidance scale; 1 switches guidance, and half of the work, off. */
  cfg_scale: withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1000 })), 7),
  /** Size in pixels, a multiple of what the model needs (8 or 16). Left out: the model's own size. */
  width: Schema.optional(pixels),
  height: Schema.optional(pixels),
  /** Pictures sampled at once. */
  batch_size: withDefault(positive, 1),
  /** Rounds, one after the other. */
  n_iter: withDefault(positive, 1),
  /** Share of fresh noise in ancestral, SDE and DDIM steps. Left out: the settings `eta_ancestral` and `eta_ddim`. */
  eta: Schema.optional(strength),
  /** Churn of Euler, Heun and DPM2. Left out: the settings of these names. */
  s_churn: Schema.optional(factor),
  s_tmin: Schema.optional(factor),
  s_tmax: Schema.optional(factor),
  s_noise: Schema.optional(factor),
  /** Noise level below which the negative prompt is used in every second call only. Left out: the setting. */
  s_min_uncond: Schema.optional(factor),
  /** Whether the picture can be laid beside itself without seams. Left out: the setting. */
  tiling: Schema.optional(Schema.Boolean),
  /** Model that takes over, and when: at this share of the steps. Left out: none. */
  refiner_checkpoint: Schema.optional(Schema.String),
  refiner_switch_at: Schema.optional(strength),
  /** Settings for this request only. */
  override_settings: withDefault(OptionsPatch, {})
}

/** Text to image, and with `enable_hr` a second pass in a larger size. */
export const Txt2Img = Schema.Struct({
  _tag: Schema.tag("Txt2Img").pipe(Schema.withDecodingDefaultType(Effect.succeed("Txt2Img" as const))),
  ...shared,
  /** Whether there is a second pass (hires fix). */
  enable_hr: withDefault(Schema.Boolean, false),
  /** How much the second pass changes: 0 nothing, 1 all. */
  denoising_strength: withDefault(strength, 0.75),
  /** How much larger the second pass is. */
  hr_scale: withDefault(Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 16 })), 2),
  /** Size of the second pass in pixels, in place of `hr_scale`; of one that is 0, the proportions decide. */
  hr_resize_x: withDefault(side, 0),
  hr_resize_y: withDefault(side, 0),
  /** A latent upscale mode, or an upscaler's name. */
  hr_upscaler: withDefault(name, "Latent"),
  /** Steps of the second pass; 0 for as many as `steps`. */
  hr_second_pass_steps: withDefault(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)), 0),
  /** Model, sampler and schedule of the second pass. Left out: those of the first. */
  hr_checkpoint_name: Schema.optional(Schema.String),
  hr_sampler_name: Schema.optional(name),
  hr_scheduler: Schema.optional(name),
  /** Prompts of the second pass; empty for those of the first. */
  hr_prompt: withDefault(Schema.String, ""),
  hr_negative_prompt: withDefault(Schema.String, "")
}).annotate({ identifier: "Txt2Img" })
export type Txt2Img = typeof Txt2Img.Type

/** Image to image, and with a `mask` inpainting. */
export const Img2Img = Schema.Struct({
  _tag: Schema.tag("Img2Img"),
  ...shared,
  /** Pictures to start from: one for the whole batch, or one for each picture of it. */
  init_images: Schema.NonEmptyArray(ImageBytes),
  /** How much is changed: 0 nothing, 1 all. */
  denoising_strength: withDefault(strength, 0.75),
  /** How a picture gets the asked size: 0 stretched, 1 cropped, 2 filled at the sides, 3 stretched as latents. */
  resize_mode: withDefault(Schema.Literals([0, 1, 2, 3]), 0),
  /** What is made anew: the white part of this picture, or where it is not transparent. */
  mask: Schema.optional(ImageBytes),
  /** Blur of the mask's edge in pixels, across and down. */
  mask_blur_x: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 })), 4),
  mask_blur_y: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 512 })), 4),
  /** Whether each latent value is either kept or made anew. */
  mask_round: withDefault(Schema.Boolean, true),
  /** What is under the mask to begin with: 0 its blurred surroundings, 1 the picture, 2 noise, 3 nothing. */
  inpainting_fill: withDefault(Schema.Literals([0, 1, 2, 3]), 1),
  /** Whether only the masked part, and so many pixels around it, is made in the asked size and put back. */
  inpaint_full_res: withDefault(booleanOrBit, true),
  inpaint_full_res_padding: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1024 })), 32),
  /** 1 to make anew what the mask leaves out. */
  inpainting_mask_invert: withDefault(bitOrBoolean, 0),
  /** Factor on the noise that is laid over the picture. Left out: the setting. */
  initial_noise_multiplier: Schema.optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 10 })))
}).annotate({ identifier: "Img2Img" })
export type Img2Img = typeof Img2Img.Type

/** Everything that can be asked for. */
export const Processing = Schema.Union([Txt2Img, Img2Img])
export type Processing = typeof Processing.Type

const decodeTxt2Img = Schema.decodeUnknownEffect(Schema.toCodecJson(Txt2Img), { errors: "all" })
const decodeImg2Img = Schema.decodeUnknownEffect(Schema.toCodecJson(Img2Img), { errors: "all" })

// By its tag, so that only problems of the kind that was meant are named.
const decodeJson = (input: unknown): Effect.Effect<Processing, Schema.SchemaError> =>
  Predicate.hasProperty(input, "_tag") && input._tag === "Img2Img" ? decodeImg2Img(input) : decodeTxt2Img(input)

const utf8 = new TextEncoder()

/** Where `processing` asks for more than `limits` allows: every place, none when it may run. */
export const exceeded = (processing: Processing, limits: Limits): ReadonlyArray<Problem> => {
  const problems = [
    ...exceededEach(processing, limits),
    ...(processing._tag === "Img2Img" ? exceededPictures(processing, limits) : exceededHires(processing, limits))
  ]
  const { batch_size, height = 8, n_iter, width = 8 } = processing
  const second = secondPass(processing)
  const pixels = batch_size * n_iter * Math.max(width * height, second === undefined ? 0 : second.enlarged)
  // Only when each factor is within its own limit is their product something to tell of.
  return problems.length > 0 || pixels <= limits.max_total_pixels ? problems : [{
    path: second === undefined || batch_size * n_iter > 1 ? "n_iter" : second.path,
    message: `${pixels} is over the limit of ${limits.max_total_pixels} pixels of all pictures together`
  }]
}

// The limits of single fields; a field of a wrong type is no matter of limits.
const exceededEach = (fields: Readonly<Record<string, unknown>>, limits: Limits): ReadonlyArray<Problem> => [
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

const exceededPictures = (
  { batch_size, init_images, mask }: Img2Img,
  limits: Limits
): ReadonlyArray<Problem> => {
  const problem = (path: string, { length }: Uint8Array): ReadonlyArray<Problem> =>
    length > limits.max_image_bytes ? [{ path, message: tooLarge(length, limits) }] : []
  return [
    ...(init_images.length > batch_size
      ? [{ path: "init_images", message: `${init_images.length} pictures are too many for a batch of ${batch_size}` }]
      : []),
    ...init_images.flatMap((bytes, i) => problem(`init_images.${i}`, bytes)),
    ...(mask === undefined ? [] : problem("mask", mask))
  ]
}

const tooLarge = (bytes: number, { max_image_bytes }: Limits): string =>
  `${bytes} is over the limit of ${max_image_bytes} bytes of a picture's file`

/** Fails with `InvalidProcessing` when `processing` asks for more than `limits` allows. */
export const checkLimits = Effect.fnUntraced(function*<P extends Processing>(processing: P, limits: Limits) {
  const problems = exceeded(processing, limits)
  return problems.length === 0 ? processing : yield* new InvalidProcessing({ problems })
})

/**
 * Any JSON value as a `Processing`: missing fields and nulls take their defaults, unknown fields are passed over, and an
 * empty `mask` is none.
 *
 * Fails with `InvalidProcessing`, every problem named with its path, before any memory is taken for the request: also
 * pictures are only decoded when their text is not too long.
 */
export const decode = Effect.fn("Processing.decode")(function*(input: unknown, limits: Limits = Limits.make({})) {
  const { problems: tooLong, short } = withoutLongPictures(input, limits)
  const decoded = yield* Effect.result(decodeJson(short))
  const wrong = [...tooLong, ...(Result.isFailure(decoded) ? problemsOf(decoded.failure.issue) : [])]
  const beyond = Result.isSuccess(decoded)
    ? exceeded(decoded.success, limits)
    : Predicate.isObject(short)
    ? exceededEach(short, limits)
    : []
  const problems = [...wrong, ...beyond.filter(({ path }) => !wrong.some((problem) => problem.path === path))]
  return Result.isFailure(decoded) || problems.length > 0
    ? yield* new InvalidProcessing({ problems })
    : decoded.success
})

// Takes out what would be too large once it was decoded, so that the rest can be looked at all the same.
const withoutLongPictures = (
  input: unknown,
  limits: Limits
): { readonly short: unknown; readonly problems: ReadonlyArray<Problem> } => {
  if (!Predicate.isObject(input) || !Predicate.hasProperty(input, "_tag") || input._tag !== "Img2Img") {
    return { short: input, problems: [] }
  }
  const problems: Array<Problem> = []
  const shortened = (path: string, text: unknown): unknown => {
    if (typeof text !== "string" || text.length <= mostCharacters(limits)) return text
    problems.push({ path, message: tooLarge(Math.floor(text.length * 3 / 4), limits) })
    return "AA=="
  }
  const fields: Record<string, unknown> = { ...input }
  const { init_images: images, mask } = fields
  if (mask !== undefined) fields["mask"] = mask === "" ? null : shortened("mask", mask)
  if (Array.isArray(images)) {
    const most = limits.max_batch_size
    if (images.length > most) {
      problems.push({ path: "init_images", message: `${images.length} pictures are over the limit of ${most}` })
    }
    fields["init_images"] = images.slice(0, most).map((image, i) => shortened(`init_images.${i}`, image))
  }
  return { short: fields, problems }
}

// In base64, with room for line breaks and the beginning of a data URL. What is a little too long is found afterwards.
const mostCharacters = ({ max_image_bytes }: Limits): number => max_image_bytes * 1.5 + 300
