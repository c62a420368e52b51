/**
 * What a run may ask of a model.
 *
 * The runner and the engine know a model only by this contract: the live one runs ONNX networks, a test's one can be
 * arithmetic. What differs between families is among its values: how noise acts, what latents are, how texts are read.
 * All pixels and latents are flat `Float32Array`s in row-major order.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LatentShape } from "../core/LatentShape.ts"
import type { NoiseProcess } from "../sampling/NoiseProcess.ts"
import type { AdapterUse } from "./Adapter.ts"
import type { Autoencoder, Seams } from "./Autoencoder.ts"
import type { Conditioner, TextEncoders } from "./Conditioner.ts"
import type { LatentFormat } from "./LatentFormat.ts"
import { InferenceError, type InvalidModelFile, type InvalidModelFolder, type NetworkError } from "./ModelError.ts"
import type { ModelInfo } from "./ModelInfo.ts"

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
   * Whether `needed` is the least: the graph does not say, and a smaller call was measured. A larger one takes more at
   * least in proportion.
   */
  readonly isLeast?: boolean | undefined
}

/** Latents that are denoised together, and what is read with them. */
export interface DenoisingShape extends LatentShape, Seams {
  readonly batch: number
  /** Dimensions of each input for one row, by name: those of the conditioning, and the channels of a source image. */
  readonly inputs: Readonly<Record<string, ReadonlyArray<number>>>
}

/**
 * What calls would take. Undefined where a call is too small to matter, on devices with memory of their own, and where
 * a network's graph does not say and no smaller call was measured.
 */
export interface MemoryEstimates {
  readonly denoising: (shape: DenoisingShape) => Effect.Effect<MemoryEstimate | undefined, NetworkError>
  readonly decode: (shape: LatentShape & Seams) => Effect.Effect<MemoryEstimate | undefined, NetworkError>
  readonly encode: (shape: LatentShape & Seams) => Effect.Effect<MemoryEstimate | undefined, NetworkError>
}

/**
 * One shape of denoising call, with its buffers. Write `sample` (and the others once), run, read `prediction`; no
 * memory is taken between calls.
 */
export interface DenoisingCall {
  /** `[batch, channels, frames, height, width]`, scaled as the network expects it. */
  readonly sample: Float32Array
  /** `[batch, ...]` of each input of the shape, by name. */
  readonly inputs: Readonly<Record<string, Float32Array>>
  /** `[batch, channels, frames, height, width]`: what `noise.denoised` turns into clean latents. */
  readonly prediction: Float32Array
  /** One for each ControlNet of the model, in their order; absent without any. */
  readonly controls?: ReadonlyArray<ControlBuffers> | undefined
  /**
   * Runs the network at a timestep, which may be fractional; the network's own number type decides. With `reusesDeep`,
   * of a call that keeps them, the deep layers stay as the latest run without it left them.
   */
  readonly run: (t: number, reusesDeep?: boolean) => Effect.Effect<void, NetworkError>
}

/** A VAE in a file of its own. */
export interface VaeFile {
  /** The file's name with its ending. */
  readonly name: string
  /** First 10 hex digits of the file's SHA-256. */
  readonly hash: Effect.Effect<string, InvalidModelFile>
}

/** What a ControlNet reads in a call, next to what the denoising network does. */
export interface ControlBuffers {
  /** The image to follow, the same for all rows: `[3, height, width]` in pixels, RGB from 0 to 1. */
  readonly hint: Float32Array
  /**
   * `[batch, residuals]`: what the residuals of each row are multiplied by before they are added. They are 0 to begin
   * with; a ControlNet whose scales are all 0 is not run.
   */
  readonly scales: Float32Array
}

/** A ControlNet that a model follows. */
export interface Control {
  /** Residuals that it adds, from the first block on the way down to the middle, which is the last. */
  readonly residuals: number
}

/** A model whose networks run in this process. */
export interface LoadedModel extends ModelInfo, Autoencoder {
  /** First 10 hex digits of the SHA-256 of the denoising network's file, or of the checkpoint. */
  readonly hash: Effect.Effect<string, InvalidModelFile | InvalidModelFolder>
  /** The file of its VAE; absent for its own. */
  readonly vae?: VaeFile | undefined
  /** Whether its VAE cannot be exchanged: its networks were exported together. */
  readonly isVaeFixed?: boolean | undefined
  readonly latents: LatentFormat
  readonly noise: NoiseProcess
  readonly conditioner: Conditioner
  /** What the conditioner reads texts with. */
  readonly textEncoders: TextEncoders
  /** Opens every network that a txt2img run needs, ahead of its first use. */
  readonly warm: Effect.Effect<void, NetworkError>
  /**
   * Buffers and call for `batch` latents; freed with the scope. They go through the network `rowsAtOnce` at a time
   * where it is given, all at once without it. With `keepsDeep` its runs may reuse the network's deep layers.
   * `tokenMerging` is the fraction of tokens that are merged on the finest level with attention among pixels.
   * `runsPerCall`, 1 when left out, is how many runs' calls may be made as one at most.
   */
  readonly denoising: (
    shape: DenoisingShape & {
      readonly rowsAtOnce?: number | undefined
      readonly keepsDeep?: boolean | undefined
      readonly tokenMerging?: number | undefined
      readonly runsPerCall?: number | undefined
    }
  ) => Effect.Effect<DenoisingCall, NetworkError, Scope.Scope>
  /** Absent where nothing is known. */
  readonly estimates?: MemoryEstimates | undefined
  /**
   * The same model with adapters over its weights, for as long as the scope. The model itself stays as it is, and
   * strengths are inputs of the networks: the same files at other strengths open nothing. A file that cannot be read
   * fails with `InvalidModelFile`. Absent where weights cannot be adapted, as those of exported ONNX networks.
   */
  readonly adapted?: (uses: ReadonlyArray<AdapterUse>) => Effect.Effect<AdaptedModel, NetworkError, Scope.Scope>
  /**
   * The same model with ControlNets next to its denoising network, for as long as the scope. Each is opened when it is
   * first used. A file that is no ControlNet, or one of another family, fails with `InvalidModelFile`. Absent where the
   * network takes nothing from them, as exported ONNX networks.
   */
  readonly controlled?: (files: ReadonlyArray<string>) => Effect.Effect<ControlledModel, NetworkError, Scope.Scope>
}

/** A model that follows ControlNets. */
export interface ControlledModel extends LoadedModel {
  readonly controls: ReadonlyArray<Control>
}

/** A model with adapters over its weights. */
export interface AdaptedModel extends LoadedModel {
  /** Sentences about changes that do not fit the model and are left out, with the adapter's name. */
  readonly adapterWarnings: ReadonlyArray<string>
}

/** Whether adapters lie over a model's weights. */
export const isAdapted = (model: LoadedModel): model is AdaptedModel => "adapterWarnings" in model

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
