/**
 * Between pixels and latents. Large images go through the networks in tiles, so that memory stays bounded.
 */
import * as Effect from "effect/Effect"
import type { LatentShape } from "../core/LatentShape.ts"
import type { Raster } from "../core/Raster.ts"
import * as RasterWork from "../images/RasterWork.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { toPixels } from "./latents.ts"
import { vaeFits } from "./memory.ts"
import type { PassEnv } from "./PassEnv.ts"
import * as vaeTiles from "./vaeTiles.ts"

/** Pixels by which tiles overlap: what lies farther away hardly changes a pixel. */
const overlap = 128

/** What decoding and encoding need of a pass's environment. */
export type VaeEnv = Pick<PassEnv, "model" | "opts" | "seamless">

// Tiles of half the threshold's side, in latent values; absent for images that are taken as a whole.
const tilesFor = ({ model, opts }: VaeEnv, { height, width }: LatentShape) => {
  const { space } = model.latents.scale
  const threshold = opts.vae_tile_threshold / space
  return threshold === 0 || height * width <= threshold ** 2
    ? undefined
    : { tile: Math.max(8, Math.floor(threshold / 2)), overlap: overlap / space }
}

/**
 * Fails where latents of this size, or a tile of them, cannot be decoded or encoded with the memory there is, `images`
 * bytes of which the run's images will hold.
 */
export const check: (
  env: VaeEnv,
  shape: LatentShape,
  step: "decoding" | "encoding",
  images?: number
) => Effect.Effect<void, NetworkError> = (env, shape, step, images) => {
  const { model, seamless } = env
  const tiles = tilesFor(env, shape)
  return vaeFits(
    step,
    model,
    tiles === undefined ? { ...shape, seamless } : vaeTiles.callShape({ ...shape, seamless }, tiles),
    images
  )
}

/** One latent `[channels, 1, height/8, width/8]` as 8-bit RGB `[height, width, 3]`. */
export const decode: (
  env: VaeEnv,
  latent: Float32Array,
  shape: LatentShape
) => Effect.Effect<Uint8Array, NetworkError> = Effect.fnUntraced(function*(env, latent, shape) {
  const { model, seamless } = env
  yield* check(env, shape, "decoding")
  const tiles = tilesFor(env, shape)
  const planar = tiles === undefined
    ? yield* model.decode(latent, { ...shape, seamless })
    : yield* vaeTiles.decodeTiled(model.decode, latent, { ...shape, seamless }, tiles, model.latents.scale.space)
  return yield* toPixels(planar)
})

/** Planar RGB `[3, height, width]`, -1 to 1, as a latent `[channels, 1, height/8, width/8]`. */
export const encode: (
  env: VaeEnv,
  planar: Float32Array,
  shape: LatentShape
) => Effect.Effect<Float32Array, NetworkError> = Effect.fnUntraced(function*(env, planar, shape) {
  const { model, seamless } = env
  yield* check(env, shape, "encoding")
  const tiles = tilesFor(env, shape)
  return tiles === undefined
    ? yield* model.encode(planar, { ...shape, seamless })
    : yield* vaeTiles.encodeTiled(model.encode, planar, { ...shape, seamless }, tiles, model.latents.scale.space)
})

/**
 * An image as a latent, and the latent's shape: what does not fill a latent value at the right and the bottom is cut.
 */
export const encodeRaster = Effect.fnUntraced(function*(env: VaeEnv, raster: Raster) {
  const { channels, scale: { space } } = env.model.latents
  const shape: LatentShape = {
    channels,
    frames: 1,
    height: Math.floor(raster.height / space),
    width: Math.floor(raster.width / space)
  }
  const [right, bottom] = [shape.width * space, shape.height * space]
  const whole = right === raster.width && bottom === raster.height
    ? raster
    : yield* RasterWork.cropping(raster, { left: 0, top: 0, right, bottom })
  return { shape, latent: yield* encode(env, yield* RasterWork.planarOf(whole), shape) }
})
