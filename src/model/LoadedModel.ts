/**
 * What a run may ask of a model.
 *
 * The runner and the engine know a model only by this contract: the live one runs ONNX networks, a test's one can be
 * arithmetic. All pixels and latents are flat `Float32Array`s in row-major order.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LatentSize } from "../core/LatentShape.ts"
import { InferenceError, type InvalidModelFolder, type NetworkError } from "./ModelError.ts"
import type { DenoisingInputs, ModelFamily, ModelInfo, NoiseScheduleConfig } from "./ModelInfo.ts"

/** The affine map from a latent value's channels to the mean colour of its pixels, -1 to 1: a cheap preview. */
export interface LatentRgb {
  /** `[channels][3]`. */
  readonly factors: ReadonlyArray<ReadonlyArray<number>>
  /** `[3]`. */
  readonly bias: ReadonlyArray<number>
}

/** A tokenizer: token ids of a text, and its special tokens. */
export interface Vocabulary {
  /** Ids of a text alone, without start and end. */
  readonly encode: (text: string) => ReadonlyArray<number>
  /** The last id of ",". */
  readonly comma: number
  readonly start: number
  readonly end: number
  /**
   * What follows the first end token: the end token itself, or another (0) for Stable Diffusion 2 and XL's second
   * encoder.
   */
  readonly padding: number
}

/** A portion of a text, 77 ids, as a text encoder reads it. */
export interface EncodedChunk {
  /** `[77, width]`. A buffer that is remembered and shared: copy what must change. */
  readonly values: Float32Array
  /** `[pooledWidth]`, the projection of the text as a whole; empty for encoders without one. */
  readonly pooled: Float32Array
}

/** A text encoder with its tokenizer. Embeddings that were computed before are remembered. */
export interface TextEncoder {
  readonly vocabulary: Effect.Effect<Vocabulary, NetworkError>
  readonly width: number
  /**
   * Largest `clipSkip` that its file supports; 1 where hidden states are not among its outputs, or where the model was
   * trained on one certain layer.
   */
  readonly largestClipSkip: Effect.Effect<number, NetworkError>
  /**
   * Encodes 77 ids. `clipSkip` counts layers from the end: 1 is what the model was trained with, 2 leaves one out; more
   * than `largestClipSkip` acts as that.
   */
  readonly encode: (
    ids: ReadonlyArray<number>,
    options: { readonly clipSkip: number }
  ) => Effect.Effect<EncodedChunk, NetworkError>
}

/** Options of every network that works on images. */
export interface Seams {
  /** Whether the left edge continues at the right one, and the top at the bottom, so that images tile. */
  readonly seamless?: boolean | undefined
}

/**
 * What limits the memory of the process: what the machine has free, its control group (a container's, for instance),
 * its address space (`ulimit -v`), or the process option `maxMemory`.
 */
export type MemoryLimit = "machine" | "container" | "address space" | "max-memory"

/** What one call of a network takes in addition to its weights, and what there is for it, in bytes. */
export interface MemoryEstimate {
  readonly needed: number
  readonly available: number
  /** What sets `available`. */
  readonly limit: MemoryLimit
  /**
   * Whether `needed` is the least: the graph does not tell, and a smaller call was measured. A larger one takes more at
   * least in proportion.
   */
  readonly isLeast?: boolean | undefined
}

/** Latents that are denoised together. */
export interface DenoisingShape extends LatentSize, Seams {
  readonly batch: number
  /** Tokens of each one's text. */
  readonly tokens: number
}

/**
 * What calls would take. Undefined where a call is too small to matter, on devices with memory of their own, and where
 * a network's graph does not tell and no smaller call was measured.
 */
export interface MemoryEstimates {
  readonly denoising: (shape: DenoisingShape) => Effect.Effect<MemoryEstimate | undefined, NetworkError>
  readonly decode: (shape: LatentSize & Seams) => Effect.Effect<MemoryEstimate | undefined, NetworkError>
  readonly encode: (shape: LatentSize & Seams) => Effect.Effect<MemoryEstimate | undefined, NetworkError>
}

/**
 * One shape of denoising call, with its buffers. Write `sample` (and the others once), run, read `prediction`; no
 * memory is taken between calls.
 */
export interface DenoisingCall {
  /** `[batch, inputs.channels, height/8, width/8]`, scaled as the network expects it. */
  readonly sample: Float32Array
  /** `[batch, tokens, inputs.context]`. */
  readonly conditioning: Float32Array
  /** `[batch, inputs.pooled]`. */
  readonly pooled: Float32Array
  /** `[batch, inputs.timeIds]`. */
  readonly timeIds: Float32Array
  /** `[batch, inputs.guidance]`. */
  readonly guidance: Float32Array
  /** `[batch, latentChannels, height/8, width/8]`: noise or velocity, as the model's `prediction_type` says. */
  readonly prediction: Float32Array
  /** Runs the network at training timestep `t`, which may be fractional; the network's own number type decides. */
  readonly run: (t: number) => Effect.Effect<void, NetworkError>
}

/** A model whose networks run in this process. */
export interface LoadedModel extends ModelInfo {
  readonly family: ModelFamily
  /** First 10 hex digits of the SHA-256 of the denoising network's file. */
  readonly hash: Effect.Effect<string, InvalidModelFolder>
  readonly latentScale: number
  readonly latentChannels: number
  readonly noise: NoiseScheduleConfig
  readonly inputs: DenoisingInputs
  /** Absent for models without a fitted one. */
  readonly latentRgb: LatentRgb | undefined
  /** Opens every network that a txt2img run needs, ahead of its first use. */
  readonly warm: Effect.Effect<void, NetworkError>
  /** One, or two whose embeddings lie side by side (SDXL). The last one's `pooled` is the text's. */
  readonly textEncoders: readonly [TextEncoder, ...ReadonlyArray<TextEncoder>]
  /**
   * Buffers and call for `batch` latents of `[channels, height, width]`; freed with the scope. They go through the
   * network `rowsAtOnce` at a time where it is given, all at once without it.
   */
  readonly denoising: (
    shape: DenoisingShape & { readonly rowsAtOnce?: number | undefined }
  ) => Effect.Effect<DenoisingCall, NetworkError, Scope.Scope>
  /** Absent where nothing is known. */
  readonly estimates?: MemoryEstimates | undefined
  /** The same as `decode` for previews, apart from the runs' own calls; without it `decode` is used. */
  readonly decodePreview?: LoadedModel["decode"]
  /** One latent `[channels, height, width]` to RGB `[3, height * 8, width * 8]`, about -1 to 1. */
  readonly decode: (latent: Float32Array, shape: LatentSize & Seams) => Effect.Effect<Float32Array, NetworkError>
  /**
   * RGB `[3, height * 8, width * 8]`, -1 to 1, to the mean of its latent `[channels, height, width]`, scaled as
   * sampling expects it. Fails with `InvalidModelFolder` for a folder without an encoder.
   */
  readonly encode: (pixels: Float32Array, shape: LatentSize & Seams) => Effect.Effect<Float32Array, NetworkError>
}

/** Whether the networks of a model run in this process. */
export const isLoaded = (model: ModelInfo): model is LoadedModel =>
  "denoising" in model && typeof model.denoising === "function"

/** The model with its networks; fails with `InferenceError` where they are on another server. */
export const requireLoaded = (model: ModelInfo): Effect.Effect<LoadedModel, InferenceError> =>
  isLoaded(model) ? Effect.succeed(model) : Effect.fail(
    new InferenceError({
      file: model.name,
      reason: "it is on another server, which returns images but does not run its networks for others",
      remedy: "place"
    })
  )
