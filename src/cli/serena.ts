/**
 * The command line: its commands and their exit codes.
 *
 * Only what help needs is imported here. A command loads the rest when it runs.
 */
import * as NodeChildProcessSpawner from "@effect/platform-node/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Cause from "effect/Cause"
import * as Argument from "effect/cli/Argument"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Completions from "effect/cli/Completions"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import type { HelpDoc } from "effect/cli/HelpDoc"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LogToStderr } from "effect/Logger"
import * as Option from "effect/Option"
import type * as Stdio from "effect/Stdio"
import type { Processing } from "../processing/Processing.ts"
import { version } from "../version.ts"
import { commandName } from "./commandName.ts"
import { completions } from "./completions.ts"
import { contactSheet } from "./contactSheet.ts"
import { type CommandError, exitCode, logDefects, type Names, report, reportDefect, usage } from "./failures.ts"
import * as GenerateFlags from "./GenerateFlags.ts"
import { helpText } from "./help.ts"
import { mcp } from "./mcp.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import { runs } from "./runs.ts"
import { serve } from "./serve.ts"
import { worker } from "./worker.ts"

// Runs what the flags ask for; an image named by `--from` provides the rest.
const generateImages = Effect.fnUntraced(function*(input: GenerateFlags.Input, defaults?: Partial<Processing>) {
  const original = Option.isNone(input.from) ? undefined : yield* readOriginal(input.from.value)
  const asked = yield* GenerateFlags.decode(input, { defaults, original })
  const warn = Effect.fnUntraced(function*(warnings: ReadonlyArray<string>) {
    if (!input.quiet) { for (const warning of warnings) yield* Console.error(`Warning: ${warning}`) }
  })
  yield* warn(asked.warnings)
  const { generate } = yield* Effect.promise(() => import("./generate.ts"))
  const saved = yield* generate({ ...asked, json: input.json, quiet: input.quiet })
  if (saved[0] !== undefined) yield* warn(original?.differences(saved[0].infotext) ?? [])
  return { asked, saved }
})

const readOriginal = Effect.fnUntraced(function*(file: string) {
  const { differences, readImage, readIn } = yield* Effect.promise(() => import("./imageFiles.ts"))
  const { infotext } = yield* readImage(file)
  return { file, read: readIn(infotext), differences: (made: string) => differences(infotext, made) }
})

const txt2img = Command.make(
  "txt2img",
  GenerateFlags.txt2img,
  Effect.fnUntraced(function*(input) {
    yield* generateImages(input)
  }, logDefects)
).pipe(
  Command.withDescription("Generate images from a text, save them, and print their paths"),
  Command.withExamples([
    { command: "serena txt2img \"a green star on a black background\"", description: "One image" },
    {
      command: "serena txt2img \"a pink heart\" --seed 7 --steps 25 --sampler \"DPM++ 2M Karras\"",
      description: "The same image each time"
    },
    {
      command: "serena txt2img \"a blue ring\" --batch-size 4 --n-iter 2 --outdir rings",
      description: "Eight images in a folder of your own"
    },
    {
      command: "serena txt2img --from image.png --seed 8",
      description: "Reuse an image's settings with a new seed"
    },
    {
      command: "serena txt2img \"a red cross\" --json --quiet | jq -r .seed",
      description: "For programs: one line of JSON for each image"
    }
  ])
)

const img2img = Command.make(
  "img2img",
  GenerateFlags.img2img,
  Effect.fnUntraced(function*(input) {
    yield* generateImages(input)
  }, logDefects)
).pipe(
  Command.withDescription("Generate images from an image and a text, save them, and print their paths"),
  Command.withExamples([
    {
      command: "serena img2img sketch.png \"a green star on a black background\" --denoising-strength 0.6",
      description: "A variation of an image"
    },
    {
      command: "serena img2img photo.jpg \"a red ring\" --mask mask.png --inpainting-fill 0",
      description: "Inpainting: only where the mask is white"
    },
    {
      command: "serena img2img one.png --init two.png --batch-size 2 --from made.png",
      description: "Two images, each from its own init image, with the settings of a third"
    }
  ])
)

const demo = Command.make(
  "demo",
  GenerateFlags.txt2img,
  Effect.fnUntraced(function*(input) {
    const { defaults, epilogue } = yield* Effect.promise(() => import("./demo.ts"))
    const { asked, saved } = yield* generateImages(input, defaults)
    if (!input.quiet) yield* epilogue(asked.processing, saved)
  }, logDefects)
).pipe(
  Command.withDescription("Generate a first image with the embedded model; takes the flags of txt2img"),
  Command.withExamples([
    { command: "serena demo" },
    { command: "serena demo --prompt \"a green star\" --seed 3", description: "With a prompt of your own" }
  ])
)

