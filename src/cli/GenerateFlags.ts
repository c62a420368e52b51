/**
 * The flags of the commands that generate images.
 *
 * They are derived from the fields of a request. A single decoding finds every problem, and each is named by its flag.
 */
import * as Argument from "effect/cli/Argument"
import type * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { choicesOf, type Described } from "../core/Field.ts"
import type { Problem } from "../core/Problem.ts"
import { type CommandOptionsPatch, ProcessOptions } from "../processing/CommandOptions.ts"
import * as InfotextRequest from "../processing/InfotextRequest.ts"
import type { IsKnown } from "../processing/InfotextWarnings.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { Limits } from "../processing/Limits.ts"
import { Options } from "../processing/Options.ts"
import { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import { decode as decodeProcessing, Img2Img, limitOf, type Processing, Txt2Img } from "../processing/Processing.ts"
import type { RemoteOptions } from "../remote/RemoteServer.ts"
import type { Present } from "../runner/presentNetworks.ts"
import { readUnits } from "./controlUnits.ts"
import { readFile } from "./files.ts"
import { byFlag, flagFieldOf, type FlagTable, notNumbers, tableOf, toFlag, toFlags, written } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { asChoices, asRanges } from "./ranges.ts"
import { settingsOf } from "./settings.ts"

/** Fields with a flag, in the order of help. Files have flags of their own. */
export const tables = {
  txt2img: tableOf(Txt2Img, Txt2Img.make({})),
  img2img: tableOf(Img2Img, Img2Img.make({ init_images: [new Uint8Array()] }), ["init_images", "mask"])
} satisfies Record<string, FlagTable>

const format = flagFieldOf(OptionsSnapshot, "samples_format", Options.defaults)
const precision = flagFieldOf(OptionsSnapshot, "unet_precision", Options.defaults)
const initImages = flagFieldOf(Img2Img, "init_images")
const mask = flagFieldOf(Img2Img, "mask")
const { flag: controlFlag } = flagFieldOf(Txt2Img, "control_units", Txt2Img.make({}))

// Schemas whose fields have flags, with the flags.
const described: ReadonlyArray<readonly [struct: Described, table: FlagTable]> = [
  [Txt2Img, tables.txt2img],
  [Img2Img, tables.img2img],
  [ProcessOptions, ProcessFlags.table],
  [OptionsSnapshot, { samples_format: format, unet_precision: precision }]
]

/** The values of the flags that take one of a few, by flag. */
export const choicesByFlag: Readonly<Record<string, ReadonlyArray<string>>> = Object.fromEntries(
  described.flatMap(([struct, table]) =>
    Object.entries(table).flatMap(([name, { flag }]) => {
      const choices = choicesOf(struct, name)
      return choices.length < 2 ? [] : [[flag, choices]]
    })
  )
)

/** The flags that take a file. */
export const filesByFlag: ReadonlySet<string> = new Set([
  "from",
  "out",
  initImages.flag,
  mask.flag,
  ...Object.values(ProcessFlags.table).flatMap(({ flag, value }) => value === "file" ? [flag] : [])
])

const words = Argument.String("prompt").pipe(Argument.withDescription("What the image shows"), Argument.optional)

const file = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar("<file>"), Flag.withDescription(`${description} (default: none)`))

const common = {
  format: toFlag(format),
  set: Flag.String("set").pipe(
    Flag.withMetavar("<name=value>"),
    Flag.withDescription("A setting for this run, such as CLIP_stop_at_last_layers=2; can be repeated (default: none)"),
    Flag.atLeast(0)
  ),
  from: file("from", "Image whose infotext provides everything that the flags above omit").pipe(Flag.optional),
  via: Flag.String("via").pipe(
    Flag.withMetavar("<url>"),
    Flag.withDescription(
      "Server that makes the images, such as http://127.0.0.1:7860; settings and files stay here (default: none)"
    ),
    Flag.optional
  ),
  ...ProcessFlags.config,
  json: ProcessFlags.json("Print one line of JSON for each image instead of its path"),
  quiet: ProcessFlags.quiet
} satisfies Command.Command.Config

/** The configuration of a txt2img command. */
export const txt2img = { words, request: toFlags(tables.txt2img), ...common } satisfies Command.Command.Config

