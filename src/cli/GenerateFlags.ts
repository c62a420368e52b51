/**
 * What the commands take that make pictures, and what it means.
 *
 * A single decoding finds every problem, and each is named by its flag.
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Problem, problemsOf } from "../core/Problem.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import * as InfotextRequest from "../processing/InfotextRequest.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { Limits } from "../processing/Limits.ts"
import { Options } from "../processing/Options.ts"
import { decode as decodeProcessing, type Processing } from "../processing/Processing.ts"
import { readFile } from "./files.ts"
import { type Description, type Descriptions, notNumbers, toFlag, type Written, written } from "./Flags.ts"
import * as requestFlags from "./requestFlags.ts"
import { settingsOf } from "./settings.ts"

/** The folder of models, for every command that looks there. */
const modelsDirDescription: Description = {
  flag: "models-dir",
  value: "folder",
  about: "Folder that holds model folders, searched before the embedded model",
  otherwise: "none"
}

const { defaults } = CommandOptions

/** How the process is set up. */
const setup = {
  model: { flag: "model", value: "name", about: "Model; list them with \"serena models\"", otherwise: "the first one" },
  models_dir: modelsDirDescription,
  outdir: {
    flag: "outdir",
    value: "folder",
    about: "Where pictures are kept, in a folder for each day",
    otherwise: "outputs"
  },
  styles_file: {
    flag: "styles-file",
    value: "file",
    about: "Styles: a CSV file with columns name, prompt and negative_prompt",
    otherwise: defaults.stylesFile
  },
  device: {
    flag: "device",
    value: "name",
    about: "Where networks run: cpu, cuda, dml, coreml or webgpu",
    otherwise: defaults.device
  },
  threads: {
    flag: "threads",
    value: "integer",
    about: "Threads for one network call; 0 for as many as suit it",
    otherwise: defaults.threads
  },
  max_models: {
    flag: "max-models",
    value: "integer",
    about: "Most models kept in memory that no run uses",
    otherwise: defaults.maxModels
  },
  lowvram: {
    flag: "lowvram",
    value: "switch",
    about: "Whether only one network at a time is kept in memory",
    otherwise: defaults.lowvram
  },
  otlp_endpoint: {
    flag: "otlp-endpoint",
    value: "url",
    about: "OpenTelemetry collector that is sent a trace of the run, and metrics",
    otherwise: "OTEL_EXPORTER_OTLP_ENDPOINT"
  }
} satisfies Record<keyof Setup, Description>

const maximum = defaults.limits

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
  max_image_bytes: {
    flag: "max-image-bytes",
    value: "integer",
    about: "Largest file of a picture taken",
    otherwise: maximum.max_image_bytes
  },
  max_image_pixels: {
    flag: "max-image-pixels",
    value: "integer",
    about: "Most pixels in it",
    otherwise: maximum.max_image_pixels
  },
  max_prompt_bytes: {
    flag: "max-prompt-bytes",
    value: "integer",
    about: "Longest prompt taken",
    otherwise: maximum.max_prompt_bytes
  }
} satisfies Record<keyof Limits, Description>

/** `--models-dir` by itself. */
export const modelsDir = Flag.Directory(modelsDirDescription.flag).pipe(
  Flag.withMetavar("<folder>"),
  Flag.withDescription(`${modelsDirDescription.about} (default: ${modelsDirDescription.otherwise})`),
  Flag.optional
)

/** `--json`, with what it does here. */
export const json = (about: string) =>
  Flag.Boolean("json").pipe(Flag.withoutNegation, Flag.withDescription(about), Flag.withDefault(false))

const words = Argument.String("prompt").pipe(Argument.withDescription("What to show"), Argument.optional)

const file = (name: string, about: string) =>
  Flag.String(name).pipe(Flag.withMetavar("<file>"), Flag.withDescription(`${about} (default: none)`))

