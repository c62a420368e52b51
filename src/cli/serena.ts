/**
 * The command line: its commands, and what each ends with.
 *
 * Only what help needs is imported here. A command loads its own part when it runs.
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
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { LogToStderr } from "effect/Logger"
import * as Option from "effect/Option"
import type { Processing } from "../processing/Processing.ts"
import { version } from "../version.ts"
import { contactSheet } from "./contactSheet.ts"
import { type CommandError, exitCode, logDefects, tell, tellDefect, usage } from "./failures.ts"
import * as GenerateFlags from "./GenerateFlags.ts"
import { serve } from "./serve.ts"

// Makes what the flags say, and of the rest what the picture says that they name.
const makePictures = Effect.fnUntraced(function*(input: GenerateFlags.Input, defaults?: Partial<Processing>) {
  const original = Option.isNone(input.from) ? undefined : yield* readOriginal(input.from.value)
  const asked = yield* GenerateFlags.decode(input, { defaults, infotext: original?.infotext })
  const { generate } = yield* Effect.promise(() => import("./generate.ts"))
  const saved = yield* generate({ ...asked, json: input.json, quiet: input.quiet })
  const differences = saved[0] === undefined || input.quiet
    ? []
    : original?.differences(saved[0].infotext, asked.processing) ?? []
  for (const difference of differences) yield* Console.error(`Warning: ${difference}`)
  return { asked, saved }
})

const readOriginal = Effect.fnUntraced(function*(file: string) {
  const { differences, readPicture } = yield* Effect.promise(() => import("./pictures.ts"))
  const { infotext } = yield* readPicture(file)
  return { infotext, differences: (made: string, { _tag }: Processing) => differences(infotext, made, _tag) }
})

const txt2img = Command.make(
  "txt2img",
  GenerateFlags.txt2img,
  Effect.fnUntraced(function*(input) {
    yield* makePictures(input)
  }, logDefects)
).pipe(
  Command.withDescription("Make pictures from a text, save them, and print their paths"),
  Command.withExamples([
    { command: "serena txt2img \"a green star on a black background\"", description: "One picture" },
    {
      command: "serena txt2img \"a pink heart\" --seed 7 --steps 25 --sampler \"DPM++ 2M Karras\"",
      description: "The same picture each time"
    },
    {
      command: "serena txt2img \"a blue ring\" --batch-size 4 --n-iter 2 --outdir rings",
      description: "Eight pictures in a folder of your own"
    },
    {
      command: "serena txt2img --from picture.png --seed 8",
      description: "What a picture tells of itself, but for the seed"
    },
    {
      command: "serena txt2img \"a red cross\" --json --quiet | jq -r .seed",
      description: "For programs: one line of JSON for each picture"
    }
  ])
)

const img2img = Command.make(
  "img2img",
  GenerateFlags.img2img,
  Effect.fnUntraced(function*(input) {
    yield* makePictures(input)
  }, logDefects)
).pipe(
  Command.withDescription("Make pictures from a picture and a text, save them, and print their paths"),
  Command.withExamples([
    {
      command: "serena img2img sketch.png \"a green star on a black background\" --denoising-strength 0.6",
      description: "Another picture like it"
    },
    {
      command: "serena img2img photo.jpg \"a red ring\" --mask mask.png --inpainting-fill 0",
      description: "Only where the mask is white"
    },
    {
      command: "serena img2img one.png --init two.png --batch-size 2 --from made.png",
      description: "Two pictures, each from its own, as a third one was made"
    }
  ])
)

const demo = Command.make(
  "demo",
  GenerateFlags.txt2img,
  Effect.fnUntraced(function*(input) {
    const { defaults, epilogue } = yield* Effect.promise(() => import("./demo.ts"))
    const { asked, saved } = yield* makePictures(input, defaults)
    if (!input.quiet) yield* epilogue(asked.processing, saved)
  }, logDefects)
).pipe(
  Command.withDescription("Make a first picture with the embedded model; takes the flags of txt2img"),
  Command.withExamples([
    { command: "serena demo" },
    { command: "serena demo --prompt \"a green star\" --seed 3", description: "With a wish of your own" }
  ])
)

const models = Command.make(
  "models",
  { modelsDir: GenerateFlags.modelsDir, json: GenerateFlags.json("Print one line of JSON for each model") },
  Effect.fnUntraced(function*(input) {
    const { listModels } = yield* Effect.promise(() => import("./listModels.ts"))
    yield* listModels(input)
  }, logDefects)
).pipe(
  Command.withDescription("List the models that can be used"),
  Command.withExamples([
    { command: "serena models" },
    { command: "serena models --models-dir ~/models --json", description: "With your own folder, for programs" }
  ])
)

const samplers = Command.make(
  "samplers",
  { json: GenerateFlags.json("Print one line of JSON for each sampler and each schedule") },
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
    file: Argument.File("file").pipe(Argument.withDescription("A PNG, JPEG, WebP, GIF or AVIF file")),
    json: GenerateFlags.json(
      "Print {\"infotext\", \"items\", \"parameters\"}: the text, others beside it, and what it means"
    )
  },
  Effect.fnUntraced(function*({ file, json }) {
    const { printInfotext } = yield* Effect.promise(() => import("./printInfotext.ts"))
    yield* printInfotext(file, json)
  }, logDefects)
).pipe(
  Command.withDescription("Print how a picture was made"),
  Command.withExamples([{ command: "serena info outputs/txt2img-images/2026-01-31/00000-7.png" }])
)

const root = Command.make("serena").pipe(
  Command.withDescription("Make pictures from words with Stable Diffusion models, on this machine"),
  Command.withSubcommands([txt2img, img2img, models, samplers, info, demo, contactSheet, serve]),
  Command.withExamples([
    { command: "serena demo", description: "A first picture" },
    { command: "serena txt2img --help", description: "Everything that can be asked for" },
    {
      command: "source <(serena --completions bash)",
      description: "Completion in this shell; also zsh, fish, powershell"
    }
  ])
)

// Help that was asked for goes to standard output. Of a mistake, only the mistake is told, on standard error.
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
        [...event.errors.map(usage), `See "${event.commandPath.join(" ")} --help".`].join("\n")
      )
      : CliOutput.defaultPresenter.present(event)
}

const layer = Layer.mergeAll(
  NodeChildProcessSpawner.layer,
  NodeStdio.layer,
  NodeTerminal.layer,
  CliOutput.layerPresenter(presenter),
  CliConfig.layer({ builtIns: GlobalFlag.BuiltIns.filter((flag) => flag !== GlobalFlag.Wizard) }),
  Layer.succeed(LogToStderr, true)
).pipe(Layer.provideMerge(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)))

/** Runs the command line `args` and gives the exit code. All that went wrong has been told by then. */
export const serena: (args: ReadonlyArray<string>) => Effect.Effect<number> = Effect.fnUntraced(
  function*(args) {
    return yield* Command.runWith(root, { version })(args).pipe(
      Effect.as(0),
      Effect.catch((error: CommandError) => Effect.as(tell(error), exitCode(error)))
    )
  },
  Effect.provide(layer),
  Effect.catchCause((cause) => Cause.hasInterruptsOnly(cause) ? Effect.succeed(130) : Effect.as(tellDefect(cause), 1))
)
