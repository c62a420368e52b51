/**
 * The files that are made from the code: what the command line says of itself, and what the schemas say of every field.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { readFile } from "node:fs/promises"
import { type Described, fieldsOf } from "../../src/core/Field.ts"
import { latentUpscaleModes } from "../../src/images/Resample.ts"
import { ProcessOptions } from "../../src/processing/CommandOptions.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { ServerSettings } from "../../src/server/host/ServerOptions.ts"
import { WorkerSettings } from "../../src/server/host/WorkerOptions.ts"
import { floors, rooms } from "../architecture/rooms.ts"
import { serena, withEnvironment } from "../cli/command.ts"
import { reliabilityPage } from "../reliability/page.ts"
import { fieldTypes } from "./fieldTypes.ts"
import { code, entries, kind, nodesOf } from "./fieldValues.ts"
import { page, table } from "./markdown.ts"
import { choicesTable, performanceFiles } from "./performance.ts"
import { simdModule } from "./simd.ts"

const project = new URL("../../", import.meta.url)

/** A file that is made, and where it belongs. */
export interface GeneratedFile {
  /** Path from the project's folder. */
  readonly path: string
  readonly text: string
}

/** All of them, as they should be. */
export const generatedFiles = async (): Promise<ReadonlyArray<GeneratedFile>> => [
  { path: "docs/reference/cli.md", text: await cliPage() },
  { path: "docs/reference/options.md", text: optionsPage() },
  { path: "docs/reference/samplers.md", text: samplersPage() },
  { path: "docs/reliability.md", text: reliabilityPage() },
  ...performanceFiles(),
  await withPart("docs/architecture.md", "rooms", roomsPart()),
  await withPart("docs/how-to/faster.md", "choices", choicesTable()),
  { path: "src/processing/FieldTypes.ts", text: fieldTypes() },
  { path: "src/core/simdModule.ts", text: await simdModule() }
]

const made = "<!-- Made by `npm run docs` from the code. Do not edit. -->"

// --- Parts of pages that are written by hand otherwise

/** The page with what stands between the marks of a part replaced. */
const withPart = async (path: string, name: string, part: string): Promise<GeneratedFile> => {
  const text = await readFile(new URL(path, project), "utf8")
  const [before, rest = ""] = text.split(new RegExp(`(?<=<!-- ${name}:.*-->\\n)`))
  return { path, text: `${before}\n${part}\n\n${rest.slice(rest.indexOf(`<!-- /${name} -->`))}` }
}

const roomsPart = (): string => {
  const list = table(
    ["room", "holds", "may import"],
    rooms.toReversed().map(({ holds, imports, path }) => [
      path === "." ? "`src`" : `\`src/${path}\``,
      holds,
      imports.map((room) => room === "." ? "`src`" : `\`${room}\``).join(", ")
    ])
  )
  const house = floors().map((floor) => floor.map((path) => path === "." ? "Serena, index" : path).join("   ")).join(
    "\n"
  )
  const picture =
    `From the import graph: a room stands on the floor above the highest room that it imports.\n\n\`\`\`text\n${house}\n\`\`\``
  return `${list}\n\n${picture}`
}

// --- The command line

const help = async (command: ReadonlyArray<string>): Promise<string> => {
  const { stdout } = await Effect.runPromise(
    serena([...command, "--help"]).pipe(withEnvironment({ npm_lifecycle_event: "", COLUMNS: "" }))
  )
  return stdout.split("\n").map((line) => line.trimEnd()).join("\n").trim()
}

const cliPage = async (): Promise<string> => {
  const root = await help([])
  const names = [...(root.split("SUBCOMMANDS\n")[1] ?? "").split("EXAMPLES")[0]?.matchAll(/^ {2}(\S+)/gm) ?? []]
  const commands: Array<{ readonly name: string; readonly text: string }> = []
  // One after the other, as each changes the environment.
  for (const [, name = ""] of names) commands.push({ name, text: await help([name]) })
  return page(
    "# The command line",
    made,
    "This is what `serena --help` and the help of each command print. Results go to standard output, everything else to " +
      "standard\nerror.",
    table(["exit code", "meaning"], [
      ["0", "done"],
      ["1", "the run failed, a file could not be used, or a model was not found"],
      ["2", "something in the command is wrong"],
      ["130", "stopped by Ctrl-C"],
      ["143", "stopped by SIGTERM"]
    ]),
    "## serena",
    "```text\n" + root + "\n```",
    ...commands.flatMap(({ name, text }) => [`## serena ${name}`, "```text\n" + text + "\n```"])
  )
}

// --- Fields

