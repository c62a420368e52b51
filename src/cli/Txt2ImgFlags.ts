/**
 * The flags of a txt2img run, and what they mean.
 *
 * Types, bounds and defaults are those of the schemas. A flag carries its text as it was written, and one that was left
 * out is not there at all, so a single decoding finds every problem, and each is named by its flag.
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { InvalidProcessing, type Problem, problemsOf } from "../processing/errors.ts"
import * as InfotextRequest from "../processing/InfotextRequest.ts"
import { Limits } from "../processing/Limits.ts"
import { Options } from "../processing/Options.ts"
import { decode as decodeProcessing, type Processing, Txt2Img } from "../processing/Processing.ts"

interface Description {
  readonly flag: string
  readonly value: "text" | "name" | "folder" | "url" | "integer" | "number"
  readonly about: string
  /** What holds without the flag. */
  readonly otherwise: string | number
}

const image = Txt2Img.make({})

/** One flag for each field of the request. */
const request = {
  prompt: { flag: "prompt", value: "text", about: "What to show; the flag's name may be left out", otherwise: "empty" },
  negative_prompt: { flag: "negative-prompt", value: "text", about: "What to keep away from", otherwise: "empty" },
  steps: { flag: "steps", value: "integer", about: "Sampling steps", otherwise: image.steps },
  sampler_name: {
    flag: "sampler",
    value: "name",
    about: "Sampler; list them with \"serena samplers\"",
    otherwise: image.sampler_name
  },
  scheduler: {
    flag: "scheduler",
    value: "name",
    about: "Noise schedule; listed there too",
    otherwise: image.scheduler
  },
  cfg_scale: {
    flag: "cfg-scale",
    value: "number",
    about: "How strictly the prompt is followed; 1 for no guidance",
    otherwise: image.cfg_scale
  },
  seed: {
    flag: "seed",
    value: "integer",
    about: "Seed of the first picture; -1 for a random one",
    otherwise: image.seed
  },
  width: { flag: "width", value: "integer", about: "Width in pixels", otherwise: "the model's own" },
  height: { flag: "height", value: "integer", about: "Height in pixels", otherwise: "the model's own" },
  batch_size: { flag: "batch-size", value: "integer", about: "Pictures sampled at once", otherwise: image.batch_size },
  n_iter: { flag: "n-iter", value: "integer", about: "Batches, one after the other", otherwise: image.n_iter }
} satisfies Record<Exclude<keyof Txt2Img, "_tag" | "override_settings">, Description>

/** The folder of models, for every command that looks there. */
const modelsDirDescription: Description = {
  flag: "models-dir",
  value: "folder",
  about: "Folder that holds model folders, searched before the embedded model",
  otherwise: "none"
}

/** How the process is set up. */
const setup = {
  model: { flag: "model", value: "name", about: "Model; list them with \"serena models\"", otherwise: "the first one" },
  models_dir: modelsDirDescription,
  outdir: {
    flag: "outdir",
    value: "folder",
    about: "Where pictures are kept, in a folder for each day",
    otherwise: Options.defaults.outdir_txt2img_samples
  },
  device: {
    flag: "device",
    value: "name",
    about: "Where networks run: cpu, cuda, dml, coreml or webgpu",
    otherwise: CommandOptions.defaults.device
  },
  threads: {
    flag: "threads",
    value: "integer",
    about: "Threads for one network call; 0 for as many as suit it",
    otherwise: CommandOptions.defaults.threads
  },
  otlp_endpoint: {
    flag: "otlp-endpoint",
    value: "url",
    about: "OpenTelemetry collector that is sent a trace of the run, and metrics",
    otherwise: "OTEL_EXPORTER_OTLP_ENDPOINT"
  }
} satisfies Record<keyof Setup, Description>

const maximum = CommandOptions.defaults.limits

const limits = {
  max_width: { flag: "max-width", value: "integer", about: "Largest width taken", otherwise: maximum.max_width },
  max_height: { flag: "max-height", value: "integer", about: "Largest height taken", otherwise: maximum.max_height },
  max_batch_size: {
    flag: "max-batch-size",
    value: "integer",
    about: "Largest batch taken",
    otherwise: maximum.max_batch_size
  },
  max_n_iter: { flag: "max-n-iter", value: "integer", about: "Most batches taken", otherwise: maximum.max_n_iter },
  max_total_pixels: {
    flag: "max-total-pixels",
    value: "integer",
    about: "Most pixels of all pictures together",
    otherwise: maximum.max_total_pixels
  },
  max_steps: { flag: "max-steps", value: "integer", about: "Most steps taken", otherwise: maximum.max_steps },
  max_prompt_bytes: {
    flag: "max-prompt-bytes",
    value: "integer",
    about: "Longest prompt taken",
    otherwise: maximum.max_prompt_bytes
  }
} satisfies Record<keyof Limits, Description>

const toFlag = ({ about, flag, otherwise, value }: Description): Flag.Flag<Option.Option<string>> =>
  (value === "folder" ? Flag.Directory(flag) : Flag.String(flag)).pipe(
    Flag.withMetavar(`<${value}>`),
    Flag.withDescription(`${about} (default: ${otherwise})`),
    Flag.optional
  )

/** `--models-dir` by itself. */
export const modelsDir = toFlag(modelsDirDescription)

/** `--json`, with what it does here. */
export const json = (about: string) =>
  Flag.Boolean("json").pipe(Flag.withoutNegation, Flag.withDescription(about), Flag.withDefault(false))

