/**
 * `serena contact-sheet`: generates the images one after the other on one loaded model, and combines them into a sheet.
 *
 * The path of the file goes to standard output, everything else to standard error.
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

/** Generates and writes the sheet, and prints its path. Fails with `Stopped` if a signal ended it early. */
export const drawContactSheet = Effect.fnUntraced(
  function*(input: Input) {
    const { cells, setup } = yield* asked(input)
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const unusable = ({ reason }: PlatformError.PlatformError) =>
      new UnusableFile({
        file: input.out,
        reason: `the file cannot be written: ${reason._tag}. Name another with --out.`
      })
    // Fails before any image is generated if the file cannot be written.
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
      // Problems that only the model reveals name their flags, too.
      Effect.catchTag(
        "InvalidProcessing",
        ({ problems }) => Effect.fail(new InvalidProcessing({ problems: unique(problems) }))
      ),
      signals.guard
    )
    const images = Option.getOrElse(made, () => []).flat()
    const signal = yield* signals.received
    const [first] = images
    if (first === undefined || signal !== undefined) {
      return yield* new Stopped({
        signal: signal ?? "SIGINT",
        message: input.quiet ? "" : "Stopped: the sheet was not written."
      })
    }

    const raster = sheet(images.map(({ image: { height, pixels, width }, name }) => ({
      name,
      raster: { width, height, channels: 3, data: pixels }
    })))
    const { encode } = yield* ImageEncoder
    // Like a grid, the sheet has the infotext of its first image.
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

// One request per sampler or schedule, and the setup of the process. Fails with the problems of all flags.
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
  // One random seed for all images.
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

// Width and height share one flag.
const unique = (problems: ReadonlyArray<Problem>): ReadonlyArray<Problem> => {
  const byPath = new Map(problems.map(named).map((problem) => [problem.path, problem]))
  return [...byPath.values()]
}

const gap = 4
// Rows per column.
const flatness = 0.6

/** All images in rows, each with its name below: RGB on black. Cells are at least as wide as the widest name. */
export const sheet = (images: ReadonlyArray<{ readonly name: string; readonly raster: Raster }>): Raster => {
  const widest = Math.max(0, ...images.map(({ name }) => labelSize(name).width))
  const tallest = Math.max(0, ...images.map(({ raster }) => raster.height))
  const broadest = Math.max(widest, ...images.map(({ raster }) => raster.width))
  const scale = Math.max(1, Math.floor(broadest / Math.max(1, widest)))
  const cell = { width: broadest + gap, height: tallest + labelSize("", scale).height + gap }
  const cells = images.map(({ name, raster }) => {
    const text = label(name, { scale, width: broadest })
    const left = Math.floor((broadest - raster.width) / 2)
    return paste(paste(filled(cell, 3), raster, left, 0), text, 0, tallest + 1)
  })
  return grid(cells, { rows: Math.max(1, Math.floor(Math.sqrt(cells.length * flatness))), batchSize: 1 })
}

const columns = Effect.sync(() => process.stderr.columns || 80)
