/**
 * `--completions`: scripts that complete commands, flags and their values in a shell.
 */
import type * as Command from "effect/cli/Command"
import * as Completions from "effect/cli/Completions"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { commandName } from "./commandName.ts"
import { choicesByFlag, filesByFlag } from "./GenerateFlags.ts"

/** The flag, in place of the one that comes with Effect, whose scripts know no values. */
export const completions: typeof GlobalFlag.Completions = GlobalFlag.Action({
  flag: GlobalFlag.Completions.flag,
  run: Effect.fnUntraced(function*(shell, { command }) {
    if (Option.isNone(shell)) return
    yield* Console.log(yield* script(shell.value, command))
  })
})

// A command that `npx` starts has no name that a shell could complete, so it gets one.
const alias = (shell: Completions.Shell, command: string): string =>
  command === "serena"
    ? ""
    : shell === "powershell"
    ? `function serena { ${command} @args }\n`
    : `alias serena='${command}'\n`

const script = Effect.fnUntraced(function*(shell: Completions.Shell, command: Command.Command.Any) {
  const choices: Readonly<Record<string, ReadonlyArray<string>>> = { ...choicesByFlag, ...(yield* names) }
  const described = withValues(Completions.fromCommand(command), choices)
  return alias(shell, commandName()) + Completions.generate("serena", shell, described)
})

// Names that only the engine's tables know.
const names = Effect.promise(async () => {
  const [{ latentUpscaleModes }, Samplers, Schedules] = await Promise.all([
    import("../images/Resample.ts"),
    import("../sampling/Samplers.ts"),
    import("../sampling/Schedules.ts")
  ])
  const samplers = Samplers.all.map(({ name }) => name)
  const schedulers = Schedules.all.map(({ label }) => label)
  return {
    "sampler": samplers,
    "hr-sampler": samplers,
    "scheduler": schedulers,
    "hr-scheduler": schedulers,
    "hr-upscaler": [...latentUpscaleModes.map(({ name }) => name), "None", "Lanczos", "Nearest"]
  }
})

const logLevels = ["all", "trace", "debug", "info", "warn", "error", "fatal", "none"]

const globalFlags: ReadonlyArray<Completions.FlagDescriptor> = [
  { name: "help", aliases: ["h"], description: "Show help information", type: { _tag: "Boolean" }, negation: false },
  {
    name: "log-level",
    aliases: [],
    description: "Sets the minimum log level",
    type: { _tag: "Choice", values: logLevels }
  }
]

const withValues = (
  descriptor: Completions.CommandDescriptor,
  choices: Readonly<Record<string, ReadonlyArray<string>>>
): Completions.CommandDescriptor => ({
  ...descriptor,
  flags: [
    ...descriptor.flags.map((flag): Completions.FlagDescriptor => {
      const values = flag.type._tag === "String" && Object.hasOwn(choices, flag.name) ? choices[flag.name] : undefined
      if (values !== undefined) return { ...flag, type: { _tag: "Choice", values } }
      return flag.type._tag === "String" && filesByFlag.has(flag.name)
        ? { ...flag, type: { _tag: "Path", pathType: "file" } }
        : flag
    }),
    ...globalFlags
  ],
  arguments: descriptor.arguments.map((argument) =>
    argument.name === "image" ? { ...argument, type: { _tag: "Path", pathType: "file" } } : argument
  ),
  subcommands: descriptor.subcommands.map((each) => withValues(each, choices))
})
