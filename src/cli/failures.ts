/**
 * The failures of commands: their exit codes, and their messages on standard error.
 */
import * as Cause from "effect/Cause"
import type * as CliError from "effect/cli/CliError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import { nearest } from "../core/Text.ts"
import type { PullError } from "../models/hub/PullError.ts"
import type { ProcessingError } from "../runner/ProcessingError.ts"
import type { BlobError } from "../runs/BlobStore.ts"
import type { RunStoreError } from "../runs/RunStore.ts"

/** A file on the command line that cannot be used. */
export class UnusableFile extends Schema.TaggedError<UnusableFile>()("UnusableFile", {
  file: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.file}: ${this.reason}`
  }
}

/** A machine on which Serena does not work as it is asked to. */
export class UnfitMachine extends Schema.TaggedError<UnfitMachine>()("UnfitMachine", { problems: Schema.Int }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return this.problems === 1 ? "There is 1 problem." : `There are ${this.problems} problems.`
  }
}

/** What a command asked of kept runs cannot be done. */
export class RunsCommandError extends Schema.TaggedError<RunsCommandError>()("RunsCommandError", {
  message: Schema.String
}) {
  static {
    readableError(this)
  }
}

/** A run that a signal ended early. */
export class Stopped extends Schema.TaggedError<Stopped>()("Stopped", {
  signal: Schema.Literals(["SIGINT", "SIGTERM"]),
  message: Schema.String
}) {
  static {
    readableError(this)
  }
}

/** Every way in which a command can fail. */
export type CommandError =
  | BlobError
  | CliError.CliError
  | ProcessingError
  | PullError
  | RunsCommandError
  | RunStoreError
  | Stopped
  | UnfitMachine
  | UnusableFile

/** Exit codes: 1 for a failure, 2 for bad usage, 128 plus the signal's number for a stop. */
export const exitCode = (error: CommandError): number => {
  switch (error._tag) {
    case "InvalidProcessing":
    case "InvalidOptions":
    case "UnknownSampler":
    case "UnknownScheduler":
    case "UnknownUpscaler":
      return 2
    case "ShowHelp":
      return error.errors.length === 0 ? 0 : 2
    case "Stopped":
      return error.signal === "SIGINT" ? 130 : 143
    default:
      return 1
  }
}

/** Prints an error. Help and usage errors have been printed before. */
export const report = (error: CommandError): Effect.Effect<void> =>
  error._tag === "ShowHelp" || error.message === "" ? Effect.void : Console.error(error.message)

/** Flags of other programs, and Serena's flags for the same purpose. */
const otherNames: Readonly<Record<string, ReadonlyArray<string>>> = {
  "api": ["listen"],
  "aspect-ratio": ["width", "height"],
  "auth": ["api-auth"],
  "batch-count": ["n-iter"],
  "checkpoint": ["model"],
  "ckpt": ["model"],
  "ckpt-dir": ["models-dir"],
  "count": ["n-iter"],
  "debug": ["log-level"],
  "denoise": ["denoising-strength"],
  "dir": ["outdir"],
  "g": ["cfg-scale"],
  "gpu": ["device"],
  "guidance": ["cfg-scale"],
  "guidance-scale": ["cfg-scale"],
  "H": ["height"],
  "hires": ["enable-hr"],
  "highres": ["enable-hr"],
  "hr": ["enable-hr"],
  "i": ["init"],
  "image": ["init"],
  "infotext": ["from"],
  "init-image": ["init"],
  "init-images": ["init"],
  "init-img": ["init"],
  "input": ["init"],
  "m": ["model"],
  "mask-image": ["mask"],
  "model-dir": ["models-dir"],
  "n": ["n-iter"],
  "neg": ["negative-prompt"],
  "num": ["n-iter"],
  "num-images": ["n-iter"],
  "num-inference-steps": ["steps"],
  "o": ["outdir"],
  "output": ["outdir", "out"],
  "output-dir": ["outdir"],
  "p": ["prompt"],
  "provider": ["device"],
  "resolution": ["width", "height"],
  "s": ["seed"],
  "sampling-method": ["sampler"],
  "sampling-steps": ["steps"],
  "save-dir": ["outdir"],
  "scale": ["cfg-scale"],
  "schedule": ["scheduler"],
  "size": ["width", "height"],
  "strength": ["denoising-strength"],
  "upscale": ["enable-hr"],
  "upscaler": ["hr-upscaler"],
  "verbose": ["log-level"],
  "W": ["width"]
}

/** Names that other programs give to commands, and the command or flag that does the same here. */
const otherCommands: Readonly<Record<string, string>> = {
  check: "doctor",
  create: "txt2img",
  diagnose: "doctor",
  draw: "txt2img",
  gen: "txt2img",
  generate: "txt2img",
  help: "--help",
  history: "runs",
  i2i: "img2img",
  image: "txt2img",
  imagine: "txt2img",
  inpaint: "img2img",
  jobs: "runs",
  list: "models",
  ls: "models",
  metadata: "info",
  "png-info": "info",
  queue: "runs",
  run: "txt2img",
  schedulers: "samplers",
  server: "serve",
  start: "serve",
  t2i: "txt2img",
  text2img: "txt2img",
  ui: "serve",
  version: "--version",
  web: "serve",
  webui: "serve",
  work: "worker"
}

/** Names that a command has, to propose one for an unknown one. */
export interface Names {
  /** The command's own name. */
  readonly command: string
  readonly flags: ReadonlyArray<string>
  readonly args: ReadonlyArray<string>
  readonly commands: ReadonlyArray<string>
  /** Flags by the names of stable-diffusion-webui's fields, where they differ. */
  readonly byField: Readonly<Record<string, string>>
  /** Other commands whose flags are asked for by mistake, and those flags. */
  readonly others: ReadonlyArray<{ readonly command: string; readonly flags: ReadonlyArray<string> }>
}

const ownOf = <A>(record: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

// Fields are written with underscores, flags with hyphens.
const hyphened = (name: string): string => name.toLowerCase().replaceAll("_", "-")

// The flags that a name means: its own, those of a field, and those that other programs call so.
const meantBy = (name: string, byField: Names["byField"]): ReadonlyArray<string> => {
  const field = ownOf(byField, name.replaceAll("-", "_"))
  const written = hyphened(name)
  const others = ownOf(otherNames, name) ?? ownOf(otherNames, written) ?? []
  return [...new Set([written, ...(field === undefined ? [] : [field]), ...others])]
}

const unknownFlag = (option: string, names: Names): string => {
  const { byField, command, flags, others } = names
  const name = option.replace(/^-+/, "")
  const meant = meantBy(name, byField)
  const own = meant.filter((flag) => flags.includes(flag))
  const sentence = `There is no flag ${option}.`
  if (own.length > 0) return `${sentence}${suggest(own.map((flag) => `--${flag}`))}`
  if (meant.includes("init")) return `There is no flag ${option} in ${command}. ${useImg2img}`
  for (const other of others) {
    const found = meant.filter((flag) => other.flags.includes(flag))
    if (found.length === 0) continue
    return `There is no flag ${option} in ${command}. The command ${other.command} has ${
      found.map((flag) => `--${flag}`).join(" and ")
    }.`
  }
  const written = hyphened(name)
  const near = nearest(written, flags) ?? unhyphened(written, flags)
  return `${sentence}${suggest(near === undefined ? [] : [`--${near}`])}`
}

const useImg2img = "The image to start from is the first argument of img2img, before the prompt."

// `--cfgscale` and `--samplername` are names without their hyphens, the latter one of a field.
const unhyphened = (name: string, flags: ReadonlyArray<string>): string | undefined =>
  flags.find((flag) => flag.length > 4 && name.replaceAll("-", "").startsWith(flag.replaceAll("-", "")))

const commandLike = (name: string, { command, commands }: Names): string | undefined => {
  const meant = ownOf(otherCommands, name.toLowerCase())
  return meant !== undefined && (meant.startsWith("--") || meant === command || commands.includes(meant))
    ? meant
    : nearest(name.replaceAll("_", "-"), commands)
}

/** A usage error in one sentence, with the names of the command that was used. */
export const usage = (error: CliError.NonShowHelpErrors, names: Names): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return unknownFlag(error.option, names)
    case "UnknownSubcommand": {
      const like = commandLike(error.subcommand, names)
      return `There is no command "${error.subcommand}".${suggest(like === undefined ? [] : [like])}`
    }
    case "UnexpectedArgument": {
      const which = error.arguments.map((argument) => JSON.stringify(argument.slice(0, 80))).join(", ")
      const sentence = `Unexpected ${error.arguments.length === 1 ? "argument" : "arguments"} ${which}`
      if (!names.args.includes("prompt")) {
        return `${sentence}: ${names.command} takes ${names.args.length === 0 ? "none" : "no more"}.`
      }
      // Two arguments, of which the last is a prompt, are an image and a prompt.
      return names.command === "txt2img" && error.arguments.length === 1 && /\s/.test(error.arguments[0] ?? "")
        ? `${sentence}. ${useImg2img}`
        : `${sentence}. Put quotes around a prompt of several words.`
    }
    case "InvalidValue":
      if (/^\d+ occurrences$/.test(error.value)) {
        return `--${error.option} is given ${error.value.replace(/ .*/, " times")}.`
      }
      // Effect's own checks of a path are sentences already, except where it cannot look.
      return /^Path |^Failed to check path/.test(error.expected)
        ? `${error.kind === "flag" ? `--${error.option}` : error.option}: ${
          error.expected.startsWith("Path ") ? error.expected : `there is no permission to read ${error.value}`
        }`
        : error.message
    default:
      return error.message
  }
}

const suggest = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "" : ` Did you mean ${names.join(" and ")}?`

/** Prints a bug in Serena without its stack. */
export const reportDefect = (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const error = Cause.squash(cause)
  return Console.error(
    `Internal error: ${error instanceof Error ? error.message : String(error)}\n` +
      `Please report this bug with the command and its output under --log-level debug.`
  )
}

/** Logs a bug with its stack at debug level. Within a command the log level is that of its flag. */
export const logDefects = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapDefect(effect, (defect) => Effect.logDebug(Cause.die(defect)))
