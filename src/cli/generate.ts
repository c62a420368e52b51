/**
 * Executes the request of a command: the part of the command line that loads the engine.
 *
 * Paths or JSON go to standard output when the run has ended, everything else to standard error.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { toJson } from "../core/Seed.ts"
import * as Progress from "../instrumentation/Progress.ts"
import { unusableModels } from "../models/ModelFiles.ts"
import { ModelLibrary } from "../models/ModelLibrary.ts"
import { ModelProvider } from "../models/ModelProvider.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { Processing } from "../processing/Processing.ts"
import type { RemoteOptions } from "../remote/RemoteServer.ts"
import type { Processed, ProcessedImage } from "../runner/Processed.ts"
import { processImages } from "../runner/processImages.ts"
import { RunnerHooks } from "../runner/RunnerHooks.ts"
import * as Serena from "../Serena.ts"
import { Stopped } from "./failures.ts"
import type { Asked } from "./GenerateFlags.ts"
import * as Signals from "./Signals.ts"
import { observe } from "./telemetry.ts"

export interface Options extends Asked {
  readonly json: boolean
  readonly quiet: boolean
}

/** Generates the images, and prints and returns them. Fails with `Stopped` if a signal ended the run early. */
export const generate = Effect.fnUntraced(function*({ json, named, processing, quiet, setup, via }: Options) {
  const signals = yield* Signals.make({ announce: (message) => quiet ? Effect.void : say(message) })
  const progress = quiet ? [] : [yield* Progress.make({ columns })]
  const telemetry = yield* observe(setup.otlpEndpoint)
  // Sent after the output, so that a collector that does not answer cannot delay it.
  const exporter = yield* Layer.build(telemetry.layer).pipe(
    Effect.updateService(References.MinimumLogLevel, (level) => quiet ? "Error" : level)
  )

  const model = processing.override_settings.sd_model_checkpoint ?? setup.options.sd_model_checkpoint ?? ""
  const layerOptions = {
    hooks: RunnerHooks.layer(signals.hooks, ...progress, ...telemetry.hooks),
    options: setup.options,
    cmdOpts: setup.cmdOpts
  }
  const choose = quiet || model !== "" ? Effect.void : sayModel
  const made = via === undefined
    ? Effect.andThen(choose, processImages(processing)).pipe(
      telemetry.continued,
      Effect.provide(Serena.layer(layerOptions))
    )
    : Effect.flatMap(
      remoteOptions(via, processing, model),
      ({ RemoteRuntime, ...server }) =>
        processImages(processing).pipe(
          telemetry.continued,
          Effect.provide(RemoteRuntime.layer({ ...layerOptions, ...server }))
        )
    )
  const processed = yield* made.pipe(
    Effect.provideContext(exporter),
    // Problems that only the model reveals name their flags, too.
    Effect.catchTag(
      "InvalidProcessing",
      ({ problems }) => Effect.fail(new InvalidProcessing({ problems: problems.map(named) }))
    ),
    // What was saved before the disk was full, say, is printed as after a whole run.
    Effect.tapErrorTag(
      "SaveError",
      ({ saved = [] }) => Effect.forEach(saved, (path) => Console.log(json ? JSON.stringify({ path }) : path))
    ),
    signals.guard
  )
  const signal = yield* signals.received
  if (Option.isNone(processed)) {
    return yield* new Stopped({ signal: signal ?? "SIGINT", message: quiet ? "" : "Stopped." })
  }
  const { extraImages, images, interrupted, state, warnings } = processed.value
  const saved = savedImages(processed.value)
  // Of an interrupted run, images that are neither whole nor saved are not shown.
  const shown = images.filter(({ complete, path }) => complete || path !== undefined)
  if (json) { for (const image of shown) yield* Console.log(jsonLine(image)) }
  else for (const { path } of saved) yield* Console.log(path)
  for (const { kind, path } of extraImages) {
    if (json) yield* Console.log(JSON.stringify({ path: path ?? null, kind }))
    else if (path !== undefined) yield* Console.log(path)
  }
  if (!quiet) { for (const warning of warnings) yield* Console.error(`Warning: ${warning}`) }
  if (interrupted && signal !== undefined) {
    const asked = state.batches.flat().length
    return yield* new Stopped({
      signal,
      message: quiet ? "" : `Stopped: saved ${saved.length} of ${asked} ${asked === 1 ? "image" : "images"}.`
    })
  }
  return saved
}, Effect.scoped)

// How runs are made on a server. Images without a size have that of its model.
const remoteOptions = Effect.fnUntraced(function*(
  via: RemoteOptions,
  { height, width }: Processing,
  model: string
) {
  const remote = yield* Effect.promise(() => import("./remote.ts"))
  const defaultSize = height === undefined || width === undefined ? yield* remote.sizeAt(via, model) : undefined
  return { ...via, defaultSize, RemoteRuntime: remote.RemoteRuntime }
})

// Says which model is used when none is named, and what else is in the models folder and does not load.
const sayModel = Effect.gen(function*() {
  const own = (yield* (yield* ModelProvider).list).filter(({ embedded }) => !embedded)
  const [first] = own
  // Without one the run fails and says why, or the embedded model is the only one.
  if (first === undefined) return
  const which = own.length === 1 ? "the only one" : `the first of ${own.length}`
  const folders = (yield* (yield* ModelLibrary).folders).join(" and ")
  yield* Console.error(`Warning: no model is named; using ${first.name}, ${which} in ${folders}. Choose with --model.`)
  for (const { message, path } of yield* unusableModels) {
    yield* Console.error(`Warning: not used: ${path} (${message}).`)
  }
})

type Saved = ProcessedImage & { readonly path: string }

const savedImages = ({ images }: Processed): ReadonlyArray<Saved> =>
  images.flatMap((image) => image.path === undefined ? [] : [{ ...image, path: image.path }])

// An image that is not saved has no path.
const jsonLine = ({ height, infotext, negativePrompt, path, prompt, seed, width }: ProcessedImage): string =>
  JSON.stringify({
    path: path ?? null,
    seed: toJson(seed),
    width,
    height,
    prompt,
    negative_prompt: negativePrompt,
    infotext
  })

// Replaces the open line of the progress display, which continues below.
const say = (message: string) =>
  Effect.suspend(() => Console.error(process.stderr.isTTY ? `\r\u001B[K${message}` : message))

const columns = Effect.sync(() => process.stderr.columns || 80)
