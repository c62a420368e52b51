/**
 * What is known of a model without its networks: enough to plan a run, wherever its images are made.
 *
 * A model in this process knows all of it (`LoadedModel`). Of a model on another server only the required fields are
 * known; what is absent is unknown.
 */
import type { Size } from "../core/Geometry.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { NoiseProcess } from "../sampling/NoiseProcess.ts"
import type { LatentFormat } from "./LatentFormat.ts"
import type { SourceChannels } from "./SourceChannels.ts"

/** A setting that only models of some families read. */
export type FamilySetting = Extract<keyof OptionsSnapshot, `sdxl_${string}`>

export interface ModelInfo {
  /** The folder's name, or the address of the server that has it. */
  readonly name: string
  /** Size of images when a request names none, in pixels: the one the model was trained on. */
  readonly defaultSize: Size
  /** Widths and heights must be multiples of this many pixels. */
  readonly sizeMultiple: number
  readonly latents?: LatentFormat | undefined
  readonly noise?: NoiseProcess | undefined
  /** What the network reads of a source image next to the latents; absent also where it reads none. */
  readonly source?: SourceChannels | undefined
  /** Settings of its family alone that change its images: infotexts hold them. */
  readonly settings?: ReadonlyArray<FamilySetting> | undefined
}

/** Whether a model reads the latents of an image that it edits; `undefined` where its networks are unknown. */
export const isEditing = ({ latents, source }: ModelInfo): boolean | undefined =>
  latents === undefined ? undefined : source?.isInpainting === false

/** Whether a model reads a mask and a masked image next to the latents; `undefined` where its networks are unknown. */
export const isInpainting = ({ latents, source }: ModelInfo): boolean | undefined =>
  latents === undefined ? undefined : source?.isInpainting === true
