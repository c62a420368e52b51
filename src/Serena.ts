/**
 * The layer with all services that a program needs to generate images.
 *
 * `layer()` provides what `processImages` requires: the diffusion engine as the pipeline, no hooks, and the models
 * found on this machine. To replace a part, provide its own layer instead.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as WorkThreads from "./core/WorkThreads.ts"
import * as DiffusionPipeline from "./diffusion/DiffusionPipeline.ts"
import { ImageDecoder } from "./images/ImageDecoder.ts"
import { ImageEncoder } from "./images/ImageEncoder.ts"
import { ImageStore } from "./images/ImageStore.ts"
import type { Upscalers } from "./images/Upscalers.ts"
import type { Models } from "./model/Models.ts"
import * as devices from "./models/devices.ts"
import { ModelLibrary } from "./models/ModelLibrary.ts"
import { ModelProvider } from "./models/ModelProvider.ts"
import { Networks } from "./models/Networks.ts"
import * as UpscalerProvider from "./models/UpscalerProvider.ts"
import { CommandOptions, type CommandOptionsPatch } from "./processing/CommandOptions.ts"
import { InvalidOptions } from "./processing/InvalidOptions.ts"
import { Options } from "./processing/Options.ts"
import type { OptionsPatch } from "./processing/OptionsSnapshot.ts"
import { StyleBook } from "./processing/StyleBook.ts"
import { WildcardBook } from "./processing/WildcardBook.ts"
import type { Pipeline } from "./runner/Pipeline.ts"
import { RunnerHooks } from "./runner/RunnerHooks.ts"
import { Runs } from "./runner/Runs.ts"
import { CaptureContext } from "./runner/RuntimeContext.ts"

/** The services that `layer` provides. */
export type Services = Process | CaptureContext | Pipeline | RunnerHooks

/** Services that live as long as the process. The layer of hooks can require them. */
export type Process =
  | CommandOptions
  | ModelLibrary
  | ModelProvider
  | Models
  | Options
  | Runs
  | StyleBook
  | Upscalers
  | WildcardBook

export interface LayerOptions<E = never, R = never> {
  /** Hooks of every run; none by default. They can require `Process` and the file system. */
  readonly hooks?: Layer.Layer<RunnerHooks, E, R> | undefined
  /** Initial settings, laid over the defaults. Each request's `override_settings` are laid over these. */
  readonly options?: OptionsPatch | undefined
  /** Folders, device and limits of this process. */
  readonly cmdOpts?: CommandOptionsPatch | undefined
}

/**
 * All services of Serena: `program.pipe(Effect.provide(Serena.layer()))`.
 *
 * Nothing native is loaded, and no model is read, until a run needs it.
 */
export const layer = <E = never, R = never>(
  options: LayerOptions<E, R> = {}
): Layer.Layer<Services, E, Exclude<R, Process | FileSystem.FileSystem | Path.Path>> => {
  const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)
  // `fresh`, because layers that depend on these options must not be shared with another `Serena.layer`.
  const process: Layer.Layer<Process> = Layer.mergeAll(
    Layer.fresh(ModelProvider.layer),
    Layer.fresh(UpscalerProvider.layer),
    Layer.fresh(StyleBook.layer),
    Layer.fresh(WildcardBook.layer)
  ).pipe(
    Layer.provide(Layer.fresh(Networks.layer)),
    Layer.provideMerge(Layer.fresh(ModelLibrary.layer)),
    Layer.provideMerge(
      Layer.mergeAll(Options.layer(options.options), CommandOptions.layer(options.cmdOpts), Runs.layer)
    ),
    Layer.provide(platform)
  )
  const images = Layer.mergeAll(ImageDecoder.layer, ImageEncoder.layer, ImageStore.layer).pipe(Layer.provide(platform))
  const hooks = options.hooks ?? RunnerHooks.layerNoop
  return Layer.mergeAll(
    Layer.effect(CaptureContext, checkedCapture(options)).pipe(
      Layer.provide(Layer.fresh(CaptureContext.layer)),
      Layer.provide(process)
    ),
    Layer.fresh(DiffusionPipeline.layer).pipe(Layer.provide(Layer.mergeAll(images, process))),
    hooks.pipe(Layer.provide(Layer.mergeAll(process, platform))),
    process,
    Layer.fresh(WorkThreads.layer)
  )
}

/** The names of `LayerOptions`. */
const names = ["hooks", "options", "cmdOpts"]

// A device that is not there fails every run before it begins, as other wrong options do.
const checkedCapture = (given: LayerOptions<unknown, unknown>) =>
  Effect.map(CaptureContext.knowing(given, names), ({ capture }) => {
    const { cmdOpts = {} } = given
    const check = Effect.andThen(CommandOptions.check(cmdOpts), checkDevice(cmdOpts.device))
    return CaptureContext.of({ capture: (request) => Effect.andThen(check, capture(request)) })
  })

const checkDevice = (device: CommandOptionsPatch["device"] = "cpu") =>
  Effect.suspend(() => {
    const message = devices.problemOf(device)
    return message === undefined
      ? Effect.void
      : Effect.fail(new InvalidOptions({ problems: [{ path: "cmdOpts.device", message }] }))
  })
