/** Guidance and predictions compared with the reference values. */
import * as Emphasis from "../../src/prompt/Emphasis.ts"
import * as Guidance from "../../src/sampling/Guidance.ts"
import * as Prediction from "../../src/sampling/Prediction.ts"
import * as references from "../sampling/references.ts"
import { type Difference, differences, measured, type Measurement, scientific } from "./Measurement.ts"

const reference = references.guidance()

const predictions = references.prediction()

const f32 = (values: ReadonlyArray<number>) => Float32Array.from(values)
const made = (length: number, write: (out: Float32Array) => void) => {
  const out = new Float32Array(length)
  write(out)
  return out
}

const words = ({ abs, rel }: typeof reference.tolerance) =>
  `${scientific(rel)} of each value, at least ${scientific(abs)}`

/** Guidance, emphasis, and blending under a mask. */
export const guidance = (): ReadonlyArray<Measurement> => {
  const file = "test/sampling/Guidance.test.ts"
  const { cfg, emphasis, inpaint } = reference
  const { tolerance } = reference
  const compare = (actual: Float32Array, expected: ReadonlyArray<number>) => differences(actual, expected, tolerance)
  const cfgProof = { file, title: "guidance agrees with stable-diffusion-webui" }
  const emphasized = (of: (expected: typeof emphasis[number]) => ReadonlyArray<number>, kind: Emphasis.Emphasis) =>
    emphasis.map((expected): ReadonlyArray<Difference> => {
      const { multipliers, z } = expected
      const size = z.length / multipliers.length
      const chunks = multipliers.map((weights, i) => ({
        values: f32(z.slice(i * size, (i + 1) * size)),
        weights,
        repeats: 1
      }))
      Emphasis.apply(chunks, kind)
      return compare(Float32Array.from(chunks.flatMap(({ values }) => Array.from(values))), of(expected))
    })
  const emphasisProof = {
    file: "test/prompt/Emphasis.test.ts",
    title: "emphasis agrees with stable-diffusion-webui"
  }
  const mask = f32(inpaint.nmask)
  const blended = (over: ReadonlyArray<number>, under: ReadonlyArray<number>, expected: ReadonlyArray<number>) =>
    compare(made(mask.length, (out) => Guidance.blend(out, f32(over), f32(under), mask)), expected)
  const nothing = inpaint.nmask.map(() => 0)
  return [
    measured(
      "Classifier-free guidance, with weighted parts",
      words(tolerance),
      cfgProof,
      cfg.map(({ conds, result, scale, uncond }) => {
        const conditioned = conds.map(({ values, weight }) => ({ weight, values: f32(values) }))
        return compare(
          made(result.length, (out) => Guidance.combineGuidance(out, f32(uncond), conditioned, scale)),
          result
        )
      })
    ),
    measured(
      "Emphasis `Original`",
      words(tolerance),
      emphasisProof,
      emphasized(({ original }) => original, "Original")
    ),
    measured("Emphasis `No norm`", words(tolerance), emphasisProof, emphasized(({ no_norm }) => no_norm, "No norm")),
    measured("Emphasis `Ignore`", words(tolerance), emphasisProof, emphasized(({ ignore }) => ignore, "Ignore")),
    measured("Inpainting: blending latents under a mask", words(tolerance), { file, title: "inpainting" }, [
      blended(inpaint.current, inpaint.init, inpaint.webui_blend),
      blended(inpaint.noise, inpaint.init, inpaint.fill_latent_noise),
      blended(nothing, inpaint.init, inpaint.fill_latent_nothing),
      blended(inpaint.current, inpaint.diffusers_blend.init_noised, inpaint.diffusers_blend.result)
    ])
  ]
}

/** From the output of a network to denoised latents. */
export const prediction = (): ReadonlyArray<Measurement> => {
  const file = "test/sampling/Prediction.test.ts"
  const { lcm_boundary, sigma_space, timestep_space, tolerance } = predictions
  const atLevel = { file, title: "from a network's output at a noise level" }
  const atTimestep = { file, title: "from a network's velocity at a timestep" }
  const levels = (
    write: (out: Float32Array, x: Float32Array, output: Float32Array, sigma: number) => void,
    of: (expected: typeof sigma_space[number]) => ReadonlyArray<number>
  ) =>
    sigma_space.map((expected) => {
      const { model_output, sigma, x } = expected
      const out = made(x.length, (out) => write(out, f32(x), f32(model_output), sigma))
      return differences(out, of(expected), tolerance)
    })
  const timesteps = (
    write: (out: Float32Array, x: Float32Array, v: Float32Array, alphaBar: number) => void,
    of: (expected: typeof timestep_space[number]) => ReadonlyArray<number>
  ) =>
    timestep_space.map((expected) => {
      const { alpha_bar, v, x } = expected
      return differences(made(x.length, (out) => write(out, f32(x), f32(v), alpha_bar)), of(expected), tolerance)
    })
  return [
    measured(
      "Scaling of the network input",
      words(tolerance),
      atLevel,
      levels((out, x, _, sigma) => Prediction.networkInput(out, x, sigma), ({ model_input }) => model_input)
    ),
    measured(
      "Epsilon (ε) to denoised",
      words(tolerance),
      atLevel,
      levels(
        (out, x, output, sigma) => Prediction.denoised("epsilon", out, x, output, sigma),
        ({ denoised_if_epsilon }) => denoised_if_epsilon
      )
    ),
    measured(
      "Velocity (v) to denoised",
      words(tolerance),
      atLevel,
      levels(
        (out, x, output, sigma) => Prediction.denoised("v_prediction", out, x, output, sigma),
        ({ denoised_if_v }) => denoised_if_v
      )
    ),
    measured(
      "Velocity to epsilon, at a timestep",
      words(tolerance),
      atTimestep,
      timesteps(Prediction.epsilonOfVelocity, ({ eps_from_v }) => eps_from_v)
    ),
    measured(
      "Boundary scalings of LCM",
      words(tolerance),
      { file, title: "the boundary scalings of latent consistency models" },
      lcm_boundary.map(({ c_out, c_skip, timestep }) => {
        const { out, skip } = Prediction.lcmBoundary(timestep)
        return differences([skip, out], [c_skip, c_out], tolerance)
      })
    )
  ]
}
