/**
 * The flags of the process: models, folders, device, memory, limits, telemetry. Every command that runs a model takes
 * them.
 */
import type * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { field } from "../core/Field.ts"
import { type Problem, problemsOf } from "../core/Problem.ts"
import * as devices from "../models/devices.ts"
import { type CommandOptions, ProcessOptions } from "../processing/CommandOptions.ts"
import { Limits } from "../processing/Limits.ts"
import { Options } from "../processing/Options.ts"
import { type OptionsPatch, OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import {
  type FlagField,
  flagFieldOf,
  type FlagTable,
  folder,
  folders,
  notNumbers,
  tableOf,
  toFlags,
  type Written,
  written
} from "./Flags.ts"
import { asChoices, asRanges } from "./ranges.ts"

/** Fields that only the command line has. */
const CommandLine = Schema.Struct({
  outdir: Schema.optionalKey(Schema.NonEmptyString).pipe(
    field({
      title: "Output folder",
      description: "Folder for images, with a subfolder per day.",
      group: "Process",
      flag: "outdir",
      value: "folder",
      otherwise: "outputs"
    })
  ),
  otlp_endpoint: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((text) =>
        /^https?:$/.test(URL.parse(text)?.protocol ?? "") || "it is not a URL such as http://localhost:4318"
      )
    )
  ).pipe(
    field({
      title: "OTLP endpoint",
      description: "OpenTelemetry collector that receives traces and metrics.",
      group: "Process",
      flag: "otlp-endpoint",
      value: "url",
      otherwise: "OTEL_EXPORTER_OTLP_ENDPOINT"
    })
  ),
  sd_model_checkpoint: Schema.optionalKey(OptionsSnapshot.fields.sd_model_checkpoint),
  unet_precision: Schema.optionalKey(OptionsSnapshot.fields.unet_precision)
})

const modelsDirField: FlagField = {
  ...flagFieldOf(ProcessOptions, "modelsDir"),
  shownDefault: "SERENA_MODELS_DIR, or else ./models and models in the data folder"
}

const dataDirField: FlagField = {
  ...flagFieldOf(ProcessOptions, "dataDir"),
  shownDefault: "SERENA_DATA_DIR, or else the user's data folder"
}

const processTable: FlagTable = {
  ...tableOf(
    OptionsSnapshot.mapFields(({ sd_model_checkpoint, unet_precision }) => ({ sd_model_checkpoint, unet_precision })),
    { unet_precision: Options.defaults.unet_precision }
  ),
  ...tableOf(ProcessOptions, ProcessOptions.make({})),
  modelsDir: modelsDirField,
  dataDir: dataDirField,
  ...tableOf(CommandLine, {}, ["sd_model_checkpoint", "unet_precision"])
}
const limitsTable = tableOf(Limits, Limits.make({}))

/** All of them, by field name. */
export const table: FlagTable = { ...processTable, ...limitsTable }

/** The models folders and the data folder of a command that takes no other flags of the process. */
export interface Places {
  readonly modelsDir: Option.Option<ReadonlyArray<string>>
  readonly dataDir: Option.Option<string>
}

/** `--models-dir` and `--data-dir` alone. */
export const places = { modelsDir: folders(modelsDirField), dataDir: folder(dataDirField) }

const machineTable: FlagTable = Object.fromEntries(
  ["device", "threads", "maxMemory"].flatMap((name) => {
    const field = processTable[name]
    return field === undefined ? [] : [[name, field]]
  })
)

/** `--device`, `--threads` and `--max-memory` alone. */
export const machine = toFlags(machineTable)

/** Decodes them. Fails with every problem, by field name. That the device is not on this machine is none. */
export const decodeMachine = Effect.fnUntraced(function*(
  given: Written
): Effect.fn.Return<Pick<ProcessOptions, "device" | "maxMemory" | "threads">, ReadonlyArray<Problem>> {
  const decoded = yield* problemsFrom(decodeProcess(inLowerCase(written(given, machineTable), "device")))
  const problems = [...notNumbers(given, machineTable), ...(Result.isFailure(decoded) ? decoded.failure : [])]
  return Result.isFailure(decoded) || problems.length > 0 ? yield* Effect.fail(problems) : decoded.success
})

/** The flags, for a command's configuration. */
export const config = {
  process: toFlags(processTable),
  limits: toFlags(limitsTable)
} satisfies Command.Command.Config

/** Without those that only set settings: a worker makes its runs with the settings that they came with. */
export const workerConfig = {
  process: toFlags(Object.fromEntries(
    Object.entries(processTable).filter(([name]) => !["outdir", "sd_model_checkpoint", "unet_precision"].includes(name))
  )),
  limits: toFlags(limitsTable)
} satisfies Command.Command.Config

/** `--json`, with its description for a command. */
export const json = (description: string) =>
  Flag.Boolean("json").pipe(Flag.withoutNegation, Flag.withDescription(description), Flag.withDefault(false))