const show = Command.make(
  "show",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name, title or hash of a file or folder")),
    ...ProcessFlags.places,
    json: ProcessFlags.json("Print one line of JSON")
  },
  Effect.fnUntraced(function*({ name, ...options }) {
    const { showModel } = yield* Effect.promise(() => import("./inspectModels.ts"))
    yield* showModel(name, options)
  }, logDefects)
).pipe(
  Command.withDescription(
    "Show what a model, LoRA, VAE or other file of weights holds: networks, family, hashes, words"
  ),
  Command.withExamples([{ command: "serena models show my-model --models-dir ~/models" }])
)

const verify = Command.make(
  "verify",
  { ...ProcessFlags.places, json: ProcessFlags.json("Print one line of JSON for each file") },
  Effect.fnUntraced(function*(options) {
    const { verifyModels } = yield* Effect.promise(() => import("./inspectModels.ts"))
    yield* verifyModels(options)
  }, logDefects)
).pipe(
  Command.withDescription("Read every file of weights whole, and print its SHA-256 or what is wrong with it"),
  Command.withExamples([{ command: "serena models verify --models-dir ~/models" }])
)

const pull = Command.make(
  "pull",
  {
    what: Argument.String("what").pipe(
      Argument.withDescription(
        "Repository of the hub (owner/name), a file of one (owner/name/file), or an https:// address"
      )
    ),
    to: Flag.String("to").pipe(
      Flag.withMetavar("<folder>"),
      Flag.withDescription(
        "Folder for the model; default: the models folder. In the layout of the webui or ComfyUI, its subfolder for " +
          "that kind"
      ),
      Flag.optional
    ),
    ...ProcessFlags.places,
    variant: Flag.String("variant").pipe(
      Flag.withMetavar("<name>"),
      Flag.withDescription("Copy of a repository's weights, such as fp16; onnx for exported networks"),
      Flag.optional
    ),
    name: Flag.String("name").pipe(
      Flag.withMetavar("<name>"),
      Flag.withDescription("Name to save it by, in place of its own"),
      Flag.optional
    ),
    json: ProcessFlags.json("Print one line of JSON"),
    quiet: ProcessFlags.quiet
  },
  Effect.fnUntraced(function*(input) {
    const { pullModel } = yield* Effect.promise(() => import("./pullModel.ts"))
    yield* pullModel(input)
  }, logDefects)
).pipe(
  Command.withDescription("Download a model, resume where a download stopped, and check it"),
  Command.withExamples([
    { command: "serena models pull owner/name", description: "Of the Hugging Face hub" },
    { command: "serena models pull owner/name --variant fp16", description: "In half precision" },
    {
      command: "serena models pull owner/name/model.safetensors --to ~/models",
      description: "One file, into a folder of your own"
    },
    { command: "serena models pull https://example.com/model.safetensors", description: "From any other server" }
  ])
)

const optimize = Command.make(
  "optimize",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name, title or hash of a checkpoint")),
    ...ProcessFlags.places,
    remove: Flag.Boolean("remove").pipe(
      Flag.withoutNegation,
      Flag.withDescription("Take the checkpoint's optimised networks away"),
      Flag.withDefault(false)
    ),
    json: ProcessFlags.json("Print one line of JSON"),
    quiet: ProcessFlags.quiet
  },
  Effect.fnUntraced(function*({ name, ...options }) {
    const { optimizeModel } = yield* Effect.promise(() => import("./optimizeModel.ts"))
    yield* optimizeModel(name, options)
  }, logDefects)
).pipe(
  Command.withDescription(
    "Keep a checkpoint's networks in the form that this processor computes fastest; takes several times its size on disk"
  ),
  Command.withExamples([
    { command: "serena models optimize my-model" },
    { command: "serena models optimize my-model --remove", description: "Give the disk space back" }
  ])
)

