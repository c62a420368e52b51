import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as ImageNoise from "../../src/rng/ImageNoise.ts"
import * as RandomGenerator from "../../src/rng/RandomGenerator.ts"
import { assertClose } from "../sampling/fixtures.ts"
import * as references from "../sampling/references.ts"

const reference = references.seeds()

describe("slerp agrees with stable-diffusion-webui", () => {
  for (const { high, id, low, result, shape, val } of reference.slerp) {
    it(id, () => {
      const out = new Float32Array(result.length)
      ImageNoise.slerp(out, val, Float32Array.from(low), Float32Array.from(high), shape)
      assertClose(out, result, { abs: reference.tolerance.slerp_abs })
    })
  }

  it("of equal noise is that noise", () => {
    const noise = Float32Array.of(1, 2, 3, 4)
    const out = new Float32Array(4)
    ImageNoise.slerp(out, 0.3, noise, noise, [1, 2, 2])
    assertClose(out, noise, { abs: 1e-6 })
  })
})

describe("the noise of a batch agrees with stable-diffusion-webui", () => {
  for (const expected of reference.image_noise) {
    it(expected.id, () => {
      const abs = reference.tolerance.image_noise_abs
      const [channels, height, width] = expected.shape
      const noise = ImageNoise.make({
        generator: RandomGenerator.kind(expected.source),
        shape: { channels, frames: 1, height, width },
        seeds: expected.seeds,
        etaNoiseSeedDelta: expected.eta_noise_seed_delta,
        ...(expected.subseeds !== undefined && { subseeds: expected.subseeds }),
        ...(expected.subseed_strength !== undefined && { subseedStrength: expected.subseed_strength }),
        ...(expected.seed_resize_from_h !== undefined && {
          resizeFrom: {
            height: Math.floor(expected.seed_resize_from_h / 8),
            width: Math.floor((expected.seed_resize_from_w ?? 0) / 8)
          }
        })
      })
      const size = channels * height * width
      const out = new Float32Array(size * expected.seeds.length)
      noise.next(out)
      assertClose(out, expected.first, { abs }, "start")
      for (const later of [expected.second_draw_first12_per_image, expected.third_draw_first12_per_image]) {
        noise.next(out)
        for (const [i, values] of later.entries()) {
          assertClose(out.subarray(i * size, i * size + values.length), values, { abs }, `picture ${i}`)
        }
      }
    })
  }
})

describe("an image in a batch", () => {
  const shape = { channels: 4, frames: 1, height: 3, width: 5 }
  const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 40 }))
  it.prop(
    "has the noise that it has alone, in every draw",
    {
      seeds: Schema.Tuple([Seed, Seed, Seed]),
      kind: Schema.Literals(["CPU", "NV"]),
      strength: Schema.Literals([0, 0.4]),
      delta: Schema.Literals([0, 31337])
    },
    ({ delta, kind, seeds, strength }) => {
      const size = 60
      const draws = (own: ReadonlyArray<number>) => {
        const out = new Float32Array(size * own.length)
        const noise = ImageNoise.make({
          generator: RandomGenerator.kind(kind),
          shape,
          seeds: own,
          subseeds: own.map((seed) => seed + 1),
          subseedStrength: strength,
          etaNoiseSeedDelta: delta
        })
        return Array.from({ length: 3 }, () => {
          noise.next(out)
          return out.slice()
        })
      }
      const together = draws(seeds)
      for (const [i, seed] of seeds.entries()) {
        for (const [draw, values] of draws([seed]).entries()) {
          assert.deepStrictEqual(together[draw]?.slice(i * size, (i + 1) * size), values)
        }
      }
    }
  )
})
