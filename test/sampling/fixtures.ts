/** The reference numbers, decoded, and the test problem that their samplers ran on. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as NoiseSchedule from "../../src/sampling/NoiseSchedule.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"

const Numbers = Schema.Array(Schema.Finite)

/** Reads `test/goldens/<name>.json`. */
export const golden = <S extends Schema.ConstraintDecoder<unknown>>(name: string, schema: S): S["Type"] =>
  Schema.decodeUnknownSync(schema)(
    JSON.parse(fs.readFileSync(new URL(`../goldens/${name}.json`, import.meta.url), "utf8"))
  )

const Problem = Schema.Struct({
  s: Schema.Finite,
  mu: Numbers,
  z: Numbers,
  mu_uncond: Numbers,
  noise_k0: Numbers,
  noise_k1: Numbers
})

const Params = Schema.Struct({
  eta: Schema.optionalKey(Schema.Finite),
  s_churn: Schema.optionalKey(Schema.Finite),
  s_tmin: Schema.optionalKey(Schema.Finite),
  s_tmax: Schema.optionalKey(Schema.Finite),
  s_noise: Schema.optionalKey(Schema.Finite),
  order: Schema.optionalKey(Schema.Finite),
  rtol: Schema.optionalKey(Schema.Finite),
  atol: Schema.optionalKey(Schema.Finite),
  variant: Schema.optionalKey(Schema.Literals(["bh1", "bh2"])),
  skip_type: Schema.optionalKey(Schema.Literals(["time_uniform", "time_quadratic", "logSNR"])),
  lcm_boundary: Schema.optionalKey(Schema.Boolean),
  cond_scale: Schema.optionalKey(Schema.Finite),
  sigma_min: Schema.optionalKey(Schema.Finite),
  sigma_max: Schema.optionalKey(Schema.Finite)
})

const shared = {
  id: Schema.String,
  sampler: Schema.String,
  n: Schema.NullOr(Schema.Finite),
  params: Params,
  denoiser_calls: Schema.Finite,
  noise_draws: Schema.Finite,
  noise_affects_result: Schema.Boolean,
  atol: Schema.Finite,
  final_x: Numbers,
  x_after_step: Schema.optionalKey(Schema.Array(Numbers))
}

export const sigmaSpace = golden(
  "samplers-ve",
  Schema.Struct({
    problem: Problem,
    cases: Schema.Array(Schema.Struct({
      ...shared,
      sigmas: Schema.NullOr(Numbers),
      denoiser_sigmas: Numbers,
      noise_draw_sigmas: Schema.NullOr(Schema.Array(Numbers)),
      info: Schema.optionalKey(Schema.Struct({ n_accept: Schema.Finite }))
    }))
  })
)

export const timestepSpace = golden(
  "samplers-vp",
  Schema.Struct({
    problem: Problem,
    cases: Schema.Array(Schema.Struct({
      ...shared,
      timesteps: Numbers,
      updates: Schema.Finite,
      model_calls: Schema.Array(Schema.Tuple([Schema.Finite, Schema.Finite, Schema.Finite]))
    }))
  })
)

export const problem = sigmaSpace.problem

/** Largest absolute difference; infinite when the lengths differ or something is not a number. */
export const distance = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  if (actual.length !== expected.length) return Infinity
  let worst = 0
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN))
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference
  }
  return worst
}

/** Every value within `rel` of the expected one, or within `abs` of it. */
export const assertClose = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { abs = 0, rel = 0 }: { readonly abs?: number; readonly rel?: number },
  message = "values"
): void => {
  assert.strictEqual(actual.length, expected.length, `${message}: length`)
  for (let i = 0; i < expected.length; i++) {
    const wanted = expected[i] ?? NaN
    assert.closeTo(actual[i] ?? NaN, wanted, Math.max(abs, rel * Math.abs(wanted)), `${message}[${i}]`)
  }
}

/**
 * The perfect denoiser of data ~ N(mu, s²), with every call written down. With a guidance scale it is guided against
 * data of mean mu_uncond, which it gives as well.
 */
