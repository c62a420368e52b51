import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Brownian from "../../src/sampling/Brownian.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"
import { distance } from "./fixtures.ts"

const size = 4096

const source = (seed: number) => Brownian.make({ seeds: [seed], size })

const ask = (noise: ReturnType<typeof source>, from: number, to: number): Float32Array => {
  const out = new Float32Array(size)
  noise(out, from, to)
  return out
}

const covariance = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0) / a.length

// Five deviations of an estimate from this many values.
const slack = 5 * Math.sqrt(2 / size)

const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const level = (share: number) => 0.03 * 500 ** share

describe("Brownian noise", () => {
  it.prop(
    "is the same for an interval whatever was asked before",
    { a: Share, b: Share, before: Schema.Array(Schema.Tuple([Share, Share])), seed: Schema.Int },
    ({ a, b, before, seed }) => {
      const wandering = source(seed)
      for (const [from, to] of before.slice(0, 6)) ask(wandering, level(from), level(to))
      assert.deepStrictEqual(ask(wandering, level(a), level(b)), ask(source(seed), level(a), level(b)))
    },
    { arbitrary: { runs: 20 } }
  )

  it("adds up: two steps are the one that spans them", () => {
    const noise = source(1)
    const [first, second, both] = [ask(noise, 9, 4), ask(noise, 4, 1), ask(noise, 9, 1)]
    const sum = first.map((value, i) => (value * Math.sqrt(5) + (second[i] ?? NaN) * Math.sqrt(3)) / Math.sqrt(8))
    assert.isBelow(distance(sum, both), 1e-5)
  })

  it("turns round with the interval", () => {
    const noise = source(1)
    assert.isBelow(distance(ask(noise, 3, 2), ask(noise, 2, 3).map((value) => -value)), 1e-7)
  })

  it("is unit noise at every level that models have, of the normal distribution", () => {
    for (const [from, to] of [[4518, 2254], [14.6, 11], [1, 0.9], [0.05, 0.029], [0.002, 0.001]] as const) {
      const draw = ask(source(2), from, to)
      assert.closeTo(covariance(draw, draw), 1, slack, `${from} to ${to}`)
      assert.closeTo(covariance(draw, new Float32Array(size).fill(1)), 0, slack)
      const cubes = draw.map((value) => value ** 3)
      // Moments of the normal distribution: E[x^4] = 3, E[x^6] = 15, E[x^8] = 105.
      assert.closeTo(covariance(cubes, draw), 3, 5 * Math.sqrt(96 / size), `${from} to ${to}`)
      assert.closeTo(covariance(cubes, new Float32Array(size).fill(1)), 0, 5 * Math.sqrt(15 / size))
    }
  })

  it("has values that are independent of their neighbours", () => {
    const draw = ask(source(8), 3, 2)
    for (const distance of [1, 2, 64, 512]) {
      assert.closeTo(covariance(draw.subarray(0, size - distance), draw.subarray(distance)), 0, slack)
    }
  })

  it("is correlated where intervals overlap, and only there", () => {
    const noise = source(3)
    // Of (5, 2) and (5, 3) the lengths are 3 and 2, of what they share 2.
    assert.closeTo(covariance(ask(noise, 5, 2), ask(noise, 5, 3)), 2 / Math.sqrt(6), slack)
    assert.closeTo(covariance(ask(noise, 5, 3), ask(noise, 4, 2)), 0.5, slack)
    assert.closeTo(covariance(ask(noise, 5, 3), ask(noise, 3, 2)), 0, slack)
    assert.closeTo(covariance(ask(noise, 0.3, 0.2), ask(noise, 0.2, 0.1)), 0, slack)
  })

  it("follows one path whatever the schedule", () => {
    const end = (steps: number) => {
      const noise = source(4)
      const sigmas = Schedules.sigmas({ scheduler: "karras", steps, sigmaMin: 0.1, sigmaMax: 10 }).subarray(0, steps)
      const sum = new Float32Array(size)
      for (let i = 0; i + 1 < sigmas.length; i++) {
        const [from = NaN, to = NaN] = sigmas.subarray(i, i + 2)
        const draw = ask(noise, from, to)
        for (let k = 0; k < size; k++) sum[k] = (sum[k] ?? NaN) + (draw[k] ?? NaN) * Math.sqrt(from - to)
      }
      return sum
    }
    assert.isBelow(distance(end(5), end(17)), 1e-4)
  })

  it("gives every image its own path, which neighbours don't change", () => {
    const pair = Brownian.make({ seeds: [5, 6], size })
    const out = new Float32Array(2 * size)
    pair(out, 3, 2)
    assert.deepStrictEqual(out.slice(0, size), ask(source(5), 3, 2))
    assert.deepStrictEqual(out.slice(size), ask(source(6), 3, 2))
    assert.closeTo(covariance(out.slice(0, size), out.slice(size)), 0, slack)
  })

  it("stays finite outside its range", () => {
    for (const [from, to] of [[1e6, 1e5], [1, 0], [1, 1], [1e-9, 0]] as const) {
      assert.isTrue(ask(source(7), from, to).every(Number.isFinite))
    }
  })
})
