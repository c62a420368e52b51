/**
 * What is known of a model without its networks: enough to plan a run, wherever its images are made.
 *
 * A model in this process knows all of it (`LoadedModel`). Of a model on another server only the required fields are
 * known; what is absent is unknown.
 */
import type { Size } from "../core/Geometry.ts"

/** The noise schedule a model was trained on, as diffusers writes it into `scheduler_config.json`. */
export interface NoiseScheduleConfig {
  readonly beta_start: number
  readonly beta_end: number
  readonly beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2"
  readonly num_train_timesteps: number
  readonly prediction_type: "epsilon" | "v_prediction" | "sample"
  readonly rescale_betas_zero_snr: boolean
  readonly trained_betas: ReadonlyArray<number> | null
}

/** What a denoising network reads besides latents and text: a width or count each, 0 where it reads none. */
export interface DenoisingInputs {
  /** Channels of `sample`: those of the latents, and for inpainting models the mask and the masked image's latents. */
  readonly channels: number
  /** Width of `encoder_hidden_states`. */
  readonly context: number
  /** Width of `text_embeds` (SDXL). */
  readonly pooled: number
  /** Numbers of `time_ids`: 6 for SDXL, 5 for its refiner. */
  readonly timeIds: number
  /** Width of `timestep_cond`: the guidance scale, embedded (latent consistency models). */
  readonly guidance: number
}

/** What a model descends from: decides what its conditioning looks like. */
export type ModelFamily = "sd1" | "sd2" | "sdxl" | "sdxl-refiner"

export interface ModelInfo {
  /** The folder's name, or the address of the server that has it. */
  readonly name: string
  /** Size of images when a request names none, in pixels: the one the model was trained on. */
  readonly defaultSize: Size
  /** Widths and heights must be multiples of this many pixels. */
  readonly sizeMultiple: number
  readonly family?: ModelFamily | undefined
  /** Pixels for each latent value, in each direction: 8. */
  readonly latentScale?: number | undefined
  readonly latentChannels?: number | undefined
  readonly noise?: NoiseScheduleConfig | undefined
  readonly inputs?: DenoisingInputs | undefined
}

/** Whether a model reads a mask and a masked image next to the latents; `undefined` where its inputs are unknown. */
export const isInpainting = ({ inputs, latentChannels }: ModelInfo): boolean | undefined =>
  inputs === undefined || latentChannels === undefined ? undefined : inputs.channels > latentChannels
