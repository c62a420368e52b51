/**
 * Between the two passes of hires fix: from the first one's latents to larger ones.
 */
import * as Effect from "effect/Effect"
import { latentLength, type LatentSize } from "../core/LatentShape.ts"
import { interpolate } from "../images/Resample.ts"
import { Upscalers } from "../images/Upscalers.ts"
import type { HiresPlan, PassPlan } from "../planning/RunPlan.ts"
import { latentShape, type PassEnv } from "./PassEnv.ts"
import * as vae from "./vae.ts"

/**
 * Enlarges latents `[batch, channels, height/8, width/8]` as they are, or as images by an upscaler, and cuts what is
 * more than the second pass needs, half on each side.
 *
 * `first` is what made them, `second` what goes on.
 */
export const enlarge = Effect.fn("enlarge")(function*(options: {
  readonly first: PassEnv
  readonly second: PassEnv
  readonly pass: PassPlan
  readonly hires: HiresPlan
  readonly latents: Float32Array
}) {
  const { first, hires, latents, pass, second } = options
  const from = latentShape(first.model, pass)
  const { channels } = from
  const enlarged = latentShape(first.model, hires.enlarged)
  const to = latentShape(second.model, hires)
  const length = latentLength(from)
  const batch = latents.length / length
  const out = new Float32Array(batch * latentLength(to))
  const { upscale } = yield* Upscalers
  for (let item = 0; item < batch; item++) {
    const latent = latents.subarray(item * length, (item + 1) * length)
    const larger = hires.latentMode === undefined
      ? yield* Effect.gen(function*() {
        const pixels = yield* vae.decode(first, latent, from)
        const raster = yield* upscale(
          hires.upscaler,
          { width: pass.width, height: pass.height, channels: 3, data: pixels },
          hires.enlarged,
          { tile: first.opts.ESRGAN_tile, overlap: first.opts.ESRGAN_tile_overlap }
        )
        return (yield* vae.encodeRaster(second, raster)).latent
      })
      : interpolate(latent, from, enlarged, hires.latentMode)
    middle(out.subarray(item * out.length / batch, (item + 1) * out.length / batch), larger, channels, enlarged, to)
  }
  return out
})

// The middle of larger latents.
const middle = (
  out: Float32Array,
  values: Float32Array,
  channels: number,
  from: LatentSize,
  to: LatentSize
): void => {
  const top = Math.floor((from.height - to.height) / 2)
  const left = Math.floor((from.width - to.width) / 2)
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < to.height; y++) {
      const start = (channel * from.height + top + y) * from.width + left
      out.set(values.subarray(start, start + to.width), (channel * to.height + y) * to.width)
    }
  }
}