/** `--log-json`. */
export const logJson = Flag.Boolean("log-json").pipe(
  Flag.withoutNegation,
  Flag.withDescription("Write the log as lines of JSON (default: off)"),
  Flag.withDefault(false)
)

/** `--quiet`. */
export const quiet = Flag.Boolean("quiet").pipe(
  Flag.withAlias("q"),
  Flag.withoutNegation,
  Flag.withDescription("Print no progress and no warnings"),
  Flag.withDefault(false)
)

export interface Input {
  readonly process: Written
  readonly limits: Written
}

/** The setup of the process by its flags. */
export interface Setup {
  readonly cmdOpts: Partial<CommandOptions["Service"]> & { readonly limits: Limits }
  /** Settings that flags set for the whole process. */
  readonly options: OptionsPatch
  readonly otlpEndpoint: string | undefined
}

const decodeProcess = Schema.decodeUnknownEffect(ProcessOptions, { errors: "all" })
const decodeCommandLine = Schema.decodeUnknownEffect(CommandLine, { errors: "all" })
const decodeLimits = Schema.decodeUnknownEffect(Limits, { errors: "all" })

/**
 * Decodes the flags. Fails with every problem, by field name: `byFlag(table)` names the flags. `keeps` is whether the
 * command needs a data folder that can be written.
 */
export const decode = Effect.fnUntraced(
  function*({ limits, process }: Input, { keeps = false }: { readonly keeps?: boolean } = {}): Effect.fn.Return<
    Setup,
    ReadonlyArray<Problem>,
    FileSystem.FileSystem | Path.Path
  > {
    const values = inLowerCase(written(process, processTable), "device")
    const processOptions = yield* problemsFrom(decodeProcess(values))
    const commandLine = yield* problemsFrom(decodeCommandLine(values))
    const taken = yield* problemsFrom(decodeLimits(written(limits, limitsTable)))
    const found = Result.isFailure(processOptions)
      ? Result.succeed({ modelsDir: undefined, dataDir: undefined })
      : yield* Effect.result(findPlaces(processOptions.success, keeps))
    const problems = [
      ...notNumbers(process, processTable),
      ...notNumbers(limits, limitsTable),
      ...(Result.isFailure(processOptions) ? processOptions.failure : deviceProblems(processOptions.success)),
      ...(Result.isFailure(found) ? found.failure : []),
      ...(Result.isFailure(commandLine) ? commandLine.failure : []),
      ...(Result.isFailure(taken) ? taken.failure : [])
    ]
    if (
      Result.isFailure(processOptions) || Result.isFailure(found) || Result.isFailure(commandLine) ||
      Result.isFailure(taken) || problems.length > 0
    ) {
      const given = { ...values, ...written(limits, limitsTable) }
      const valueOf = (path: string): unknown => Reflect.get(given, path)
      return yield* Effect.fail(asChoices(asRanges(problems, valueOf), valueOf))
    }
    const { otlp_endpoint, outdir, sd_model_checkpoint, unet_precision } = commandLine.success
    return {
      cmdOpts: { ...processOptions.success, ...found.success, limits: taken.success },
      options: {
        ...(sd_model_checkpoint !== undefined && { sd_model_checkpoint }),
        ...(unet_precision !== undefined && { unet_precision }),
        ...(outdir !== undefined && foldersIn(outdir))
      },
      otlpEndpoint: otlp_endpoint
    }
  }
)

const inLowerCase = <A extends Readonly<Record<string, unknown>>>(values: A, name: string): A =>
  typeof values[name] === "string" ? { ...values, [name]: values[name].toLowerCase() } : values

const deviceProblems = ({ device }: ProcessOptions): ReadonlyArray<Problem> => {
  const message = devices.problemOf(device)
  return message === undefined ? [] : [{ path: "device", message }]
}

/** The models folders and the data folder: from flags, the environment, or the usual ones. */
export const findPlaces = Effect.fnUntraced(
  function*({ dataDir, modelsDir }: Pick<ProcessOptions, "dataDir" | "modelsDir">, keeps = false) {
    const { namedModelsDirs } = yield* Effect.promise(() => import("./modelsDir.ts"))
    const { dataDirOf, findDataDir } = yield* Effect.promise(() => import("./dataDir.ts"))
    const named = yield* Effect.result(namedModelsDirs([modelsDir ?? []].flat()))
    const data = yield* Effect.result(keeps ? findDataDir(dataDir) : dataDirOf(dataDir))
    if (Result.isFailure(named)) return yield* Effect.fail(named.failure)
    if (Result.isFailure(data)) return yield* Effect.fail(data.failure)
    return { modelsDir: named.success, dataDir: data.success }
  }
)

const problemsFrom = <A>(effect: Effect.Effect<A, Schema.SchemaError>) =>
  Effect.result(Effect.mapError(effect, ({ issue }) => problemsOf(issue)))

// All images of a process go to one folder.
const foldersIn = (folder: string): OptionsPatch => ({
  outdir_txt2img_samples: folder,
  outdir_img2img_samples: folder,
  outdir_txt2img_grids: folder,
  outdir_img2img_grids: folder
})
