import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as PhiloxGenerator from "../../src/rng/PhiloxGenerator.ts"
import * as RandomGenerator from "../../src/rng/RandomGenerator.ts"
import * as TorchCpuGenerator from "../../src/rng/TorchCpuGenerator.ts"
import { assertClose } from "../sampling/fixtures.ts"
import * as references from "../sampling/references.ts"
import * as plain from "./plain.ts"

const torch = references.torchCpu()

const philox = references.philox()

const sizeOf = (shape: ReadonlyArray<number>) => shape.reduce((product, side) => product * side, 1)

const drawing = ({ randn }: RandomGenerator.RandomGenerator) => (size: number) => {
  const out = new Float32Array(size)
  randn(out)
  return out
}

const Seed = Schema.Int.check(Schema.isBetween({ minimum: -(2 ** 40), maximum: 2 ** 40 }))

describe("TorchCpuGenerator agrees with torch.randn", () => {
  for (const expected of torch.cases) {
    it(expected.id, () => {
      const { abs } = torch.tolerance
      const size = sizeOf(expected.shape)
      const draw = drawing(TorchCpuGenerator.make(expected.seed))
      const first = draw(size)
      if (expected.values) assertClose(first, expected.values, { abs })
      if (expected.first16) assertClose(first.subarray(0, 16), expected.first16, { abs })
      if (expected.last8) assertClose(first.subarray(-8), expected.last8, { abs })
      if (expected.last24) assertClose(first.subarray(-24), expected.last24, { abs })
      if (expected.sum_f64 !== undefined) {
        assert.closeTo(first.reduce((sum, value) => sum + value, 0), expected.sum_f64, abs * size)
      }
      const second = draw(size)
      if (expected.second_call_values) assertClose(second, expected.second_call_values, { abs })
      if (expected.second_call_first8) assertClose(second.subarray(0, 8), expected.second_call_first8, { abs })
      const third = draw(size)
      if (expected.third_call_first8) assertClose(third.subarray(0, 8), expected.third_call_first8, { abs })
    })
  }

  it("first values for seed 0, alone and in a latent", () => {
    const { abs } = torch.tolerance
    const few = drawing(TorchCpuGenerator.make(0))(4)
    assertClose(few, [1.5409961, -0.2934289, -2.1787894, 0.5684313], { abs })
    const latent = drawing(TorchCpuGenerator.make(0))(256)
    assertClose(latent.subarray(0, 4), [-1.1258398, -1.1523602, -0.2505786, -0.4338788], { abs })
  })

  it("keeps the second value of a pair for the next short draw, whatever is drawn between", () => {
    const whole = drawing(TorchCpuGenerator.make(7))(2)
    const draw = drawing(TorchCpuGenerator.make(7))
    const [first] = draw(1)
    draw(32)
    const [second] = draw(1)
    assert.deepStrictEqual([first, second], Array.from(whole))
  })

  it("takes 16 uniforms more when the length is not a multiple of 16", () => {
    const next = (...sizes: ReadonlyArray<number>) => {
      const draw = drawing(TorchCpuGenerator.make(3))
      for (const size of sizes) draw(size)
      return Array.from(draw(16))
    }
    assert.deepStrictEqual(next(24, 24), next(80))
    assert.notDeepEqual(next(24, 24), next(48))
  })

  const Size = Schema.Int.check(Schema.isBetween({ minimum: 16, maximum: 3000 }))
  it.prop("has every bit of the plain form", { seed: Seed, sizes: Schema.Tuple([Size, Size]) }, ({ seed, sizes }) => {
    const [draw, wanted] = [drawing(TorchCpuGenerator.make(seed)), drawing({ randn: plain.torch(seed) })]
    for (const size of sizes) assert.deepStrictEqual(draw(size), wanted(size))
  })

  it("has every bit of the plain form in a long draw", () => {
    const values = drawing(TorchCpuGenerator.make(42))(2 ** 22)
    const wanted = drawing({ randn: plain.torch(42) })(2 ** 22)
    // Compared as bits, as 0 and -0 are equal.
    assert.isTrue(Buffer.from(values.buffer).equals(Buffer.from(wanted.buffer)))
  })

  it("repeats every 2^32 seeds, negative ones included", () => {
    const first = (seed: number | bigint) => Array.from(drawing(TorchCpuGenerator.make(seed))(16))
    assert.deepStrictEqual(first(-1), first(2 ** 32 - 1))
    assert.deepStrictEqual(first(5), first(2 ** 32 + 5))
    assert.deepStrictEqual(first(5), first((1n << 63n) + 5n))
  })
})

describe("PhiloxGenerator agrees with NVIDIA's noise", () => {
  for (const { counter, key, output } of philox.raw_philox4x32_10) {
    it(`known answer for counter ${counter.join(" ")}`, () => {
      const words = Int32Array.from(counter)
      PhiloxGenerator.philox4x32(words, key[0] ?? NaN, key[1] ?? NaN)
      assert.deepStrictEqual(Array.from(new Uint32Array(words.buffer)), Array.from(output))
    })
  }

  for (const { calls, id, seed, shape } of philox.cases) {
    it(id, () => {
      const draw = drawing(PhiloxGenerator.make(seed))
      for (const { values } of calls) {
        assertClose(draw(sizeOf(shape)).subarray(0, values.length), values, { abs: philox.tolerance.abs })
      }
    })
  }

  it("counts draws, not values", () => {
    const first = drawing(PhiloxGenerator.make(1))
    const second = drawing(PhiloxGenerator.make(1))
    first(3)
    second(300)
    assert.deepStrictEqual(Array.from(first(8)), Array.from(second(8)))
  })

  it("uses all 64 bits of a seed", () => {
    const first = (seed: number | bigint) => Array.from(drawing(PhiloxGenerator.make(seed))(4))
    assertClose(first(2 ** 32 + 1), [0.8548940, -0.1142024, -1.0717551, 1.6957645], { abs: 1e-6 })
    assert.deepStrictEqual(first(2n ** 32n + 1n), first(2 ** 32 + 1))
    assert.notDeepEqual(first(1n << 60n), first(0))
    assert.deepStrictEqual(first(-1), first((1n << 64n) - 1n))
  })
})

const Kind = Schema.Literals(["CPU", "NV"])

describe("every generator", () => {
  it.prop("gives the same for the same seed, and something else for the next", { seed: Seed, kind: Kind }, (given) => {
    const first = (seed: number) => Array.from(drawing(RandomGenerator.kind(given.kind)(seed))(64))
    assert.deepStrictEqual(first(given.seed), first(given.seed))
    assert.notDeepEqual(first(given.seed), first(given.seed + 1))
  })

  it.prop("draws finite normal numbers", { seed: Seed, kind: Kind }, ({ kind, seed }) => {
    const values = drawing(RandomGenerator.kind(kind)(seed))(4096)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    assert.isTrue(values.every(Number.isFinite))
    // Five deviations of each estimate.
    assert.closeTo(mean, 0, 5 / Math.sqrt(4096))
    assert.closeTo(variance, 1, 5 * Math.sqrt(2 / 4096))
  })

  it("takes GPU for this machine's own: the processor", () => {
    assert.strictEqual(RandomGenerator.kind("GPU"), RandomGenerator.torchCpu)
  })
})
