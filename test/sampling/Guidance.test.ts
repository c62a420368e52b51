import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Guidance from "../../src/sampling/Guidance.ts"
import * as Samplers from "../../src/sampling/Samplers.ts"
import { assertClose, distance } from "./fixtures.ts"
import * as references from "./references.ts"

const reference = references.guidance()

const { abs, rel } = reference.tolerance
const f32 = (values: ReadonlyArray<number>) => Float32Array.from(values)
const filled = (length: number, write: (out: Float32Array) => void) => {
  const out = new Float32Array(length)
  write(out)
  return out
}

describe("guidance agrees with stable-diffusion-webui", () => {
  for (const { conds, id, result, scale, uncond } of reference.cfg) {
    it(id, () => {
      const conditioned = conds.map(({ values, weight }) => ({ weight, values: f32(values) }))
      const out = filled(result.length, (out) => Guidance.combineGuidance(out, f32(uncond), conditioned, scale))
      assertClose(out, result, { rel, abs: 2 * abs })
    })
  }

  it("may be written over the prediction it came from", () => {
    const values = Float32Array.of(1, 2)
    Guidance.combineGuidance(values, Float32Array.of(0, 1), [{ values, weight: 1 }], 3)
    assert.deepStrictEqual(Array.from(values), [3, 4])
  })

  it("without a prompt is the unconditional prediction", () => {
    const out = filled(2, (out) => Guidance.combineGuidance(out, Float32Array.of(3, 4), [], 7))
    assert.deepStrictEqual(Array.from(out), [3, 4])
  })
})

describe("emphasis agrees with stable-diffusion-webui", () => {
  for (const { id, ignore, multipliers, no_norm, original, z } of reference.emphasis) {
    const flat = multipliers.flat()
    it(`${id}, mean restored`, () => {
      const out = filled(z.length, (out) => Guidance.emphasize(out, f32(z), flat, true))
      assertClose(out, original, { rel, abs })
    })
    it(`${id}, no norm`, () => {
      const out = f32(z)
      Guidance.emphasize(out, out, flat, false)
      assertClose(out, no_norm, { rel, abs })
    })
    it(`${id}, ignored`, () => {
      const out = filled(z.length, (out) => Guidance.emphasize(out, f32(z), flat.map(() => 1), true))
      assertClose(out, ignore, { rel, abs })
    })
  }
})

describe("inpainting", () => {
  const { current, diffusers_blend, fill_latent_noise, fill_latent_nothing, img2img_start, init, nmask, noise } =
    reference.inpaint
  const mask = f32(nmask)
  const blended = (over: Float32Array, under: ReadonlyArray<number>) =>
    filled(mask.length, (out) => Guidance.blend(out, over, f32(under), mask))

  it("blends by the mask", () => assertClose(blended(f32(current), init), reference.inpaint.webui_blend, { rel, abs }))

  it("takes one mask for all channels", () => {
    const out = new Float32Array(4)
    Guidance.blend(out, Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8), Float32Array.of(1, 0))
    assert.deepStrictEqual(Array.from(out), [1, 6, 3, 8])
  })

  it("fills with noise or with nothing", () => {
    assertClose(blended(f32(noise), init), fill_latent_noise, { rel, abs })
    assertClose(blended(new Float32Array(mask.length), init), fill_latent_nothing, { rel, abs })
  })

  it("blends with noised latents as diffusers does", () => {
    assertClose(blended(f32(current), diffusers_blend.init_noised), diffusers_blend.result, { rel, abs })
  })

  it("starts from the image with noise", () => {
    const { alpha_bar, sigma, ve_start, vp_start } = img2img_start
    const mix = (a: number, b: number) => Float64Array.from(init, (value, i) => a * value + b * (noise[i] ?? NaN))
    assertClose(mix(1, sigma), ve_start, { rel, abs })
    assertClose(mix(Math.sqrt(alpha_bar), Math.sqrt(1 - alpha_bar)), vp_start, { rel, abs })
    assertClose(
      mix(Math.sqrt(diffusers_blend.alpha_bar_next), Math.sqrt(1 - diffusers_blend.alpha_bar_next)),
      diffusers_blend.init_noised,
      { rel, abs }
    )
  })

  it.effect("acts on the denoised prediction at every call", () =>
    Effect.gen(function*() {
      const { final_blended, mu, s, sigmas, start, x_after_step } = reference.inpaint.steps_case
      const denoised = new Float32Array(mu.length)
      const seen: Array<Float32Array> = []
      const x = yield* Samplers.sample({
        sampler: "Euler",
        sigmas,
        x: f32(start),
        denoiser: (x, sigma) =>
          Effect.sync(() => {
            for (let i = 0; i < x.length; i++) {
              denoised[i] = (s ** 2 * (x[i] ?? NaN) + sigma ** 2 * (mu[i] ?? NaN)) / (s ** 2 + sigma ** 2)
            }
            Guidance.blend(denoised, denoised, f32(init), mask)
            return denoised
          }),
        onStep: ({ x }) => Effect.sync(() => void seen.push(x.slice()))
      })
      for (const [i, expected] of x_after_step.entries()) assert.isBelow(distance(seen[i] ?? [], expected), 1e-5)
      Guidance.blend(x, x, f32(init), mask)
      assert.isBelow(distance(x, final_blended), 1e-5)
    }))
})