const models = Command.make(
  "models",
  {
    ...ProcessFlags.places,
    json: ProcessFlags.json("Print one line of JSON for each file"),
    names: Flag.Boolean("names").pipe(
      Flag.withoutNegation,
      Flag.withDescription("Print only the names of the models that can be used"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*(input) {
    const { listModels } = yield* Effect.promise(() => import("./listModels.ts"))
    yield* listModels(input)
  }, logDefects)
).pipe(
  Command.withSubcommands([show, verify, pull, optimize]),
  Command.withDescription("List the installed models"),
  Command.withExamples([
    { command: "serena models" },
    { command: "serena models --models-dir ~/models --json", description: "In your own folder, for programs" }
  ])
)

const samplers = Command.make(
  "samplers",
  { json: ProcessFlags.json("Print one line of JSON for each sampler and each schedule") },
  Effect.fnUntraced(function*({ json }) {
    const { listSamplers } = yield* Effect.promise(() => import("./listSamplers.ts"))
    yield* listSamplers(json)
  }, logDefects)
).pipe(
  Command.withDescription("List the samplers and noise schedules"),
  Command.withExamples([{ command: "serena samplers" }])
)

const info = Command.make(
  "info",
  {
    files: Argument.File("file").pipe(
      Argument.withDescription("PNG, JPEG, WebP, GIF or AVIF files"),
      Argument.atLeast(1)
    ),
    json: ProcessFlags.json(
      "Print {\"infotext\", \"items\", \"parameters\"} for each file: the text, other metadata, and the parsed " +
        "parameters; of several files with \"file\""
    )
  },
  Effect.fnUntraced(function*({ files, json }) {
    const { printInfotexts } = yield* Effect.promise(() => import("./printInfotext.ts"))
    yield* printInfotexts(files, json)
  }, logDefects)
).pipe(
  Command.withDescription("Print the generation parameters of images"),
  Command.withExamples([
    { command: "serena info outputs/txt2img-images/2026-01-31/00000-7.png" },
    { command: "serena info outputs/txt2img-images/*/*.png --json", description: "Of many images, for programs" }
  ])
)

const doctor = Command.make(
  "doctor",
  {
    ...ProcessFlags.places,
    machine: ProcessFlags.machine,
    database: Flag.String("database").pipe(
      Flag.withMetavar("<url>"),
      Flag.withDescription("PostgreSQL database of runs to look at too, such as postgres://user@host/serena"),
      Flag.optional
    ),
    json: ProcessFlags.json("Print one line of JSON for each finding")
  },
  Effect.fnUntraced(function*(options) {
    const { examine } = yield* Effect.promise(() => import("./doctor.ts"))
    yield* examine(options)
  }, logDefects)
).pipe(
  Command.withDescription("Check this machine, say what is wrong and what to do, and change nothing"),
  Command.withExamples([
    { command: "serena doctor" },
    {
      command: "serena doctor --device cuda --models-dir ~/models",
      description: "With the flags that a server will have"
    },
    { command: "serena doctor --database postgres://serena@db.example/serena", description: "Of a cluster" }
  ])
)

const root = Command.make("serena").pipe(
  Command.withDescription("Generate images with Stable Diffusion models, on this machine"),
  Command.withSubcommands([
    txt2img,
    img2img,
    models,
    samplers,
    info,
    demo,
    contactSheet,
    serve,
    mcp,
    worker,
    runs,
    doctor
  ]),
  Command.withExamples([
    { command: "serena demo", description: "A first image" },
    { command: "serena txt2img --help", description: "Every flag" },
    {
      command: "source <(serena --completions bash)",
      description: "Completion in this shell; also zsh, fish, powershell"
    }
  ])
)

const fieldFlags = Object.fromEntries(
  Object.entries({ ...ProcessFlags.table, ...GenerateFlags.tables.txt2img, ...GenerateFlags.tables.img2img })
    .map(([name, { flag }]) => [name, flag])
)

const namesOf = (
  { args = [], flags, globalFlags = [], inheritedFlags = [], subcommands = [] }: HelpDoc,
  command: string
): Names => ({
  command,
  flags: [...flags, ...inheritedFlags, ...globalFlags].map(({ name }) => name.replace(/^-+/, "")),
  args: args.map(({ name }) => name),
  commands: subcommands.flatMap(({ commands }) => commands.map(({ name }) => name)),
  byField: fieldFlags,
  others: Completions.fromCommand(root).subcommands.flatMap((other) =>
    other.name === command || !["txt2img", "img2img", "serve"].includes(other.name)
      ? []
      : [{
        command: other.name,
        flags: other.flags.map(({ name }) => name).filter((name) => name !== "json" && name !== "quiet")
      }]
  )
})

const printHelp = Effect.fnUntraced(function*(doc: HelpDoc) {
  const { canColor } = Context.get(yield* Effect.context<never>(), TerminalCapabilities)
  yield* Console.log(helpText(doc, { width: terminalWidth(), colors: canColor, command: commandName() }))
})

// What goes to a file or to another program keeps its lines, unless the variable says how long they may be.
const terminalWidth = (): number => process.stdout.columns || Number(process.env["COLUMNS"]) || Infinity

// Requested help goes to standard output. A usage error prints only the error, on standard error.
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
        [
          ...event.errors.map((error) => usage(error, namesOf(event.helpDoc, event.commandPath.at(-1) ?? ""))),
          `See "${[commandName(), ...event.commandPath.slice(1)].join(" ")} --help".`
        ].join("\n")
      )
      : event._tag === "Help"
      ? printHelp(event.helpDoc)
      : CliOutput.defaultPresenter.present(event)
}

const layer = Layer.mergeAll(
  NodeChildProcessSpawner.layer,
  NodeTerminal.layer,
  CliOutput.layerPresenter(presenter),
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions, GlobalFlag.LogLevel] }),
  Layer.succeed(LogToStderr, true)
).pipe(Layer.provideMerge(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)))

/** Runs the command line `args` and returns the exit code. Errors have been printed by then. */
export const serena = (
  args: ReadonlyArray<string>,
  stdio: Layer.Layer<Stdio.Stdio> = NodeStdio.layer
): Effect.Effect<number> =>
  Command.runWith(root, { version })(args).pipe(
    Effect.as(0),
    Effect.catch((error: CommandError) => Effect.as(report(error), exitCode(error))),
    Effect.provide([layer, stdio]),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.succeed(130) : Effect.as(reportDefect(cause), 1)
    )
  )
