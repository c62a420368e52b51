/**
 * `serena contact-sheet`: its arguments and flags.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { Txt2Img } from "../processing/Processing.ts"
import { defaults } from "./demo.ts"
import { logDefects } from "./failures.ts"
import { flagFieldOf, type FlagTable, toFlags } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"

const { cfg_scale, sampler_name, seed, steps, width } = {
  cfg_scale: flagFieldOf(Txt2Img, "cfg_scale", { cfg_scale: defaults.cfg_scale }),
  sampler_name: flagFieldOf(Txt2Img, "sampler_name", Txt2Img.make({})),
  seed: flagFieldOf(Txt2Img, "seed", { seed: defaults.seed }),
  steps: flagFieldOf(Txt2Img, "steps", Txt2Img.make({})),
  width: flagFieldOf(Txt2Img, "width")
}

/** Fields that all images of a sheet share. */
export const table = {
  steps,
  seed: { ...seed, description: "Seed of every image; -1 draws a random seed." },
  size: { ...width, flag: "size", description: "Width and height of every image." },
  cfg_scale,
  sampler_name: { ...sampler_name, description: "Sampler that the schedules are shown with." }
} satisfies FlagTable

const file = "contact-sheet.png"

const config = {
  prompt: Argument.String("prompt").pipe(
    Argument.withDescription("What the images show (default: a yellow star)"),
    Argument.optional
  ),
  request: toFlags(table),
  schedules: Flag.Boolean("schedules").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Show every noise schedule instead of every sampler"),
    Flag.withDefault(false)
  ),
  out: Flag.String("out").pipe(
    Flag.withMetavar("<file>"),
    Flag.withDescription(`PNG file to write; an existing file is replaced (default: ${file})`),
    Flag.withDefault(file)
  ),
  ...ProcessFlags.config,
  quiet: ProcessFlags.quiet
} satisfies Command.Command.Config

/** The parsed command line. */
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
  Command.withDescription("Compare all samplers, or all schedules, in one image"),
  Command.withExamples([
    { command: "serena contact-sheet" },
    {
      command: "serena contact-sheet \"a pink heart\" --schedules --sampler \"DPM++ 2M\" --out schedules.png",
      description: "One sampler with every schedule"
    }
  ])
)
