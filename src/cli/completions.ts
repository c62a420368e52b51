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
  const choices: Readonly<Record<string, ReadonlyArray<string>>> = {
    ...choicesByFlag,
    ...(yield* names),
    // PowerShell's script is a table of values.
    ...(shell !== "powershell" && Object.fromEntries(modelFlags.map((flag) => [flag, [modelsMark]])))
  }
  const described = withValues(Completions.fromCommand(command), choices)
  const started = commandName()
  return alias(shell, started) + withModels(Completions.generate("serena", shell, described), shell, started)
})

/** Flags that take the name of a model. */
const modelFlags = ["model", "hr-checkpoint", "refiner-checkpoint"]

/** Stands for the names of the models, which a script asks for when it completes. */
const modelsMark = "@models@"

// With the models folder of the line that is completed, where it names one.
const withModels = (script: string, shell: Completions.Shell, command: string): string => {
  const list = `${command} models --names`
  switch (shell) {
    case "bash":
      return script.replace("_serena--choices()\n", () => `${bashModels(list)}\n_serena--choices()\n`)
        .replaceAll(
          `_serena--choices "$cur" "$_comp_word" '${modelsMark}'`,
          "_serena--model-names \"$cur\" \"$_comp_word\""
        )
    case "zsh":
      return script.replace("_serena() {\n", () => `${zshModels(list)}\n_serena() {\n`)
        .replaceAll(`:(${modelsMark})`, ":__serena_model_names")
    case "fish":
      return fishModels(list) + script.replaceAll(`-a '${modelsMark}'`, "-a '(__serena_model_names)'")
    default:
      return script
  }
}

const bashModels = (list: string): string =>
  `_serena--model-names()
{
  local _name _word _i _names=() _options=()
  for ((_i = 1; _i < \${#words[@]}; _i++)); do
    case "\${words[_i]}" in
      --models-dir) _word="\${words[_i+1]}" ;;
      --models-dir=*) _word="\${words[_i]#*=}" ;;
      *) continue ;;
    esac
    _word=\${_word//\\\\/}; _word=\${_word//\\"/}; _word=\${_word//\\'/}
    _options=(--models-dir "\${_word/#\\~\\//$HOME/}")
  done
  while IFS= read -r _name; do
    _names+=("$_name")
  done < <(${list} "\${_options[@]}" 2>/dev/null)
  _serena--choices "$1" "$2" "\${_names[@]}"
}
`

const zshModels = (list: string): string =>
  `__serena_model_names() {
  local -a options names
  local i
  for ((i = 2; i <= $#words; i++)); do
    case $words[i] in
      --models-dir) options=(--models-dir "\${(Q)words[i+1]}") ;;
      --models-dir=*) options=("\${(Q)words[i]}") ;;
    esac
  done
  names=("\${(@f)$(${list} $options 2>/dev/null)}")
  compadd -a names
}
`

const fishModels = (list: string): string =>
  `function __serena_model_names
  set -l words (commandline -opc)
  set -l options
  for i in (seq (count $words))
    switch $words[$i]
      case --models-dir
        test $i -lt (count $words); and set options --models-dir $words[(math $i + 1)]
      case '--models-dir=*'
        set options $words[$i]
    end
  end
  ${list} $options 2>/dev/null
end
`

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