const common = {
  format: Flag.String("format").pipe(
    Flag.withMetavar("<name>"),
    Flag.withDescription("Format of the files: png, jpg or webp (default: png)"),
    Flag.optional
  ),
  set: Flag.String("set").pipe(
    Flag.withMetavar("<name=value>"),
    Flag.withDescription("A setting for this run, such as CLIP_stop_at_last_layers=2; can be repeated (default: none)"),
    Flag.atLeast(0)
  ),
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

/** What a txt2img command takes. */
export const txt2img = {
  words,
  request: Record.map(requestFlags.txt2img, toFlag),
  ...common
} satisfies Command.Command.Config

const { init_images, mask } = requestFlags.pictures

/** What an img2img command takes. */
export const img2img = {
  picture: Argument.String("picture").pipe(Argument.withDescription("Picture to start from, a file")),
  words,
  init: file(init_images.flag, init_images.about).pipe(Flag.atLeast(0)),
  mask: file(mask.flag, mask.about).pipe(Flag.optional),
  request: Record.map(requestFlags.img2img, toFlag),
  ...common
} satisfies Command.Command.Config

type Txt2ImgInput = Command.Command.Config.Infer<typeof txt2img>
type Img2ImgInput = Command.Command.Config.Infer<typeof img2img>

/** What was written for either command. */
export interface Input extends Omit<Txt2ImgInput, "request"> {
  readonly request: Written
  readonly picture?: Img2ImgInput["picture"]
  readonly init?: Img2ImgInput["init"]
  readonly mask?: Img2ImgInput["mask"]
}

const Setup = Schema.Struct({
  model: Schema.optionalKey(Schema.String),
  models_dir: Schema.optionalKey(Schema.String),
  outdir: Schema.optionalKey(Schema.String),
  styles_file: Schema.optionalKey(Schema.NonEmptyString),
  device: Schema.optionalKey(Schema.Literals(["cpu", "cuda", "dml", "coreml", "webgpu"])),
  threads: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  max_models: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  lowvram: Schema.optionalKey(Schema.Boolean),
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

/** What the flags ask for. */
export interface Asked {
  readonly processing: Processing
  readonly setup: Setup
  readonly limits: Limits
  /** A problem of this request, by the flag that is to be corrected. */
  readonly named: (problem: Problem) => Problem
}

/**
 * What the flags say, over an infotext or else over `defaults`: what to make, and how the process is set up for it.
 *
 * Fails with `UnusableFile` when a picture cannot be read, and else with `InvalidProcessing` that names every flag whose
 * value cannot be used, whoever gave it.
 */
export const decode = Effect.fn("GenerateFlags.decode")(function*(input: Input, below: Below = {}) {
  const isImg2Img = input.picture !== undefined
  const descriptions: Descriptions = isImg2Img ? requestFlags.img2img : requestFlags.txt2img
  const setupResult = yield* Effect.result(Effect.mapError(decodeSetup(written(input.setup, setup)), problemsIn))
  const limitsResult = yield* Effect.result(Effect.mapError(decodeLimits(written(input.limits, limits)), problemsIn))
  const taken = Result.getOrElse(limitsResult, () => maximum)
  const set = settingsOf(input.set)
  const format = Option.isSome(input.format) ? { samples_format: input.format.value } : {}
  const asked = {
    ...(isImg2Img && (yield* readPictures(input, taken))),
    ...(Option.isSome(input.words) && { prompt: input.words.value }),
    ...written(input.request, descriptions),
    override_settings: { ...set.settings, ...format }
  }
  const processing = yield* decodeRequest(asked, below, taken).pipe(
    Effect.mapError(({ problems }) => problems),
    Effect.result
  )
  const name = naming(descriptions, asked.override_settings, Option.isSome(input.format))
  const problems = [
    ...(Option.isSome(input.words) && Option.isSome(input.request["prompt"] ?? Option.none())
      ? [{ path: "prompt", message: "it is given twice, with the flag and without" }]
      : []),
    ...notNumbers(input.request, descriptions),
    ...notNumbers(input.setup, setup),
    ...notNumbers(input.limits, limits),
    ...failed(processing),
    ...failed(setupResult),
    ...failed(limitsResult)
  ]
  const all = [...set.problems, ...problems.map(name)]
  if (
    Result.isFailure(processing) || Result.isFailure(setupResult) || Result.isFailure(limitsResult) || all.length > 0
  ) {
    return yield* new InvalidProcessing({ problems: all })
  }
  const decoded: Asked = {
    processing: processing.success,
    setup: setupResult.success,
    limits: limitsResult.success,
    named: name
  }
  return decoded
})

// Pictures as a request has them in JSON.
const readPictures = Effect.fnUntraced(
  function*({ init = [], mask = Option.none(), picture = "" }: Input, taken: Limits) {
    const read = (path: string) =>
      Effect.map(readFile(path, taken.max_image_bytes), (bytes) => Buffer.from(bytes).toString("base64"))
    return {
      _tag: "Img2Img",
      init_images: yield* Effect.forEach([picture, ...init], read),
      ...(Option.isSome(mask) && { mask: yield* read(mask.value) })
    }
  }
)

const decodeRequest = (
  asked: Readonly<Record<string, unknown>>,
  { defaults, infotext }: Below,
  limits: Limits
) =>
  infotext === undefined
    ? decodeProcessing({ ...defaults, ...asked }, limits)
    : InfotextRequest.fromInfotext(infotext, asked, { opts: Options.defaults, limits })

const failed = <A>(part: Result.Result<A, ReadonlyArray<Problem>>): ReadonlyArray<Problem> =>
  Result.isFailure(part) ? part.failure : []

const problemsIn = ({ issue }: Schema.SchemaError): ReadonlyArray<Problem> => problemsOf(issue)

const settingsPath = "override_settings."

// A setting that no flag names comes from the picture of `--from`.
const naming =
  (request: Descriptions, settings: Readonly<Record<string, unknown>>, hasFormat: boolean) =>
  ({ message, path }: Problem): Problem => {
    if (path.startsWith(settingsPath)) {
      const setting = path.slice(settingsPath.length)
      if (setting === "samples_format" && hasFormat) return { path: "--format", message }
      return { path: Object.hasOwn(settings, setting) ? "--set" : "--from", message: `${setting}: ${message}` }
    }
    if (path === "init_images.0") return { path: "picture", message }
    const descriptions: Descriptions = { ...request, ...requestFlags.pictures, ...setup, ...limits }
    const description = descriptions[path] ?? descriptions[path.split(".")[0] ?? ""]
    return { path: description === undefined ? path : `--${description.flag}`, message }
  }