export const perfectDenoiser = (guidance?: number) => {
  const calls: Array<number> = []
  const out = new Float32Array(problem.mu.length)
  const unconditional = new Float32Array(problem.mu.length)
  const predict = (into: Float32Array, x: Float32Array, sigma: number, mu: ReadonlyArray<number>) => {
    const s2 = problem.s ** 2
    for (let i = 0; i < into.length; i++) {
      into[i] = (s2 * (x[i] ?? NaN) + sigma ** 2 * (mu[i] ?? NaN)) / (s2 + sigma ** 2)
    }
  }
  const denoise = (x: Float32Array, sigma: number) =>
    Effect.sync(() => {
      calls.push(sigma)
      predict(out, x, sigma, problem.mu)
      if (guidance === undefined) return out
      predict(unconditional, x, sigma, problem.mu_uncond)
      for (let i = 0; i < out.length; i++) {
        const u = unconditional[i] ?? NaN
        out[i] = u + guidance * ((out[i] ?? NaN) - u)
      }
      return out
    })
  const denoiser: Samplers.Denoiser = guidance === undefined
    ? denoise
    : Object.assign(denoise, { unconditional: () => unconditional })
  return { calls, denoiser }
}

/** The noise that replaced every random draw of the references: 1.1·sin(0.9·i + 1.7·k) for draw k. */
export const countedNoise = () => {
  const draws: Array<[number, number]> = []
  const noise: Samplers.NoiseSource = (out, sigma, next) => {
    for (let i = 0; i < out.length; i++) out[i] = 1.1 * Math.sin(0.9 * i + 1.7 * draws.length)
    draws.push([sigma, next])
  }
  return { draws, noise }
}

/** The unit noise z of the references, times a level. */
export const startNoise = (level: number): Float32Array => Float32Array.from(problem.z, (z) => z * level)

/** Runs a sampler on the test problem and keeps everything that can be looked at. */
export const run = (
  input: Omit<Samplers.SampleInput, "denoiser" | "noise" | "onStep" | "sampler"> & {
    readonly sampler: string
    readonly guidance?: number
  }
) =>
  Effect.gen(function*() {
    const { calls, denoiser } = perfectDenoiser(input.guidance)
    const { draws, noise } = countedNoise()
    const steps: Array<Samplers.Step> = []
    const x = yield* Samplers.sample({
      ...input,
      denoiser,
      noise,
      onStep: (step) =>
        Effect.sync(() => {
          steps.push({ ...step, x: step.x.slice(), denoised: step.denoised.slice() })
        })
    })
    return { x, calls, draws, steps }
  })

/** A golden's parameters as options. */
export const optionsOf = (params: typeof Params.Type): Partial<Samplers.SamplerOptions> => ({
  lcmBoundary: params.lcm_boundary ?? false,
  ...(params.eta !== undefined && { eta: params.eta }),
  ...(params.s_churn !== undefined && { sChurn: params.s_churn }),
  ...(params.s_tmin !== undefined && { sTmin: params.s_tmin }),
  ...(params.s_tmax !== undefined && { sTmax: params.s_tmax }),
  ...(params.s_noise !== undefined && { sNoise: params.s_noise }),
  ...(params.order !== undefined && { order: params.order }),
  ...(params.rtol !== undefined && { rtol: params.rtol }),
  ...(params.atol !== undefined && { atol: params.atol }),
  ...(params.variant !== undefined && { variant: params.variant }),
  ...(params.skip_type !== undefined && { skipType: params.skip_type })
})

/** Where the exact flow of the test problem leads from one level to another. */
export const exactFlow = (x: Float32Array, from: number, to: number): Float64Array => {
  const s2 = problem.s ** 2
  const shrink = Math.sqrt((s2 + to ** 2) / (s2 + from ** 2))
  return Float64Array.from(x, (value, i) => {
    const mu = problem.mu[i] ?? NaN
    return mu + (value - mu) * shrink
  })
}

/** The model that the references assume. */
export const schedule = NoiseSchedule.stableDiffusion