/** The configuration of an img2img command. */
export const img2img = {
  image: Argument.String("image").pipe(Argument.withDescription("File of the init image")),
  words,
  init: file(initImages.flag, "Another init image, for the next image of the batch; can be repeated").pipe(
    Flag.atLeast(0)
  ),
  mask: file(mask.flag, mask.description.replace(/\.$/, "")).pipe(Flag.optional),
  request: toFlags(tables.img2img),
  ...common
} satisfies Command.Command.Config

type Txt2ImgInput = Command.Command.Config.Infer<typeof txt2img>
type Img2ImgInput = Command.Command.Config.Infer<typeof img2img>

/** The parsed command line of either command. */
export interface Input extends Txt2ImgInput {
  readonly image?: Img2ImgInput["image"]
  readonly init?: Img2ImgInput["init"]
  readonly mask?: Img2ImgInput["mask"]
}

/** Values for fields without a given flag. */
export interface Below {
  readonly defaults?: Partial<Processing> | undefined
  /** The image of `--from`; its infotext replaces the defaults. */
  readonly original?: Original | undefined
}

/** An image whose infotext is read. */
export interface Original {
  readonly file: string
  /** Its infotext, by the names that there are in a process with these options. */
  readonly read: (cmdOpts: CommandOptionsPatch) => Effect.Effect<Present & { readonly isKnown: IsKnown }>
}

/** The decoded flags. */
export interface Asked {
  readonly processing: Processing
  readonly setup: ProcessFlags.Setup
  /** The server that makes the images, in place of this process. */
  readonly via: RemoteOptions | undefined
  /** Warnings about what could not be taken from the infotext of `--from`. */
  readonly warnings: ReadonlyArray<string>
  /** A problem of this request, named by the flag to correct. */
  readonly named: (problem: Problem) => Problem
}

/**
 * Decodes the flags, over an infotext or else over `defaults`, to the request and the setup of the process.
 *
 * Fails with `UnusableFile` if an image cannot be read, or with an `InvalidProcessing` that names every flag with an
 * invalid value.
 */
export const decode = Effect.fn("GenerateFlags.decode")(function*(input: Input, below: Below = {}) {
  const table: FlagTable = input.image === undefined ? tables.txt2img : tables.img2img
  const setup = yield* Effect.result(ProcessFlags.decode(input))
  const limits = Result.match(setup, { onFailure: () => Limits.make({}), onSuccess: ({ cmdOpts }) => cmdOpts.limits })
  const set = settingsOf(input.set)
  // A flag counts more than what an infotext says.
  const precision = Result.match(setup, {
    onFailure: () => undefined,
    onSuccess: ({ options }) => options.unet_precision
  })
  const { control_units: controls, ...flags } = written(input.request, table)
  const given = Array.isArray(controls) ? yield* readUnits(controls, limits.max_image_bytes) : undefined
  const asked = {
    ...(input.image !== undefined && (yield* readImages(input, input.image, limits))),
    ...(Option.isSome(input.words) && { prompt: input.words.value }),
    ...flags,
    ...(given !== undefined && { control_units: given.units }),
    override_settings: {
      ...(precision !== undefined && { unet_precision: precision }),
      ...set.settings,
      ...(Option.isSome(input.format) && { samples_format: String(input.format.value).toLowerCase() })
    }
  }
  const original = yield* below.original?.read(
    Result.match(setup, { onFailure: () => ({}), onSuccess: ({ cmdOpts }) => cmdOpts })
  ) ?? Effect.succeed(undefined)
  const processing = yield* Effect.result(decodeRequest(asked, below, original, limits))
  const named = naming(table, {
    settings: asked.override_settings,
    hasFormat: Option.isSome(input.format),
    units: given?.units.length ?? 0
  })
  const problems = [
    ...(Option.isSome(input.words) && Option.isSome(input.request["prompt"] ?? Option.none())
      ? [{ path: "prompt", message: "it is given twice, with and without the flag" }]
      : []),
    ...Object.entries(asked).flatMap(([path, value]) =>
      // Node replaces invalid bytes of arguments by this character.
      typeof value === "string" && value.includes("\uFFFD") ? [{ path, message: "it is not valid UTF-8" }] : []
    ),
    ...notNumbers(input.request, table),
    ...given?.problems ?? [],
    ...(Result.isFailure(processing)
      ? asChoices(asRanges(processing.failure.problems, valueIn(asked), mostOf(limits)), valueIn(asked))
      : []),
    ...(Result.isFailure(setup) ? setup.failure : [])
  ]
  const via = Option.isNone(input.via) ? undefined : serverAt(input.via.value)
  const all = [
    ...set.problems,
    ...problems.map(named),
    ...(via === null
      ? [{ path: "--via", message: "it must be an address such as http://127.0.0.1:7860, with %25 for a percent sign" }]
      : [])
  ]
  if (Result.isFailure(processing) || Result.isFailure(setup) || via === null || all.length > 0) {
    return yield* new InvalidProcessing({ problems: all })
  }
  const decoded: Asked = {
    processing: processing.success.request,
    warnings: [...original?.warnings ?? [], ...processing.success.warnings],
    setup: setup.success,
    via,
    named: ({ message, path }) => {
      const written = processing.success.taken.get(path)
      return named({
        path,
        message: written === undefined ? message : `${message} ${sourceOf(below)} says ${written}.`
      })
    }
  }
  return decoded
})

