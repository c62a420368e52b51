/**
 * Everything that `processImages` asks for, with the images made on another server:
 * `program.pipe(Effect.provide(RemoteRuntime.layer({ url: "http://127.0.0.1:7860" })))`.
 *
 * Settings, limits and saved files are this process's own; settings that affect images are sent with each request.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Size } from "../core/Geometry.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import { ImageStore } from "../images/ImageStore.ts"
import type { ModelInfo } from "../model/ModelInfo.ts"
import { CommandOptions, type CommandOptionsPatch } from "../processing/CommandOptions.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsPatch } from "../processing/OptionsSnapshot.ts"
import type { Pipeline } from "../runner/Pipeline.ts"
import { RunnerHooks } from "../runner/RunnerHooks.ts"
import { Runs } from "../runner/Runs.ts"
import { CaptureContext } from "../runner/RuntimeContext.ts"
import * as RemotePipeline from "./RemotePipeline.ts"

/** What `layer` gives. */
export type Services = Process | CaptureContext | Pipeline | RunnerHooks

/** What hooks may take when their layer is built. */
export type Process = CommandOptions | Options | Runs

export interface LayerOptions<E = never, R = never> extends RemotePipeline.RemotePipelineOptions {
  /** Observers of every run; none when left out. */
  readonly hooks?: Layer.Layer<RunnerHooks, E, R> | undefined
  /** Settings to begin with, over the defaults. Those that are not defaults go along with each request. */
  readonly options?: OptionsPatch | undefined
  /** Limits of this process. */
  readonly cmdOpts?: CommandOptionsPatch | undefined
  /** Size of images when a request names none, in pixels; 512x512 when left out. */
  readonly defaultSize?: Size | undefined
}

// What is known of the model before the server is asked: the API takes sizes in steps of 8 pixels.
const modelAt = (url: string, defaultSize: Size): ModelInfo => ({ name: url, defaultSize, sizeMultiple: 8 })

const names = ["url", "auth", "pollInterval", "hooks", "options", "cmdOpts", "defaultSize"]

/** The contexts of runs whose model is elsewhere. */
export const layerContext = (given: LayerOptions) => {
  const { cmdOpts, defaultSize = { width: 512, height: 512 }, options, url } = given
  return Layer.effect(CaptureContext, CaptureContext.knowing(given, names)).pipe(
    Layer.provide(CaptureContext.layerWith(() => Effect.succeed(modelAt(url, defaultSize)))),
    Layer.provideMerge(Layer.mergeAll(CommandOptions.layer(cmdOpts), Options.layer(options), Runs.layer))
  )
}

/** Nothing is asked of the server until a run needs it. */
export const layer = <E = never, R = never>(
  options: LayerOptions<E, R>
): Layer.Layer<Services, E, Exclude<R, Process>> => {
  const { hooks = RunnerHooks.layerNoop, ...others } = options
  const process: Layer.Layer<CaptureContext | Process> = layerContext(others)
  const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)
  const pipeline = RemotePipeline.layer(options).pipe(
    Layer.provide(Layer.mergeAll(NodeHttpClient.layerNodeHttp, ImageDecoder.layer, ImageEncoder.layer)),
    Layer.provide(ImageStore.layer.pipe(Layer.provide(platform)))
  )
  const provided: Layer.Layer<Process> = process
  return Layer.mergeAll(process, pipeline, hooks.pipe(Layer.provide(provided)))
}
