/**
 * `serena contact-sheet`: makes the pictures one after the other on one loaded model, and puts them into one.
 *
 * The path of the file goes to standard output, all else to standard error.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import { filled, paste, type Raster } from "../core/Raster.ts"
import { grid } from "../images/Grid.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import { label, labelSize } from "../images/Label.ts"
import * as Progress from "../instrumentation/Progress.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import { decode, type Processing, Txt2Img } from "../processing/Processing.ts"
import { processImages } from "../runner/processImages.ts"
import { RunnerHooks } from "../runner/RunnerHooks.ts"
import * as Samplers from "../sampling/Samplers.ts"
import * as Schedules from "../sampling/Schedules.ts"
import * as Serena from "../Serena.ts"
import { type Input, table } from "./contactSheet.ts"
import { defaults } from "./demo.ts"
import { Stopped, UnusableFile } from "./failures.ts"
import { byFlag, notNumbers, written } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"
import * as Signals from "./Signals.ts"

/** Makes the sheet, writes it, and prints its path. Fails with `Stopped` when a signal ended it early. */
export const drawContactSheet = Effect.fnUntraced(
  function*(input: Input) {
    const { cells, setup } = yield* asked(input)
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const unusable = ({ reason }: PlatformError.PlatformError) =>
      new UnusableFile({ file: input.out, reason: `it cannot be written: ${reason._tag}. Name another with --out.` })
    // What cannot be written is not made.
    yield* fs.access(path.dirname(input.out), { writable: true }).pipe(Effect.mapError(unusable))
    const signals = yield* Signals.make({ announce: (message) => input.quiet ? Effect.void : Console.error(message) })
    const progress = input.quiet ? [] : [yield* Progress.make({ columns })]
    const made = yield* Effect.forEach(
      cells,
      Effect.fnUntraced(function*({ name, processing }, i) {
        if ((yield* signals.received) !== undefined) return []
        if (!input.quiet) yield* Console.error(`${name} (${i + 1} of ${cells.length})`)
        const { images: [image], interrupted, warnings } = yield* processImages(processing)
        if (!input.quiet) { for (const warning of warnings) yield* Console.error(`Warning: ${warning}`) }
        return image === undefined || interrupted ? [] : [{ name, image }]
      })
    ).pipe(
      Effect.provide(Serena.layer({
        hooks: RunnerHooks.layer(signals.hooks, ...progress),
        options: { ...setup.options, samples_save: false },
        cmdOpts: setup.cmdOpts
      })),
      // What only the model could tell is told by the flag's name as well.
      Effect.catchTag(
        "InvalidProcessing",
        ({ problems }) => Effect.fail(new InvalidProcessing({ problems: unique(problems) }))
      ),
      signals.guard
    )
    const pictures = Option.getOrElse(made, () => []).flat()
    const signal = yield* signals.received
    const [first] = pictures
    if (first === undefined || signal !== undefined) {
      return yield* new Stopped({
        signal: signal ?? "SIGINT",
        message: input.quiet ? "" : "Stopped: no sheet was made."
      })
    }

    const raster = sheet(pictures.map(({ image: { height, pixels, width }, name }) => ({
      name,
      raster: { width, height, channels: 3, data: pixels }
    })))
    const { encode } = yield* ImageEncoder
    // As a grid has it: what makes the first picture again.
    const bytes = yield* encode({ raster, infotext: first.image.infotext }, {
      format: "png",
      quality: 100,
      lossless: true
    })
    yield* fs.writeFile(input.out, bytes).pipe(Effect.mapError(unusable))
    yield* Console.log(input.out)
  },
  Effect.provide(ImageEncoder.layer),
  Effect.scoped
)

interface Cell {
  readonly name: string
  readonly processing: Processing
}

// One request for each sampler or schedule, and how the process is set up. Fails with every flag that cannot be used.
const asked = Effect.fnUntraced(function*(input: Input) {
  const setup = yield* Effect.result(ProcessFlags.decode(input))
  const cells = yield* Effect.result(Effect.mapError(requests(input), ({ problems }) => problems))
  const problems = [
    ...notNumbers(input.request, table),
    ...(Result.isFailure(cells) ? cells.failure : []),
    ...(Result.isFailure(setup) ? setup.failure : [])
  ]
  if (Result.isFailure(setup) || Result.isFailure(cells) || problems.length > 0) {
    return yield* new InvalidProcessing({ problems: unique(problems) })
  }
  return { cells: cells.success, setup: setup.success }
})

const requests = Effect.fnUntraced(function*(input: Input) {
  const { seed = defaults.seed, size, ...fields } = written(input.request, table)
  // One random seed for all.
  const same = seed === -1 ? yield* Random.nextIntBetween(0, 2 ** 32) : seed
  const of = (name: string, change: object): Effect.Effect<Cell, InvalidProcessing> => {
    const request = {
      ...defaults,
      steps: Txt2Img.make({}).steps,
      ...(Option.isSome(input.prompt) && { prompt: input.prompt.value }),
      ...(size !== undefined && { width: size, height: size }),
      ...fields,
      seed: same,
      ...change
    }
    return Effect.map(decode(request), (processing) => ({ name, processing }))
  }
  return yield* input.schedules
    ? Effect.forEach(Schedules.all, ({ label, name }) => of(label, { scheduler: name }))
    : Effect.forEach(Samplers.all, ({ name }) => of(name, { sampler_name: name }))
})

const named = byFlag({ ...ProcessFlags.table, ...table, width: table.size, height: table.size })

// Width and height are one flag.
const unique = (problems: ReadonlyArray<Problem>): ReadonlyArray<Problem> => {
  const byPath = new Map(problems.map(named).map((problem) => [problem.path, problem]))
  return [...byPath.values()]
}

const gap = 4
// Rows for one column.
const flatness = 0.6

/** All pictures in rows, each with its name under it: RGB on black. Cells are as wide as the widest name at least. */
export const sheet = (pictures: ReadonlyArray<{ readonly name: string; readonly raster: Raster }>): Raster => {
  const widest = Math.max(0, ...pictures.map(({ name }) => labelSize(name).width))
  const tallest = Math.max(0, ...pictures.map(({ raster }) => raster.height))
  const broadest = Math.max(widest, ...pictures.map(({ raster }) => raster.width))
  const scale = Math.max(1, Math.floor(broadest / Math.max(1, widest)))
  const cell = { width: broadest + gap, height: tallest + labelSize("", scale).height + gap }
  const cells = pictures.map(({ name, raster }) => {
    const text = label(name, { scale, width: broadest })
    const left = Math.floor((broadest - raster.width) / 2)
    return paste(paste(filled(cell, 3), raster, left, 0), text, 0, tallest + 1)
  })
  return grid(cells, { rows: Math.max(1, Math.floor(Math.sqrt(cells.length * flatness))), batchSize: 1 })
}

const columns = Effect.sync(() => process.stderr.columns || 80)
