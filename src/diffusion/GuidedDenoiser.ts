/**
 * A model as samplers see it: a function that takes noisy latents and their noise level, and gives the clean ones.
 *
 * It scales the input, asks the network for its prediction with and without the prompt in one call, puts both together by
 * classifier-free guidance, and turns the outcome into denoised latents. No memory is taken after `make`.
 */
import * as Effect from "effect/Effect"
import type { Embedding, LoadedModel, NetworkError } from "../runner/LoadedModel.ts"
import { combineGuidance } from "./sampling/Guidance.ts"
import type { NoiseSchedule } from "./sampling/NoiseSchedule.ts"
import * as Prediction from "./sampling/Prediction.ts"
import type { Denoiser, Sampler } from "./sampling/Samplers.ts"

/** What a batch is led by; `uncond` is absent when there is no guidance. */
export interface Conditioning {
  readonly cond: Embedding
  readonly uncond: Embedding | undefined
}

/** A denoiser, and the latest of what it gave: nothing before its first call. */
export interface GuidedDenoiser<E> {
  readonly denoiser: Denoiser<E>
  readonly latest: () => Float32Array | undefined
}

/**
 * A denoiser of `[batch, channels, height, width]` latents for a sampler.
 *
 * Both copies of the batch, with and without the prompt, go through the network in one call; without guidance there is
 * only one. What the denoiser gives is its own buffer and holds until its next call. `gate` is run before each call of the
 * network, and its failure ends the sampling.
 */
export const make = Effect.fnUntraced(function*<E>(options: {
  readonly model: LoadedModel
  readonly noiseSchedule: NoiseSchedule
  readonly sampler: Sampler
  readonly batch: number
  /** In latent values: pixels / 8. */
  readonly height: number
  readonly width: number
  readonly conditioning: Conditioning
  readonly cfgScale: number
  readonly gate: Effect.Effect<void, E>
}) {
  const { batch, conditioning: { cond, uncond }, height, model, noiseSchedule, sampler, width } = options
  const copies = uncond === undefined ? 1 : 2
  const call = yield* model.denoising({ batch: batch * copies, height, width, embedding: cond })
  for (let item = 0; item < batch; item++) {
    call.conditioning.set(cond.values, item * cond.values.length)
    if (uncond !== undefined) call.conditioning.set(uncond.values, (batch + item) * cond.values.length)
  }

  const size = batch * model.latentChannels * height * width
  const input = call.sample.subarray(0, size)
  const conditional = call.prediction.subarray(0, size)
  const unguided = call.prediction.subarray(size)
  const predictions = [{ values: conditional, weight: 1 }]
  const scale = options.cfgScale / sampler.guidanceDivisor
  const guided = new Float32Array(size)
  const denoised = new Float32Array(size)
  const unconditional = new Float32Array(sampler.needsUnconditional ? size : 0)
  const type = model.noise.prediction_type

  let latest: Float32Array | undefined

  const denoise = (x: Float32Array, sigma: number): Effect.Effect<Float32Array, NetworkError> =>
    Effect.suspend(() => {
      Prediction.networkInput(input, x, sigma)
      if (copies === 2) call.sample.copyWithin(size, 0, size)
      return Effect.map(call.run(sampler.timestep(noiseSchedule, sigma)), () => {
        if (copies === 2) combineGuidance(guided, unguided, predictions, scale)
        if (sampler.needsUnconditional) {
          Prediction.denoised(type, unconditional, x, copies === 2 ? unguided : conditional, sigma)
        }
        Prediction.denoised(type, denoised, x, copies === 2 ? guided : conditional, sigma)
        return latest = denoised
      })
    })
  const guidedDenoiser: GuidedDenoiser<E | NetworkError> = {
    denoiser: Object.assign(
      (x: Float32Array, sigma: number) => Effect.andThen(options.gate, denoise(x, sigma)),
      { unconditional: () => unconditional }
    ),
    latest: () => latest
  }
  return guidedDenoiser
})