/** What a field's row says: the value it takes with its unit, what holds without it, its flag, and what it does. */
const rowsOf = (
  struct: Described & Schema.Constraint,
  defaults: Readonly<Record<string, unknown>>,
  includes: (name: string) => boolean
): ReadonlyArray<readonly [group: string, row: ReadonlyArray<string>]> => {
  const nodes = new Map(nodesOf(struct))
  return fieldsOf(struct).filter(([name]) => includes(name)).map(
    ([name, { description, flag, group, otherwise, unit }]) => {
      const node = nodes.get(name)
      if (node === undefined) throw new Error(`JSON Schema has no field ${name}`)
      return [group, [
        `\`${name}\``,
        kind(node) + (unit === undefined ? "" : `, ${unit}`),
        name in defaults && defaults[name] !== undefined ? code(defaults[name]) : otherwise ?? "none",
        flag === undefined ? "" : `\`--${flag}\``,
        description.replaceAll(/[|<]/g, "\\$&")
      ]]
    }
  )
}

// A table for each group, so that one long cell widens only its own group. Columns without content are left out.
const sections = (
  struct: Described & Schema.Constraint,
  defaults: object,
  includes: (name: string) => boolean = () => true
): string =>
  [...Map.groupBy(rowsOf(struct, entries(defaults), includes), ([group]) => group)].map(([group, rows]) => {
    const cells = rows.map(([, row]) => row)
    const head = ["name", "value", "default", "flag", "description"]
    const used = head.flatMap((_, i) => cells.some((row) => row[i] !== "") ? [i] : [])
    const pick = (row: ReadonlyArray<string>) => used.map((i) => row[i] ?? "")
    return `### ${group}\n\n${table(pick(head), cells.map(pick))}`
  }).join("\n\n")

const optionsPage = (): string => {
  // What both kinds have, except for the strength, which means another thing in each.
  const isShared = (name: string) => name in Txt2Img.fields && name in Img2Img.fields && name !== "denoising_strength"
  const isOwn = (name: string) => !isShared(name)
  const img2img = { ...Img2Img.make({ init_images: [new Uint8Array()] }), init_images: undefined }
  return page(
    "# Fields, settings and limits",
    made,
    "Names, defaults and meaning are those of stable-diffusion-webui wherever it has the same thing.",
    "## A request",
    "Fields of both kinds of requests. Every field may be omitted.",
    sections(Txt2Img, Txt2Img.make({}), isShared),
    "## Text-to-image: `Txt2Img`",
    "Further fields of `Txt2Img.make` and `Processing.decode`: the second pass.",
    sections(Txt2Img, Txt2Img.make({}), isOwn),
    "## Image-to-image: `Img2Img`",
    "Further fields of `Img2Img.make`, and of `Processing.decode` where `_tag` is `\"Img2Img\"`. Only `init_images` is required.",
    sections(Img2Img, img2img, isOwn),
    "`make` throws `InvalidProcessing` for a value out of bounds, because such a value is a mistake in the program.\n" +
      "`Processing.decode` fails with it. The error names every problem. `decode` accepts null for a missing field, and anything in\n" +
      "fields without effect, such as those of hires fix without it; unknown fields are problems.",
    "## Settings: `Options`",
    "Settings for `Serena.layer({ options })`, `Options.set` and a request's `override_settings`. A run uses a frozen snapshot " +
      "of\nthem.",
    sections(OptionsSnapshot, Options.defaults),
    "## Limits",
    "Limits for `Serena.layer({ cmdOpts: { limits: Limits.make({ ... }) } })` and the `--max-...` flags. They are set when the\n" +
      "process starts. A request over a limit fails with `InvalidProcessing` before any memory is allocated for it.",
    sections(Limits, Limits.make({})),
    "## The process: `CommandOptions`",
    "Options of `Serena.layer({ cmdOpts })` other than the limits. They are fixed while the process runs.",
    sections(ProcessOptions, ProcessOptions.make({})),
    "## Server: `ServerOptions`",
    "Flags of `serena serve`, and options of `ServerOptions.layer`.",
    sections(ServerSettings, ServerSettings.make({})),
    "## Worker",
    "Flags of `serena worker`.",
    sections(WorkerSettings, WorkerSettings.make({}))
  )
}

// --- Samplers

const names = (all: ReadonlyArray<string>): string => all.map((name) => `\`${name}\``).join(", ")

const samplersPage = (): string =>
  page(
    "# Samplers and schedules",
    made,
    "`serena samplers` prints the same list. Capital letters do not matter. A sampler's name may carry a schedule's name, as " +
      "in\n`DPM++ 2M Karras`.",
    "## Samplers",
    table(["`sampler_name`", "other names"], Samplers.all.map(({ aliases, name }) => [`\`${name}\``, names(aliases)])),
    "## Schedules",
    table(
      ["`scheduler`", "other names"],
      Schedules.all.map(({ aliases, label, name }) => [`\`${label}\``, names([name, ...aliases])])
    ),
    "## Upscalers",
    "What `hr_upscaler` takes. Latent modes enlarge latents; the others enlarge images, and `upscaler_for_img2img` takes them\n" +
      "too. [Networks](../how-to/larger-images.md#upscalers) come to these, each under the name of its file.",
    table(
      ["`hr_upscaler`", "interpolates"],
      [
        ...latentUpscaleModes.map(({ mode, name }) => [`\`${name}\``, `latents, ${mode}`]),
        ["`None`, `Lanczos`", "images, Lanczos"],
        ["`Nearest`", "images, nearest"]
      ]
    )
  )
