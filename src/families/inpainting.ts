/**
 * Inpainting models of any family: they read the mask, and the latents of the image with what is masked greyed out.
 */
import * as Effect from "effect/Effect"
import type { SourceChannels } from "../model/SourceChannels.ts"
import type { Family } from "./Family.ts"

/** A family's models that read a mask and a masked image. */
export const inpainting = (family: Family): Family => ({
  ...family,
  name: `${family.name}, inpainting`,
  source: channels(family.latents.channels)
})

const channels = (latentChannels: number): SourceChannels => ({
  channels: latentChannels + 1,
  isInpainting: true,
  of: Effect.fnUntraced(function*({ hidden, pixels }, { encode, format, settings, shape }) {
    const scale = format.scale.space
    const area = shape.height * shape.width
    const size = area * scale ** 2
    const grey = pixels?.slice() ?? new Float32Array(3 * size)
    for (let i = 0; i < grey.length; i++) {
      const isHidden = hidden?.[i % size] ?? 1
      grey[i] = (grey[i] as number) * (1 - isHidden * settings.inpainting_mask_weight)
    }
    const made = new Float32Array((latentChannels + 1) * area)
    // The first pixel of each latent value's square, as torch's nearest interpolation takes it.
    for (let place = 0; place < area; place++) {
      const [y, x] = [Math.floor(place / shape.width) * scale, (place % shape.width) * scale]
      made[place] = hidden === undefined ? 1 : hidden[y * shape.width * scale + x] ?? 0
    }
    made.set(yield* encode(grey), area)
    return made
  })
})
