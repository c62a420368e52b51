/**
 * Everything that `processImages` asks for, with the images made by workers:
 * `program.pipe(Effect.provide(ClusterRuntime.layer({ database: "postgres://…", blobs: "/mnt/runs" })))`.
 *
 * Settings, limits, hooks and saved files are this process's own; settings that affect images go along with each run.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Size } from "../core/Geometry.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import { ImageStore } from "../images/ImageStore.ts"
import { CommandOptions, type CommandOptionsPatch } from "../processing/CommandOptions.ts"
import { Options } from "../processing/Options.ts"
import type { OptionsPatch } from "../processing/OptionsSnapshot.ts"
import type { Pipeline } from "../runner/Pipeline.ts"
import { RunnerHooks } from "../runner/RunnerHooks.ts"
import { Runs } from "../runner/Runs.ts"
import { CaptureContext } from "../runner/RuntimeContext.ts"
import type { BlobError } from "../runs/BlobStore.ts"
import type { RunStoreError } from "../runs/RunStore.ts"
import * as Stores from "../runs/Stores.ts"
import * as ClusterPipeline from "./ClusterPipeline.ts"

/** What `layer` gives. */
export type Services = Process | CaptureContext | Pipeline | RunnerHooks

/** What hooks may take when their layer is built. */
export type Process = CommandOptions | Options | Runs

/** What contexts of runs whose model is elsewhere are made of. */
export interface ContextOptions extends ClusterPipeline.ClusterPipelineOptions {
  /** Settings to begin with, over the defaults. Those that are not defaults go along with each run. */
  readonly options?: OptionsPatch | undefined
  /** Limits of this process. */
  readonly cmdOpts?: CommandOptionsPatch | undefined
  /** What plans show as the size of a request that names none; 512x512 by default. Its worker's model decides. */
  readonly defaultSize?: Size | undefined
}

export interface LayerOptions<E = never, R = never> extends ContextOptions {
  /** The address of the PostgreSQL database that the workers have, too. */
  readonly database: string
  /** Where they keep the files of runs: a folder that all of them see, or `s3://bucket/prefix`. */
  readonly blobs: string
  /** Observers of every run; none by default. */
  readonly hooks?: Layer.Layer<RunnerHooks, E, R> | undefined
}

const names = [
  "database",
  "blobs",
  "labels",
  "priority",
  "client",
  "keep",
  "hooks",
  "options",
  "cmdOpts",
  "defaultSize"
]

/** The contexts of runs whose model is elsewhere. */
export const layerContext = (given: ContextOptions) => {
  const { cmdOpts, defaultSize = { width: 512, height: 512 }, options } = given
  return Layer.effect(CaptureContext, CaptureContext.knowing(given, names)).pipe(
    // The networks of diffusion models take sizes in steps of 8 pixels.
    Layer.provide(CaptureContext.layerWith((name) => Effect.succeed({ name, defaultSize, sizeMultiple: 8 }))),
    Layer.provideMerge(Layer.mergeAll(CommandOptions.layer(cmdOpts), Options.layer(options), Runs.layer))
  )
}

/** Fails when the database or the place of files cannot be used. */
export const layer = <E = never, R = never>(
  options: LayerOptions<E, R>
): Layer.Layer<Services, BlobError | E | RunStoreError, Exclude<R, Process>> => {
  const { blobs, database, hooks = RunnerHooks.layerNoop, ...others } = options
  const process: Layer.Layer<CaptureContext | Process> = layerContext(others)
  const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)
  const pipeline = ClusterPipeline.layer(others).pipe(
    Layer.provide(Layer.mergeAll(ImageDecoder.layer, ImageEncoder.layer, ImageStore.layer)),
    Layer.provide(Stores.layer({ database, blobs })),
    Layer.provide(platform)
  )
  const provided: Layer.Layer<Process> = process
  return Layer.mergeAll(process, pipeline, hooks.pipe(Layer.provide(provided)))
}
