/**
 * The noise of a batch of images.
 *
 * Every image has its own generator, seeded with the image's seed, so an image does not depend on its batch. The first
 * draw is the initial noise, including variation seed and seed resize. Later draws, for samplers that add noise at each
 * step, continue the generators. Facts: stable-diffusion-webui 1.10.1, `modules/rng.py`.
 */
import { latentLength, type LatentShape } from "../core/LatentShape.ts"
import { plus, type Seed, toBigInt } from "../core/Seed.ts"
import type { GeneratorKind, RandomGenerator } from "./RandomGenerator.ts"

export interface ImageNoiseOptions {
  /** `RandomGenerator.kind(randn_source)`. */
  readonly generator: GeneratorKind
  /** Shape of one image's latents. */
  readonly shape: LatentShape
  /** One per image of the batch. */
  readonly seeds: ReadonlyArray<Seed>
  /** Variation seeds; missing ones are 0. */
  readonly subseeds?: ReadonlyArray<Seed>
  /** From 0 (the seed's noise) to 1 (the variation seed's). */
  readonly subseedStrength?: number
  /** Size in latent values of noise that is drawn first and pasted into the middle (seed resize). */
  readonly resizeFrom?: { readonly height: number; readonly width: number }
  /** Unless 0, draws after the first come from new generators seeded with seed + delta. */
  readonly etaNoiseSeedDelta?: Seed
}

export interface ImageNoise {
  /** Fills `out`, `[batch, ...shape]`: first with the initial noise, then with successive draws. */
  readonly next: (out: Float32Array) => void
}

/** Makes the noise source of one batch. */
export const make = (options: ImageNoiseOptions): ImageNoise => {
  const { etaNoiseSeedDelta = 0, generator, seeds, shape } = options
  const size = latentLength(shape)
  let generators: ReadonlyArray<RandomGenerator> = []
  let started = false

  return {
    next: (out) => {
      if (started) {
        for (const [i, { randn }] of generators.entries()) randn(out.subarray(i * size, (i + 1) * size))
        return
      }
      started = true
      generators = seeds.map((seed, i) => start(out.subarray(i * size, (i + 1) * size), seed, i, options))
      if (toBigInt(etaNoiseSeedDelta) !== 0n) generators = seeds.map((seed) => generator(plus(seed, etaNoiseSeedDelta)))
    }
  }
}

// Writes the initial noise of an image and returns the generator for later draws.
const start = (out: Float32Array, seed: Seed, index: number, options: ImageNoiseOptions): RandomGenerator => {
  const { generator, resizeFrom, shape, subseeds, subseedStrength = 0 } = options
  const own = generator(seed)
  own.randn(out)
  const from = resizeFrom !== undefined && resizeFrom.height > 0 && resizeFrom.width > 0
    ? { ...shape, height: resizeFrom.height, width: resizeFrom.width }
    : shape
  const resized = from.height !== shape.height || from.width !== shape.width
  const noise = resized ? new Float32Array(latentLength(from)) : out
  if (resized) generator(seed).randn(noise)
  if (subseeds !== undefined && subseedStrength !== 0) {
    const variation = new Float32Array(noise.length)
    generator(subseeds[index] ?? 0).randn(variation)
    slerp(noise, subseedStrength, noise, variation, [from.channels * from.frames, from.height, from.width])
  }
  if (resized) paste(out, shape, noise, from)
  return own
}

/**
 * Spherical interpolation: rotates `low` towards `high` by the fraction `amount` of the angle between them, along axis
 * 1 of `shape`.
 *
 * For one image, `[channels, height, width]`, these are the columns of each channel. When the vectors are almost
 * parallel (mean cosine above 0.9995) it interpolates linearly with the weights swapped, low·amount + high·(1 -
 * amount), as in stable-diffusion-webui.
 */
export const slerp = (
  out: Float32Array,
  amount: number,
  low: Float32Array,
  high: Float32Array,
  shape: readonly [number, number, ...ReadonlyArray<number>]
): void => {
  const [outer, length, ...rest] = shape
  const inner = rest.reduce((product, side) => product * side, 1)
  const cosines = new Float64Array(outer * inner)
  for (let line = 0; line < cosines.length; line++) {
    const start = Math.floor(line / inner) * length * inner + line % inner
    let dot = 0
    let lows = 0
    let highs = 0
    for (let i = 0; i < length; i++) {
      const a = low[start + i * inner] as number
      const b = high[start + i * inner] as number
      dot += a * b
      lows += a * a
      highs += b * b
    }
    cosines[line] = dot / Math.sqrt(lows * highs)
  }
  const parallel = cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length > 0.9995
  for (let line = 0; line < cosines.length; line++) {
    const start = Math.floor(line / inner) * length * inner + line % inner
    const angle = Math.acos(Math.min(1, Math.max(-1, cosines[line] as number)))
    const sine = Math.sin(angle)
    // A single column can be parallel when the whole is not; both ends then have the same direction.
    const straight = parallel || sine < 1e-9
    const a = parallel ? amount : straight ? 1 - amount : Math.sin((1 - amount) * angle) / sine
    const b = parallel ? 1 - amount : straight ? amount : Math.sin(amount * angle) / sine
    for (let i = 0; i < length; i++) {
      const place = start + i * inner
      out[place] = a * (low[place] as number) + b * (high[place] as number)
    }
  }
}

// Pastes `from` into the middle of `to`, or its middle part where it is larger.
const paste = (to: Float32Array, toShape: LatentShape, from: Float32Array, fromShape: LatentShape): void => {
  const dx = Math.floor((toShape.width - fromShape.width) / 2)
  const dy = Math.floor((toShape.height - fromShape.height) / 2)
  const width = dx >= 0 ? fromShape.width : fromShape.width + 2 * dx
  const height = dy >= 0 ? fromShape.height : fromShape.height + 2 * dy
  for (let plane = 0; plane < toShape.channels * toShape.frames; plane++) {
    for (let row = 0; row < height; row++) {
      const source = (plane * fromShape.height + Math.max(-dy, 0) + row) * fromShape.width + Math.max(-dx, 0)
      const target = (plane * toShape.height + Math.max(dy, 0) + row) * toShape.width + Math.max(dx, 0)
      to.set(from.subarray(source, source + width), target)
    }
  }
}
