/**
 * Options that are fixed when the process starts: folders, device, memory, limits.
 *
 * The command line sets them by flags, a program by the options of `Serena.layer`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { field } from "../core/Field.ts"
import { type Problem, problemsOf, unknownNames } from "../core/Problem.ts"
import { withDefault } from "../core/Schemas.ts"
import type * as FieldTypes from "./FieldTypes.ts"
import { InvalidOptions } from "./InvalidOptions.ts"
import { Limits } from "./Limits.ts"

const atLeastZero = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The options except the limits. */
export const ProcessOptions = Schema.Struct({
  modelsDir: Schema.optional(Schema.Union([Schema.NonEmptyString, Schema.Array(Schema.NonEmptyString)])).pipe(
    field({
      title: "Models folders",
      description: "Folder of models, LoRAs, VAEs, upscalers, in the layout of any program; or several of them.",
      group: "Process",
      flag: "models-dir",
      value: "folders",
      otherwise: "./models and models in the data folder"
    })
  ),
  dataDir: Schema.optional(Schema.NonEmptyString).pipe(
    field({
      title: "Data folder",
      description: "Folder for what is kept: the server's settings, hashes of files, models.",
      group: "Process",
      flag: "data-dir",
      value: "folder",
      otherwise: "none"
    })
  ),
  device: withDefault(Schema.Literals(["cpu", "cuda", "dml", "coreml", "webgpu"]), "cpu").pipe(
    field({
      title: "Device",
      description: "Where the networks run: an execution provider of onnxruntime (cpu, cuda, dml, coreml or webgpu).",
      group: "Process",
      flag: "device",
      value: "name"
    })
  ),
  threads: withDefault(atLeastZero, 0).pipe(
    field({
      title: "Threads",
      description: "Threads of one network call; 0 lets onnxruntime decide.",
      group: "Process",
      flag: "threads",
      value: "integer"
    })
  ),
  maxModels: withDefault(atLeastZero, 2).pipe(
    field({
      title: "Idle models",
      description: "Most idle models that stay in memory; the least recently used goes first.",
      group: "Process",
      flag: "max-models",
      value: "integer"
    })
  ),
  lowvram: withDefault(Schema.Boolean, false).pipe(
    field({
      title: "Low memory",
      description: "Whether only one network at a time stays in memory: slower, and smaller.",
      group: "Process",
      flag: "lowvram",
      value: "switch"
    })
  ),
  maxMemory: withDefault(atLeastZero, 0).pipe(
    field({
      title: "Most memory",
      description: "Most memory that the process may hold; a request that needs more is refused. 0 for what there is.",
      group: "Process",
      unit: "MiB",
      flag: "max-memory",
      value: "integer"
    })
  ),
  stylesFile: withDefault(Schema.NonEmptyString, "styles.csv").pipe(
    field({
      title: "Styles file",
      description: "CSV file of styles, with columns name, prompt and negative_prompt.",
      group: "Process",
      flag: "styles-file",
      value: "file"
    })
  ),
  wildcardsDir: withDefault(Schema.NonEmptyString, "wildcards").pipe(
    field({
      title: "Wildcards folder",
      description: "Folder of wildcards: text files whose lines dynamic prompts draw from.",
      group: "Process",
      flag: "wildcards-dir",
      value: "folder"
    })
  )
}).annotate({ identifier: "ProcessOptions" })
export interface ProcessOptions extends FieldTypes.ProcessOptions {}

/** Some of the options; the others have their defaults. */
export interface CommandOptionsPatch extends FieldTypes.ProcessOptionsPatch {
  /** How much one request may ask for. */
  readonly limits?: Limits
}

const decodeGiven = Schema.decodeUnknownEffect(
  ProcessOptions.mapFields((fields) => ({ ...fields, limits: Schema.optional(Limits) })),
  { errors: "all" }
)

const names = [...Object.keys(ProcessOptions.fields), "limits"]

const unknownOptions = (options: unknown): ReadonlyArray<Problem> => {
  if (!Predicate.isObject(options)) return []
  const limits: unknown = Reflect.get(options, "limits")
  return [
    ...unknownNames(options, { what: "option", known: names, within: "cmdOpts." }),
    ...(Predicate.isObject(limits)
      ? unknownNames(limits, { what: "limit", known: Object.keys(Limits.fields), within: "cmdOpts.limits." })
      : [])
  ]
}

export class CommandOptions extends Context.Service<CommandOptions, ProcessOptions & { readonly limits: Limits }>()(
  "serena/processing/CommandOptions"
) {
  static readonly defaults: CommandOptions["Service"] = Object.freeze({
    modelsDir: undefined,
    dataDir: undefined,
    ...ProcessOptions.make({}),
    limits: Object.freeze(Limits.make({}))
  })

  /** Validates options that a program gives. Fails with every problem named. */
  static readonly check = Effect.fnUntraced(function*(options: unknown): Effect.fn.Return<void, InvalidOptions> {
    const wrong = yield* Effect.match(decodeGiven(options), {
      onFailure: ({ issue }) => problemsOf(issue),
      onSuccess: () => []
    })
    const problems = [
      ...wrong.map(({ message, path }) => ({ path: `cmdOpts.${path}`, message })),
      ...unknownOptions(options)
    ]
    if (problems.length > 0) return yield* new InvalidOptions({ problems })
  })

  static readonly layer = (options: CommandOptionsPatch = {}): Layer.Layer<CommandOptions> =>
    Layer.succeed(
      CommandOptions,
      Object.freeze({
        ...CommandOptions.defaults,
        ...options,
        limits: Object.freeze({ ...CommandOptions.defaults.limits, ...options.limits })
      })
    )
}
