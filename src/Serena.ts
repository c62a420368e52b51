/**
 * Everything a program needs to make pictures, put together in one place.
 *
 * `layer()` gives what `processImages` asks for: the diffusion engine as the pipeline, no hooks, the models found on this
 * machine. Each part can be replaced by its own layer instead.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as DiffusionPipeline from "./diffusion/DiffusionPipeline.ts"
import { ImageEncoder } from "./images/ImageEncoder.ts"
import { ImageStore } from "./images/ImageStore.ts"
import { ModelProvider } from "./models/ModelProvider.ts"
import { Networks } from "./models/Networks.ts"
import { CommandOptions } from "./processing/CommandOptions.ts"
import { Options, type OptionsPatch } from "./processing/Options.ts"
import type { Pipeline } from "./runner/Pipeline.ts"
import { RunnerHooks } from "./runner/RunnerHooks.ts"
import { Runs } from "./runner/Runs.ts"
import { CaptureContext } from "./runner/RuntimeContext.ts"

/** What `layer` gives. */
export type Services = Process | CaptureContext | Pipeline | RunnerHooks

/** What lives as long as the process; hooks may take it when their layer is built. */
export type Process = CommandOptions | ModelProvider | Options | Runs

export interface LayerOptions<E = never, R = never> {
  /** Observers of every run; none when left out. They may ask for `Process` and for the file system. */
  readonly hooks?: Layer.Layer<RunnerHooks, E, R> | undefined
  /** Settings to begin with, over the defaults; each request's `override_settings` go over these. */
  readonly options?: OptionsPatch | undefined
  /** Folders, device and limits of this process. */
  readonly cmdOpts?: Partial<CommandOptions["Service"]> | undefined
}

// A run's model is one that was found on this machine.
const layerCapture = Layer.unwrap(Effect.map(ModelProvider, ({ load }) => CaptureContext.layer(load)))

/**
 * The whole of Serena: `program.pipe(Effect.provide(Serena.layer()))`.
 *
 * Nothing native is loaded, and no model is read, until a run needs it.
 */
export const layer = <E = never, R = never>(
  options: LayerOptions<E, R> = {}
): Layer.Layer<Services, E, Exclude<R, Process | FileSystem.FileSystem | Path.Path>> => {
  const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)
  const process = ModelProvider.layer.pipe(
    Layer.provide(Networks.layer),
    Layer.provideMerge(
      Layer.mergeAll(Options.layer(options.options), CommandOptions.layer(options.cmdOpts), Runs.layer)
    ),
    Layer.provide(platform)
  )
  const hooks = options.hooks ?? RunnerHooks.layerNoop
  return Layer.mergeAll(
    layerCapture.pipe(Layer.provide(process)),
    DiffusionPipeline.layer.pipe(
      Layer.provide(Layer.mergeAll(ImageEncoder.layer, ImageStore.layer)),
      Layer.provide(platform)
    ),
    hooks.pipe(Layer.provide(Layer.mergeAll(process, platform))),
    process
  )
}
