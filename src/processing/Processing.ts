/**
 * What to make.
 *
 * A `Processing` is plain data: field names, defaults and meaning are those of stable-diffusion-webui's API, so that one
 * word means one thing in a program, a JSON body, a saved picture and a flag. Make one with `Txt2Img.make({ prompt })`
 * when the values are your own, or with `decode` when they come from outside.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { InvalidProcessing, type Problem, problemsOf } from "./errors.ts"
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

/** Text to image. */
export const Txt2Img = Schema.Struct({
  _tag: Schema.tag("Txt2Img").pipe(Schema.withDecodingDefaultType(Effect.succeed("Txt2Img" as const))),
  /** What to show. */
  prompt: withDefault(Schema.String, ""),
  /** What to keep away from; guides only when `cfg_scale` is not 1. */
  negative_prompt: withDefault(Schema.String, ""),
  /** Seed of the first picture, the next ones count on from it; -1 for a random one. */
  seed: withDefault(Schema.Int, -1),
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
  /** Settings for this request only. */
  override_settings: withDefault(OptionsPatch, {})
}).annotate({ identifier: "Txt2Img" })
export type Txt2Img = typeof Txt2Img.Type

/** Everything that can be asked for. */
export const Processing = Txt2Img
export type Processing = typeof Processing.Type

const decodeJson = Schema.decodeUnknownEffect(Schema.toCodecJson(Processing), { errors: "all" })

const utf8 = new TextEncoder()

/** Where `processing` asks for more than `limits` allows: every place, none when it may run. */
export const exceeded = (processing: Processing, limits: Limits): ReadonlyArray<Problem> => {
  const problems = exceededEach(processing, limits)
  const { batch_size, height = 8, n_iter, width = 8 } = processing
  const pixels = batch_size * n_iter * width * height
  // Only when each factor is within its own limit is their product something to tell of.
  return problems.length > 0 || pixels <= limits.max_total_pixels ? problems : [{
    path: "n_iter",
    message: `${pixels} is over the limit of ${limits.max_total_pixels} pixels of all pictures together`
  }]
}

// The limits of single fields; a field of a wrong type is no matter of limits.
const exceededEach = (fields: Readonly<Record<string, unknown>>, limits: Limits): ReadonlyArray<Problem> =>
  bounded.flatMap(([path, limit, unit]) => {
    const field = fields[path]
    const value = typeof field === "string" && unit === " bytes" ? utf8.encode(field).length : field
    return typeof value === "number" && value > limits[limit]
      ? [{ path, message: `${value} is over the limit of ${limits[limit]}${unit}` }]
      : []
  })

const bounded = [
  ["prompt", "max_prompt_bytes", " bytes"],
  ["negative_prompt", "max_prompt_bytes", " bytes"],
  ["steps", "max_steps", ""],
  ["width", "max_width", " pixels"],
  ["height", "max_height", " pixels"],
  ["batch_size", "max_batch_size", ""],
  ["n_iter", "max_n_iter", ""]
] as const

/** Fails with `InvalidProcessing` when `processing` asks for more than `limits` allows. */
export const checkLimits = Effect.fnUntraced(function*(processing: Processing, limits: Limits) {
  const problems = exceeded(processing, limits)
  return problems.length === 0 ? processing : yield* new InvalidProcessing({ problems })
})

/**
 * Any JSON value as a `Processing`: missing fields and nulls take their defaults, unknown fields are passed over.
 *
 * Fails with `InvalidProcessing`, every problem named with its path, before any memory is taken for the request.
 */
export const decode = Effect.fn("Processing.decode")(function*(input: unknown, limits: Limits = Limits.make({})) {
  const processing = yield* decodeJson(input).pipe(
    Effect.mapError(({ issue }) => {
      const problems = problemsOf(issue)
      const beyond = Predicate.isObject(input) ? exceededEach(input, limits) : []
      return new InvalidProcessing({
        problems: [...problems, ...beyond.filter(({ path }) => !problems.some((problem) => problem.path === path))]
      })
    })
  )
  return yield* checkLimits(processing, limits)
})
