import * as Effect from "effect/Effect"
import { add, combine } from "./Buffers.ts"
import * as NoiseSchedule from "./NoiseSchedule.ts"
import { lcmBoundary } from "./Prediction.ts"
import { eachSigma, type Method } from "./Sampler.ts"

/**
 * LCM: the prediction plus fresh noise at the next level.
 *
 * Luo et al., "Latent Consistency Models", arXiv:2310.04378, alg. 3. With `lcmBoundary` the prediction is c_out·D +
 * c_skip·x, at the nearest of the 50 levels that such models are distilled on. One call per step, one draw per step but
 * the last.
 */
export const lcm: Method = (run) =>
  eachSigma(run, (sigma, next) =>
    Effect.map(run.denoise(run.x, sigma), (denoised) => {
      if (run.options.lcmBoundary) {
        const { out, skip } = lcmBoundary(NoiseSchedule.sigmaToLcmT(run.process.levels, sigma))
        combine(run.x, out, denoised, skip, run.x)
      } else {
        run.x.set(denoised)
      }
      if (next > 0) add(run.x, next * run.options.sNoise, run.draw(sigma, next))
      return denoised
    }))
