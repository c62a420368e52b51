/**
 * Image generation as typed Effect programs: one runner with three stages, hooks around them, one context for each run,
 * and a real Stable Diffusion engine underneath.
 */

/** Options fixed when the process starts: folders, device, limits. */
export { CommandOptions, type CommandOptionsPatch } from "./processing/CommandOptions.ts"
/** The typed errors of a run, with the problems that they list. */
export { Problem } from "./core/Problem.ts"
export * from "./runner/ProcessingError.ts"
/** Reads the infotext and other text entries of an image file. */
export * as Metadata from "./images/Metadata.ts"
/** Writes and parses infotexts, the generation parameters stored in images. */
export * as Infotext from "./processing/Infotext.ts"
/** Converts an infotext to a request. */
export * as InfotextRequest from "./processing/InfotextRequest.ts"
/** The limits of one request: size, steps, batches. */
export { Limits } from "./processing/Limits.ts"
/** The webui's settings: the service, a change, and the snapshot that a run uses. */
export { Options } from "./processing/Options.ts"
export { OptionsPatch, OptionsSnapshot } from "./processing/OptionsSnapshot.ts"
/** The result of a run: images, grids and masks with their infotexts. */
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
/** Requests for text-to-image and image-to-image. */
export * as Processing from "./processing/Processing.ts"
export { Img2Img, Txt2Img } from "./processing/requests.ts"
/** Seeds of 64 bits: numbers, or beyond 2^53 bigints. */
export * as Seed from "./core/Seed.ts"
/** The schema of a request's image: bytes, or base64 in JSON. */
export { ImageBytes } from "./processing/ImageBytes.ts"
/** Services that decode, encode and save images, which a pipeline requires. */
export { ImageDecoder } from "./images/ImageDecoder.ts"
export { ImageEncoder } from "./images/ImageEncoder.ts"
export { ImageStore } from "./images/ImageStore.ts"
/** The pixels of an image in memory. */
export type { Raster } from "./core/Raster.ts"
/** The service that enlarges images. */
export { type UpscalerEntry, Upscalers } from "./images/Upscalers.ts"
/** The service that provides styles, which are named additions to prompts. */
export { StyleBook } from "./processing/StyleBook.ts"
export { WildcardBook } from "./processing/WildcardBook.ts"
/** The plan that the prepare stage makes of a request. */
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
/** The three stages with hooks around them, for work of any kind. */
export * as Lifecycle from "./runner/Lifecycle.ts"
/** The interface of a loaded model: text encoders, denoiser, VAE. */
export type { LatentShape, LatentSize } from "./core/LatentShape.ts"
export type { Autoencoder, Seams } from "./model/Autoencoder.ts"
export type {
  Conditioner,
  Conditioning,
  ConditioningRequest,
  EncodedChunk,
  NamedTensors,
  ScheduledConditioning,
  Tensor,
  TextEncoder,
  TextEncoders
} from "./model/Conditioner.ts"
export type { LatentFormat, LatentRgb } from "./model/LatentFormat.ts"
export type { DenoisingCall, DenoisingShape, LoadedModel } from "./model/LoadedModel.ts"
export type { SourceChannels, SourceImage, SourceTools } from "./model/SourceChannels.ts"
export type { Vocabulary } from "./prompt/Chunks.ts"
/** How a model's training mixes images with noise. */
export { isLoaded, requireLoaded } from "./model/LoadedModel.ts"
export * as NoiseProcess from "./sampling/NoiseProcess.ts"
/** The facts of a model that need no networks, and the error of a network call. */
export type { NetworkError } from "./model/ModelError.ts"
export type { FamilySetting, ModelInfo } from "./model/ModelInfo.ts"
/** The service that loads the models of a run. */
export { Models } from "./model/Models.ts"
/** The three stages of image generation, as a service. */
export { Pipeline } from "./runner/Pipeline.ts"
/** Runs one request; every entrypoint calls this function. */
export { processImages } from "./runner/processImages.ts"
/** A request together with its pipeline, as the runner takes it. */
export * as ProcessingRequest from "./runner/ProcessingRequest.ts"
/** Executes requests: context, stages, hooks, finalization. */
export * as ProcessingRunner from "./runner/ProcessingRunner.ts"
/** Hooks that observe the stages of runs. */
export { type HookSet, RunnerHooks } from "./runner/RunnerHooks.ts"
/** The runs of this process by their run ids. */
export { Runs } from "./runner/Runs.ts"
/** The live progress and previews of a run, and requests to end it early. */
export * as RunState from "./runner/RunState.ts"
/** The context of a run: settings, options, model, device. */
export { CaptureContext, type Device, RuntimeContext } from "./runner/RuntimeContext.ts"
/** The layer with all services that a program needs. */
export * as Serena from "./Serena.ts"
/** The service that lists and loads the installed models. */
export { type ModelEntry, ModelProvider } from "./models/ModelProvider.ts"
