/**
 * A family of models: what all of them have in common, as values.
 *
 * A model folder or a checkpoint is found to be of one family; from there on its values are used, and nothing asks
 * which family it was. Each has a file of its own in this folder.
 */
import type { Conditioner } from "../model/Conditioner.ts"
import type { LatentFormat } from "../model/LatentFormat.ts"
import type { FamilySetting } from "../model/ModelInfo.ts"
import type { SourceChannels } from "../model/SourceChannels.ts"
import type { NoiseProcess } from "../sampling/NoiseProcess.ts"

/** How a family reads one of its CLIP text encoders. */
export interface ClipReading {
  /** Which layer's states, counted from the end: 1 is the last. */
  readonly layer: number
  /** Whether CLIP's final layer norm acts on them. */
  readonly finalNorm: boolean
  /** Whether the projection of the text as a whole is read as well. */
  readonly pooled: boolean
  /** What follows the first end token: itself, or the token 0, with which OpenCLIP was trained. */
  readonly padding: "end" | 0
  /** Whether an earlier layer can be read (clip skip). */
  readonly skippable: boolean
}

export interface Family {
  /** As people call it. */
  readonly name: string
  readonly textEncoders: readonly [ClipReading, ...ReadonlyArray<ClipReading>]
  readonly conditioner: Conditioner
  readonly latents: LatentFormat
  /** Unless a model's files say otherwise. */
  readonly noise: NoiseProcess
  /** Side of the square images that it was trained on, in pixels. */
  readonly side: number
  readonly settings: ReadonlyArray<FamilySetting>
  readonly source?: SourceChannels | undefined
}
