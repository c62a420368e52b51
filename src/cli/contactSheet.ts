/**
 * `serena contact-sheet`: what it takes.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import { defaults } from "./demo.ts"
import { logDefects } from "./failures.ts"
import { type Descriptions, toFlag } from "./Flags.ts"
import * as requestFlags from "./requestFlags.ts"

const { cfg_scale, sampler_name, steps } = requestFlags.txt2img

/** What is the same for all pictures of a sheet. */
export const descriptions = {
  steps,
  seed: { flag: "seed", value: "integer", about: "Seed of every picture", otherwise: defaults.seed ?? 1 },
  size: { flag: "size", value: "integer", about: "Width and height of a picture", otherwise: "the model's own" },
  cfg_scale: { ...cfg_scale, otherwise: defaults.cfg_scale ?? cfg_scale.otherwise },
  sampler_name: { ...sampler_name, about: "Sampler that the schedules are shown with" }
} satisfies Descriptions

const file = "contact-sheet.png"

const config = {
  prompt: Argument.String("prompt").pipe(
    Argument.withDescription("What to show (default: a yellow star)"),
    Argument.optional
  ),
  request: Record.map(descriptions, toFlag),
  schedules: Flag.Boolean("schedules").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Show every noise schedule instead of every sampler"),
    Flag.withDefault(false)
  ),
  out: Flag.String("out").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription(`PNG file to write; one that is there is replaced (default: ${file})`),
    Flag.withDefault(file)
  ),
  model: Flag.String("model").pipe(
    Flag.withMetavar("<name>"),
    Flag.withDescription("Model; list them with \"serena models\" (default: the first one)"),
    Flag.optional
  ),
  modelsDir: Flag.Directory("models-dir").pipe(
    Flag.withMetavar("<folder>"),
    Flag.withDescription("Folder that holds model folders, searched before the embedded model (default: none)"),
    Flag.optional
  ),
  quiet: Flag.Boolean("quiet").pipe(
    Flag.withAlias("q"),
    Flag.withoutNegation,
    Flag.withDescription("Print no progress and no warnings"),
    Flag.withDefault(false)
  )
} satisfies Command.Command.Config

/** What was written for the command. */
export type Input = Command.Command.Config.Infer<typeof config>

/** The command. */
export const contactSheet = Command.make(
  "contact-sheet",
  config,
  Effect.fnUntraced(function*(input) {
    const { drawContactSheet } = yield* Effect.promise(() => import("./drawContactSheet.ts"))
    yield* drawContactSheet(input)
  }, logDefects)
).pipe(
  Command.withDescription("Make one picture of all samplers side by side, or of all noise schedules"),
  Command.withExamples([
    { command: "serena contact-sheet" },
    {
      command: "serena contact-sheet \"a pink heart\" --schedules --sampler \"DPM++ 2M\" --out schedules.png",
      description: "One sampler with every schedule"
    }
  ])
)
