/**
 * Everything that `processImages` requires: the diffusion pipeline on a model that is plain arithmetic.
 *
 * ```ts
 * it.effect("greets with an image", () => greet("Ada").pipe(Effect.provide(TestRuntime.layer())))
 * ```
 *
 * Requests are validated, sampled, decoded, encoded and saved as in production, within a few milliseconds. No model is
 * read and no file is written (see `SavedImages`). No native module is loaded, except to read the init images of
 * img2img.
 */
import * as Layer from "effect/Layer"
import * as DiffusionPipeline from "../diffusion/DiffusionPipeline.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import { Upscalers } from "../images/Upscalers.ts"
import type { Models } from "../model/Models.ts"
import type { CommandOptions } from "../processing/CommandOptions.ts"
import type { Options } from "../processing/Options.ts"
import { StyleBook } from "../processing/StyleBook.ts"
import { WildcardBook } from "../processing/WildcardBook.ts"
import type { PromptStyle } from "../prompt/Styles.ts"
import type { Pipeline } from "../runner/Pipeline.ts"
import { RunnerHooks } from "../runner/RunnerHooks.ts"
import type { Runs } from "../runner/Runs.ts"
import type { CaptureContext } from "../runner/RuntimeContext.ts"
import * as Faults from "./Faults.ts"
import * as PlainEncoder from "./PlainEncoder.ts"
import { RecordingHooks } from "./RecordingHooks.ts"
import { SavedImages } from "./SavedImages.ts"
import * as TestContext from "./TestContext.ts"

/** What `layer` provides. */
export type Services = Process | CaptureContext | Pipeline | RunnerHooks | SavedImages

/** What hooks may use when their layer is built, as with `Serena.layer`. */
export type Process = CommandOptions | Models | Options | Runs | StyleBook | Upscalers | WildcardBook

export interface PipelineOptions extends TestContext.Overrides {
  /** The stages. Defaults to the diffusion pipeline. */
  readonly pipeline?: Layer.Layer<Pipeline, never, DiffusionPipeline.Requirements> | undefined
  /** Styles that requests can name. Defaults to none. */
  readonly styles?: ReadonlyArray<PromptStyle> | undefined
  /** Wildcards of dynamic prompts: the texts of their files by their names. Defaults to none. */
  readonly wildcards?: Readonly<Record<string, string>> | undefined
  /** Faults in the stages. For faults in a model, see `ModelFaults`. */
  readonly faults?: ReadonlyArray<Faults.Fault> | undefined
}

export interface LayerOptions<E = never, R = never> extends PipelineOptions {
  /** Hooks of every run. Defaults to none. */
  readonly hooks?: Layer.Layer<RunnerHooks, E, R> | undefined
}

const layerPipeline = ({ faults = [], pipeline = DiffusionPipeline.layer }: PipelineOptions) =>
  Layer.fresh(pipeline).pipe(
    Faults.layer(...faults),
    Layer.provideMerge(Layer.fresh(SavedImages.layer)),
    Layer.provide(Layer.mergeAll(ImageDecoder.layer, PlainEncoder.layer))
  )

const layerProcess = (options: PipelineOptions) =>
  Layer.mergeAll(
    TestContext.layer(options),
    StyleBook.layerOf(options.styles ?? []),
    WildcardBook.layerOf(options.wildcards ?? {}),
    Upscalers.layerBuiltIn
  )

export const layer = <E = never, R = never>(
  options: LayerOptions<E, R> = {}
): Layer.Layer<Services, E, Exclude<R, Process>> => {
  const process: Layer.Layer<CaptureContext | Process> = layerProcess(options)
  const hooks = options.hooks ?? RunnerHooks.layerNoop
  const provided: Layer.Layer<Process> = process
  return Layer.mergeAll(
    process,
    layerPipeline(options).pipe(Layer.provide(provided)),
    hooks.pipe(Layer.provide(provided))
  )
}

/** The same, recording every hook call. */
export const layerRecording = (options: PipelineOptions = {}): Layer.Layer<Services | RecordingHooks> =>
  Layer.mergeAll(layerPipeline(options), RecordingHooks.layer).pipe(Layer.provideMerge(layerProcess(options)))
