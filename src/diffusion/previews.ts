/**
 * Previews: small images of a run in progress.
 *
 * A preview is made while the network is busy with the next step, from a copy of the denoised latents. When one is
 * still being made, the next is left out: sampling never waits for it.
 */
import * as Effect from "effect/Effect"
import { latentLength, type LatentShape } from "../core/LatentShape.ts"
import type { LatentRgb } from "../model/LatentFormat.ts"
import type { Preview } from "../runner/RunState.ts"
import type { Step } from "../sampling/Samplers.ts"
import type { PassEnv } from "./PassEnv.ts"
import * as vae from "./vae.ts"

/**
 * What to do after a step so that the run's state has a preview of the batch's first image.
 *
 * The settings say whether, how often, and by which method: the cheap one multiplies latents with the model's own
 * matrix, the full one decodes them in the background, and so does a tiny autoencoder, where there is one; else the
 * cheap one takes its place. Previews end with the scope.
 */
export const make = Effect.fnUntraced(function*(
  { cmdOpts, model, opts, seamless, state }: PassEnv,
  shape: LatentShape
) {
  const { rgb } = model.latents
  const { height, width } = shape
  // With room for one network only, each decoded preview would have the others opened anew.
  const method = cmdOpts.lowvram ? "Approx cheap" : opts.show_progress_type
  const scope = yield* Effect.scope
  if (!opts.live_previews_enable) return () => Effect.void

  const decoderOf = Effect.gen(function*() {
    if (method === "Full") return { ...model, decode: model.decodePreview ?? model.decode }
    const tiny = method === "TAESD" ? yield* model.tinyDecoder ?? Effect.undefined : undefined
    if (tiny === undefined) return undefined
    const latents = { ...model.latents, scale: { ...model.latents.scale, space: tiny.space } }
    // What the model's own decoder takes says nothing of this one's memory.
    return { ...model, latents, decode: tiny.decode, estimates: undefined }
  })

  const latent = new Float32Array(latentLength(shape))
  let busy = false
  const draw = Effect.fnUntraced(function*(step: number) {
    const decoder = yield* decoderOf
    const preview: Preview | undefined = decoder !== undefined
      ? {
        step,
        width: width * decoder.latents.scale.space,
        height: height * decoder.latents.scale.space,
        pixels: yield* vae.decode({ model: decoder, opts, seamless }, latent, shape)
      }
      : rgb && { step, width, height, pixels: approximate(latent, rgb) }
    if (preview !== undefined) yield* state.update({ preview })
  })

  return ({ denoised, step }: Step) =>
    Effect.suspend(() => {
      if (busy || step % opts.show_progress_every_n_steps !== 0) return Effect.void
      busy = true
      latent.set(denoised.subarray(0, latent.length))
      return draw(step).pipe(
        // A preview that fails does not end the run.
        Effect.ignore,
        Effect.ensuring(Effect.sync(() => {
          busy = false
        })),
        Effect.forkIn(scope)
      )
    })
})

/** Latents `[channels, height, width]` as 8-bit RGB `[height, width, 3]`, one pixel for each position. */
const approximate = (latent: Float32Array, { bias, factors }: LatentRgb): Uint8Array => {
  const area = latent.length / factors.length
  const pixels = new Uint8Array(area * 3)
  for (let colour = 0; colour < 3; colour++) {
    const base = bias[colour] ?? 0
    const column = factors.map((row) => row[colour] ?? 0)
    for (let place = 0; place < area; place++) {
      let value = base
      for (let channel = 0; channel < column.length; channel++) {
        value += (column[channel] as number) * (latent[channel * area + place] as number)
      }
      pixels[place * 3 + colour] = Math.min(255, Math.max(0, (value + 1) * 127.5))
    }
  }
  return pixels
}
