/**
 * Image generation as typed Effect programs: one runner with three stages, hooks around them, one context for each run,
 * and a real Stable Diffusion engine underneath.
 */

/** Process-wide decisions: folders, device, limits. */
export { CommandOptions, type CommandOptionsPatch } from "./processing/CommandOptions.ts"
/** Everything that can go wrong, as values. */
export { Problem } from "./core/Problem.ts"
export * from "./runner/ProcessingError.ts"
/** What a picture's file tells beside the picture: how it was made, and other texts. */
export * as Metadata from "./images/Metadata.ts"
/** The text that tells how a picture was made. */
export * as Infotext from "./processing/Infotext.ts"
/** From such a text back to a request. */
export * as InfotextRequest from "./processing/InfotextRequest.ts"
/** How much one request may ask for. */
export { Limits } from "./processing/Limits.ts"
/** Settings, live and as a run's snapshot. */
export { Options, OptionsPatch, OptionsSnapshot } from "./processing/Options.ts"
/** What came out. */
export type {
  EncodedImage,
  ExtraImage,
  ExtraKind,
  Generated,
  GeneratedImage,
  ImageFile,
  Processed,
  ProcessedImage
} from "./runner/Processed.ts"
/** What to make. */
export * as Processing from "./processing/Processing.ts"
export { Img2Img, Txt2Img } from "./processing/requests.ts"
/** A picture that comes with a request. */
export { ImageBytes } from "./processing/ImageBytes.ts"
/** Pictures read, written, and kept: what a pipeline takes. */
export { ImageDecoder } from "./images/ImageDecoder.ts"
export { ImageEncoder } from "./images/ImageEncoder.ts"
export { ImageStore } from "./images/ImageStore.ts"
/** A picture in memory. */
export type { Raster } from "./core/Raster.ts"
/** What makes pictures larger. */
export { type UpscalerEntry, Upscalers } from "./images/Upscalers.ts"
/** Prompts kept under a name. */
export { StyleBook } from "./processing/StyleBook.ts"
/** What prepare made of a request. */
export type { Region } from "./core/Geometry.ts"
export type { PassLevels } from "./planning/levels.ts"
export type {
  HiresPlan,
  ImagePlan,
  MaskPlan,
  PassPlan,
  PlannedSampler,
  PlannedScheduler,
  RefinerPlan,
  RunPlan,
  SourcePixels,
  SourcePlan
} from "./planning/RunPlan.ts"
/** Stages and hooks for work of any kind. */
export * as Lifecycle from "./runner/Lifecycle.ts"
/** What a run may ask of a model. */
export type { LatentSize } from "./core/LatentShape.ts"
export type {
  DenoisingCall,
  EncodedChunk,
  LatentRgb,
  LoadedModel,
  Seams,
  TextEncoder,
  Vocabulary
} from "./model/LoadedModel.ts"
export { isLoaded, requireLoaded } from "./model/LoadedModel.ts"
/** What is known of a model without its networks. */
export type { NetworkError } from "./model/ModelError.ts"
export type { DenoisingInputs, ModelFamily, ModelInfo, NoiseScheduleConfig } from "./model/ModelInfo.ts"
/** Where a run gets its models. */
export { Models } from "./model/Models.ts"
/** The three stages of image generation, as a service. */
export { Pipeline } from "./runner/Pipeline.ts"
/** The door that every entrypoint uses. */
export { processImages } from "./runner/processImages.ts"
/** What wraps a `Processing` for one run. */
export * as ProcessingRequest from "./runner/ProcessingRequest.ts"
/** The one execution surface. */
export * as ProcessingRunner from "./runner/ProcessingRunner.ts"
/** The observers of runs. */
export { type HookSet, RunnerHooks } from "./runner/RunnerHooks.ts"
/** The runs of this process, by their ids. */
export { Runs } from "./runner/Runs.ts"
/** How far a run is, live. */
export * as RunState from "./runner/RunState.ts"
/** What a run happens in. */
export { CaptureContext, type Device, RuntimeContext } from "./runner/RuntimeContext.ts"
/** Everything put together. */
export * as Serena from "./Serena.ts"
/** The models there are. */
export { type ModelEntry, ModelProvider } from "./models/ModelProvider.ts"
