/**
 * What a run may ask of a model.
 *
 * The runner and the engine know a model only by this contract: the live one runs ONNX networks, a test's one can be
 * arithmetic. All pixels and latents are flat `Float32Array`s in row-major order.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InferenceError, InvalidModelFolder, NetworkLoadError, NetworkThreadDied } from "../processing/errors.ts"

/** Everything that can go wrong when a network is used. */
export type NetworkError = NetworkLoadError | NetworkThreadDied | InferenceError | InvalidModelFolder

/** The noise levels a model was trained on, as diffusers writes them into `scheduler_config.json`. */
export interface NoiseConfig {
  readonly beta_start: number
  readonly beta_end: number
  readonly beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2"
  readonly num_train_timesteps: number
  readonly prediction_type: "epsilon" | "v_prediction" | "sample"
  readonly rescale_betas_zero_snr: boolean
  readonly trained_betas: ReadonlyArray<number> | null
}

/** The affine map from a latent value's channels to the mean colour of its pixels, -1 to 1: a cheap preview. */
export interface LatentRgb {
  /** `[channels][3]`. */
  readonly factors: ReadonlyArray<ReadonlyArray<number>>
  /** `[3]`. */
  readonly bias: ReadonlyArray<number>
}

/** A prompt as the denoising network reads it. */
export interface Embedding {
  /** `[tokens, width]`. */
  readonly values: Float32Array
  readonly tokens: number
  readonly width: number
}

/**
 * One shape of denoising call, with its buffers. Write `sample` (and `conditioning` once), run, read `prediction`; no
 * memory is taken between calls.
 */
export interface DenoisingCall {
  /** `[batch, channels, height/8, width/8]`, scaled as the network expects it. */
  readonly sample: Float32Array
  /** `[batch, tokens, width]`. */
  readonly conditioning: Float32Array
  /** `[batch, channels, height/8, width/8]`: noise or velocity, as the model's `prediction_type` says. */
  readonly prediction: Float32Array
  /** Runs the network at training timestep `t`, which may be fractional; the network's own number type decides. */
  readonly run: (t: number) => Effect.Effect<void, NetworkError>
}

export interface LoadedModel {
  /** The folder's name. */
  readonly name: string
  /** First 10 hex digits of the SHA-256 of the denoising network's file. */
  readonly hash: Effect.Effect<string, InvalidModelFolder>
  /** Size it was trained on, in pixels. */
  readonly defaultSize: { readonly width: number; readonly height: number }
  /** Widths and heights must be multiples of this many pixels. */
  readonly sizeMultiple: number
  /** Pixels for each latent value, in each direction: 8. */
  readonly latentScale: number
  readonly latentChannels: number
  readonly noise: NoiseConfig
  /** Absent for models to which nobody has fitted it. */
  readonly latentRgb: LatentRgb | undefined
  /** Opens every network that a txt2img run needs, ahead of its first use. */
  readonly warm: Effect.Effect<void, NetworkError>
  /**
   * Embeds a prompt. `truncated` tells how many of its tokens did not fit; texts that were embedded before are remembered.
   */
  readonly embed: (
    prompt: string
  ) => Effect.Effect<{ readonly embedding: Embedding; readonly truncated: number }, NetworkError>
  /** Buffers and call for `batch` latents of `[channels, height, width]` at once; freed with the scope. */
  readonly denoising: (shape: {
    readonly batch: number
    /** In latent values: pixels / 8. */
    readonly height: number
    readonly width: number
    readonly embedding: Embedding
  }) => Effect.Effect<DenoisingCall, NetworkError, Scope.Scope>
  /** The same as `decode` for pictures that are only looked at, away from the runs' own calls; else `decode` serves. */
  readonly decodePreview?: LoadedModel["decode"]
  /** One latent `[channels, height, width]` to RGB `[3, height * 8, width * 8]`, about -1 to 1. */
  readonly decode: (
    latent: Float32Array,
    shape: { readonly height: number; readonly width: number }
  ) => Effect.Effect<Float32Array, NetworkError>
}
