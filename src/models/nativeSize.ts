/**
 * The size of the images that a model was trained on, which it makes unless it is asked for another.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Size } from "../core/Geometry.ts"
import type { InvalidModelFile } from "../model/ModelError.ts"
import type { Checkpoint } from "./Checkpoint.ts"
import type { Contents } from "./checkpoint/contents.ts"
import { predictionOf } from "./checkpoint/prediction.ts"
import { familyNamed } from "./families.ts"
import type { ModelFolder } from "./ModelFolder.ts"

const scaled = (sample: number | ReadonlyArray<number>, scale: number): Size => {
  const [height = 64, width = height] = [sample].flat()
  return { width: width * scale, height: height * scale }
}

/** Pixels of an image for one of its latent, along a side. */
export const latentScaleOf = ({ block_out_channels }: { readonly block_out_channels: ReadonlyArray<number> }): number =>
  2 ** (block_out_channels.length - 1)

/** Of a folder of exported networks: what its UNet's configuration says. */
export const ofFolder = ({ unet, vae }: Pick<ModelFolder, "unet" | "vae">): Size =>
  scaled(unet.sample_size, latentScaleOf(vae))

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const decodeUNet = Schema.decodeUnknownOption(
  Schema.Struct({ sample_size: Schema.Union([count, Schema.Array(count)]) })
)
const decodeVae = Schema.decodeUnknownOption(Schema.Struct({ block_out_channels: Schema.Array(count) }))

/** The side of the Stable Diffusion 2 models that predict velocity; those that predict noise have their family's. */
const sideOfVelocity = 768

/** Of a checkpoint: what the configurations of its folder say, or else its family. Undefined for no model. */
export const ofCheckpoint = Effect.fnUntraced(function*(
  { configs, prediction, source, yaml }: Pick<Checkpoint, "configs" | "prediction" | "source" | "yaml">,
  contents: Contents
): Effect.fn.Return<Size | undefined, InvalidModelFile, FileSystem.FileSystem> {
  if (contents.family === undefined) return undefined
  const unet = decodeUNet(configs?.get("unet"))
  if (Option.isSome(unet)) {
    const vae = Option.getOrElse(decodeVae(configs?.get("vae")), () => ({ block_out_channels: [1, 2, 3, 4] }))
    return scaled(unet.value.sample_size, latentScaleOf(vae))
  }
  const { side } = familyNamed(contents.family)
  const own = contents.family === "sd2" &&
      (yield* predictionOf(source, contents, { yaml, said: prediction })).type === "v_prediction"
    ? sideOfVelocity
    : side
  return { width: own, height: own }
})