// A server by its address, which may hold a user and a password; null for what is no address of one.
const serverAt = (text: string): RemoteOptions | null => {
  const url = URL.parse(text)
  if (url === null || !["http:", "https:"].includes(url.protocol)) return null
  const { origin, password, pathname, username } = url
  try {
    const auth = { user: decodeURIComponent(username), password: decodeURIComponent(password) }
    return { url: `${origin}${pathname}`.replace(/\/+$/, ""), ...(username !== "" && { auth }) }
  } catch {
    // A percent sign that stands for nothing.
    return null
  }
}

const readImages = Effect.fnUntraced(
  function*({ init = [], mask = Option.none() }: Input, image: string, { max_image_bytes }: Limits) {
    const read = (path: string) => readFile(path, max_image_bytes)
    return {
      _tag: "Img2Img",
      init_images: yield* Effect.forEach([image, ...init], read),
      ...(Option.isSome(mask) && { mask: yield* read(mask.value) })
    }
  }
)

const decodeRequest = (
  asked: Readonly<Record<string, unknown>>,
  below: Below,
  original: Effect.Success<ReturnType<Original["read"]>> | undefined,
  limits: Limits
): Effect.Effect<InfotextRequest.FromInfotext, InvalidProcessing> => {
  const { defaults } = below
  return original === undefined
    ? Effect.map(
      decodeProcessing({ ...defaults, ...asked }, limits),
      (request) => ({ request, warnings: [], taken: new Map() })
    )
    : InfotextRequest.readInfotext(original.text, asked, {
      opts: Options.defaults,
      limits,
      isKnown: original.isKnown,
      source: sourceOf(below)
    })
}

const valueIn = (asked: { readonly override_settings: object }) => (path: string): unknown => {
  if (path.startsWith(settingsPath)) return Reflect.get(asked.override_settings, path.slice(settingsPath.length))
  let value: unknown = asked
  for (const name of path.split(".")) value = Predicate.isObjectOrArray(value) ? Reflect.get(value, name) : undefined
  return value
}

const mostOf = (limits: Limits) => (path: string): number | undefined => limitOf(path, limits)

const sourceOf = ({ original }: Below): string =>
  original === undefined ? "the infotext" : `the infotext of ${original.file}`

const settingsPath = "override_settings."

interface GivenFlags {
  readonly settings: Readonly<Record<string, unknown>>
  readonly hasFormat: boolean
  /** How many units of ControlNet. */
  readonly units: number
}

// A setting that no flag names comes from the image of `--from`.
const naming = (request: FlagTable, { hasFormat, settings, units }: GivenFlags) => {
  const ofField = byFlag({ ...ProcessFlags.table, ...request, init_images: initImages, mask })
  return (problem: Problem): Problem => {
    const { message, path } = problem
    if (path.startsWith(settingsPath)) {
      const setting = path.slice(settingsPath.length)
      if (setting === "samples_format" && hasFormat) return { path: `--${format.flag}`, message }
      return Object.hasOwn(settings, setting)
        ? { path: "--set", message: `${setting}: ${message}` }
        : { path: "--from", message: `${message}; give another with --set ${setting}=value` }
    }
    const [, unit, part] = /^control_units\.(\d+)(?:\.(\w+))?$/.exec(path) ?? []
    if (unit !== undefined) {
      // Counted as in infotexts.
      const where = [...(units > 1 ? [`ControlNet ${unit}`] : []), ...(part === undefined ? [] : [part])]
      return { path: `--${controlFlag}`, message: [...where, message].join(": ") }
    }
    return path === "init_images.0" ? { path: "image", message } : ofField(problem)
  }
}
