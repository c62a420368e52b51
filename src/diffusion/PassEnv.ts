/**
 * What the passes of a run are made with.
 *
 * A stage takes the run's `RuntimeContext` once; everything below it is given this value, and asks for no service.
 */
import type { Size } from "../core/Geometry.ts"
import type { LatentShape } from "../core/LatentShape.ts"
import type { Embedding } from "../model/Embedding.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { RuntimeContext } from "../runner/RuntimeContext.ts"

/** A run's context for passes on one model, which may be another than the run's. */
export interface PassEnv extends Pick<RuntimeContext["Service"], "cmdOpts" | "opts" | "state"> {
  readonly model: LoadedModel
  /** Those that the run's prompts name. */
  readonly embeddings: ReadonlyArray<Embedding>
  /** How many images the whole run makes. */
  readonly images: number
  /** Whether the left edge goes on at the right one, and the top at the bottom. */
  readonly seamless: boolean
}

/** The latent of an image of this size in pixels. */
export const latentShape = ({ latents: { channels, scale } }: LoadedModel, { height, width }: Size): LatentShape => ({
  channels,
  frames: 1,
  height: height / scale.space,
  width: width / scale.space
})