/** What a txt2img command takes. */
export const config = {
  words: Argument.String("prompt").pipe(Argument.withDescription("What to show"), Argument.optional),
  request: Record.map(request, toFlag),
  from: Flag.File("from").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription("Picture whose infotext says what the flags above leave out (default: none)"),
    Flag.optional
  ),
  setup: Record.map(setup, toFlag),
  json: json("Print one line of JSON for each picture instead of its path"),
  quiet: Flag.Boolean("quiet").pipe(
    Flag.withAlias("q"),
    Flag.withoutNegation,
    Flag.withDescription("Print no progress and no warnings"),
    Flag.withDefault(false)
  ),
  limits: Record.map(limits, toFlag)
} satisfies Command.Command.Config

export type Input = Command.Command.Config.Infer<typeof config>

const Setup = Schema.Struct({
  model: Schema.optionalKey(Schema.String),
  models_dir: Schema.optionalKey(Schema.String),
  outdir: Schema.optionalKey(Schema.String),
  device: Schema.optionalKey(Schema.Literals(["cpu", "cuda", "dml", "coreml", "webgpu"])),
  threads: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  otlp_endpoint: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((text) =>
        /^https?:$/.test(URL.parse(text)?.protocol ?? "") || "it is not a URL such as http://localhost:4318"
      )
    )
  )
})
export type Setup = typeof Setup.Type

const decodeSetup = Schema.decodeUnknownEffect(Setup, { errors: "all" })
const decodeLimits = Schema.decodeUnknownEffect(Limits, { errors: "all" })

/** What holds where no flag was written. */
export interface Below {
  readonly defaults?: Partial<Processing> | undefined
  /** Of the picture that `--from` names; takes the place of the defaults. */
  readonly infotext?: string | undefined
}

/**
 * What the flags say, over an infotext or else over `defaults`: what to make, and how the process is set up for it.
 *
 * Fails with `InvalidProcessing` that names every flag whose value cannot be used, whoever gave it.
 */
export const decode = Effect.fn("Txt2ImgFlags.decode")(function*(input: Input, below: Below = {}) {
  const words = Option.isSome(input.words) ? { prompt: input.words.value } : {}
  const asked = { ...words, ...written(input.request) }
  const setup = yield* Effect.result(Effect.mapError(decodeSetup(written(input.setup)), problemsIn))
  const limits = yield* Effect.result(Effect.mapError(decodeLimits(written(input.limits)), problemsIn))
  const processing = yield* decodeRequest(asked, below, Result.getOrUndefined(limits)).pipe(
    Effect.mapError(({ problems }) => problems),
    Effect.result
  )
  const failures = [
    ...(Option.isSome(input.words) && Option.isSome(input.request.prompt)
      ? [{ path: "prompt", message: "it is given twice, with the flag and without" }]
      : []),
    ...[input.request, input.setup, input.limits].flatMap(notNumbers),
    ...failed(processing),
    ...failed(setup),
    ...failed(limits)
  ]
  if (Result.isFailure(processing) || Result.isFailure(setup) || Result.isFailure(limits) || failures.length > 0) {
    return yield* new InvalidProcessing({ problems: failures.map(named) })
  }
  return { processing: processing.success, setup: setup.success, limits: limits.success }
})

const decodeRequest = (
  asked: Readonly<Record<string, unknown>>,
  { defaults, infotext }: Below,
  limits: Limits | undefined
) =>
  infotext === undefined
    ? decodeProcessing({ ...defaults, ...asked }, limits)
    : InfotextRequest.fromInfotext(infotext, asked, { opts: Options.defaults, limits })

const descriptions: Readonly<Record<string, Description>> = { ...request, ...setup, ...limits }

const failed = <A>(part: Result.Result<A, ReadonlyArray<Problem>>): ReadonlyArray<Problem> =>
  Result.isFailure(part) ? part.failure : []

const problemsIn = ({ issue }: Schema.SchemaError): ReadonlyArray<Problem> => problemsOf(issue)

/** A problem of a request, by the flag that is to be corrected. */
export const named = ({ message, path }: Problem): Problem => {
  // No flag is for settings: those there are come from a picture.
  if (path.startsWith(settingsPath)) {
    return { path: "--from", message: `${path.slice(settingsPath.length)}: ${message}` }
  }
  const description = descriptions[path]
  return { path: description === undefined ? path : `--${description.flag}`, message }
}

const settingsPath = "override_settings."

type Flags = Readonly<Record<string, Option.Option<string>>>

const isNumeric = (field: string): boolean =>
  descriptions[field]?.value === "integer" || descriptions[field]?.value === "number"

const toNumber = (text: string): number => text.trim() === "" ? NaN : Number(text)

// What the flags that were written say. Those that should be numbers and are not are left to `notNumbers`.
const written = (flags: Flags): Readonly<Record<string, string | number>> =>
  Record.filterMap(flags, (text, field): Result.Result<string | number, void> => {
    if (Option.isNone(text)) return Result.failVoid
    if (!isNumeric(field)) return Result.succeed(text.value)
    const number = toNumber(text.value)
    return Number.isFinite(number) ? Result.succeed(number) : Result.failVoid
  })

const notNumbers = (flags: Flags): ReadonlyArray<Problem> =>
  Object.entries(flags).flatMap(([path, text]) =>
    isNumeric(path) && Option.isSome(text) && !Number.isFinite(toNumber(text.value))
      ? [{ path, message: `${JSON.stringify(text.value)} is not a number` }]
      : []
  )
