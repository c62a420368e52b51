/** Noise sources against the reference numbers. */
import * as ImageNoise from "../../src/rng/ImageNoise.ts"
import * as PhiloxGenerator from "../../src/rng/PhiloxGenerator.ts"
import * as RandomGenerator from "../../src/rng/RandomGenerator.ts"
import * as TorchCpuGenerator from "../../src/rng/TorchCpuGenerator.ts"
import * as references from "../sampling/references.ts"
import { differences, exact, measured, type Measurement, scientific } from "./Measurement.ts"

const torch = references.torchCpu()

const philox = references.philox()

const seeds = references.seeds()

const drawing = ({ randn }: RandomGenerator.RandomGenerator, shape: ReadonlyArray<number>) => () => {
  const out = new Float32Array(shape.reduce((product, side) => product * side, 1))
  randn(out)
  return out
}

const generators = "test/rng/generators.test.ts"
const imageNoise = "test/rng/ImageNoise.test.ts"

const ofTorch = (): Measurement => {
  const { abs } = torch.tolerance
  return measured(
    "`CPU` and `GPU`: torch on the CPU",
    scientific(abs),
    { file: generators, title: "TorchCpuGenerator agrees with torch.randn" },
    torch.cases.map((expected) => {
      const draw = drawing(TorchCpuGenerator.make(expected.seed), expected.shape)
      const [first, second, third] = [draw(), draw(), draw()]
      const compared = [
        [first, expected.values],
        [first.subarray(0, 16), expected.first16],
        [first.subarray(-8), expected.last8],
        [first.subarray(-24), expected.last24],
        [second, expected.second_call_values],
        [second.subarray(0, 8), expected.second_call_first8],
        [third.subarray(0, 8), expected.third_call_first8]
      ] as const
      return compared.flatMap(([actual, wanted]) => wanted === undefined ? [] : differences(actual, wanted, { abs }))
    })
  )
}

const ofPhilox = (): ReadonlyArray<Measurement> => {
  const { abs } = philox.tolerance
  const proof = { file: generators, title: "PhiloxGenerator agrees with NVIDIA's noise" }
  return [
    measured(
      "`NV`: NVIDIA's Philox",
      scientific(abs),
      proof,
      philox.cases.map(({ calls, seed, shape }) => {
        const draw = drawing(PhiloxGenerator.make(seed), shape)
        return calls.flatMap(({ values }) => differences(draw().subarray(0, values.length), values, { abs }))
      })
    ),
    measured(
      "Philox4x32-10, raw bits",
      "none",
      proof,
      philox.raw_philox4x32_10.map(({ counter, key, output }) => {
        const words = Int32Array.from(counter)
        PhiloxGenerator.philox4x32(words, key[0] ?? NaN, key[1] ?? NaN)
        return exact(new Uint32Array(words.buffer), output)
      })
    )
  ]
}

const ofBatch = (source: "CPU" | "NV"): Measurement => {
  const abs = seeds.tolerance.image_noise_abs
  return measured(
    `Noise of a batch from \`${source}\`: variation seeds, seed resize, eta noise seed delta, later draws`,
    scientific(abs),
    { file: imageNoise, title: "the noise of a batch agrees with stable-diffusion-webui" },
    seeds.image_noise.filter((expected) => expected.source === source).map((expected) => {
      const [channels, height, width] = expected.shape
      const size = channels * height * width
      const { seed_resize_from_h, seed_resize_from_w = 0 } = expected
      const noise = ImageNoise.make({
        generator: RandomGenerator.kind(source),
        shape: { channels, frames: 1, height, width },
        seeds: expected.seeds,
        etaNoiseSeedDelta: expected.eta_noise_seed_delta,
        ...(expected.subseeds !== undefined && { subseeds: expected.subseeds }),
        ...(expected.subseed_strength !== undefined && { subseedStrength: expected.subseed_strength }),
        ...(seed_resize_from_h !== undefined && {
          resizeFrom: { height: Math.floor(seed_resize_from_h / 8), width: Math.floor(seed_resize_from_w / 8) }
        })
      })
      const draw = () => {
        const out = new Float32Array(size * expected.seeds.length)
        noise.next(out)
        return out
      }
      const [first, second, third] = [draw(), draw(), draw()]
      const later = [
        [second, expected.second_draw_first12_per_image],
        [third, expected.third_draw_first12_per_image]
      ] as const
      const begun = differences(first, expected.first, { abs })
      return begun.concat(
        later.flatMap(([drawn, images]) =>
          images.flatMap((values, i) =>
            differences(drawn.subarray(i * size, i * size + values.length), values, { abs })
          )
        )
      )
    })
  )
}

/** Every noise source, slerp, and the noise of batches. */
export const noise = (): ReadonlyArray<Measurement> => {
  const { slerp_abs: abs } = seeds.tolerance
  return [
    ofTorch(),
    ...ofPhilox(),
    measured(
      "Slerp between the noise of two seeds",
      scientific(abs),
      { file: imageNoise, title: "slerp agrees with stable-diffusion-webui" },
      seeds.slerp.map(({ high, low, result, shape, val }) => {
        const out = new Float32Array(result.length)
        ImageNoise.slerp(out, val, Float32Array.from(low), Float32Array.from(high), shape)
        return differences(out, result, { abs })
      })
    ),
    ofBatch("CPU"),
    ofBatch("NV")
  ]
}
