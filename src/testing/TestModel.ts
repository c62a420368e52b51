/**
 * A model that is arithmetic instead of networks.
 *
 * It assumes latents that are normally distributed around a mean derived from the prompt, and denoises exactly: its
 * prediction is the closed-form posterior mean. Prompt, seed, size and sampler affect its images as they affect a real
 * model's, and the same request gives the same bytes everywhere.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import { latentLength, type LatentShape } from "../core/LatentShape.ts"
import { sd1 } from "../families/sd1.ts"
import type { EncodedChunk, TextEncoder } from "../model/Conditioner.ts"
import * as LatentFormat from "../model/LatentFormat.ts"
import type { DenoisingCall, LoadedModel } from "../model/LoadedModel.ts"
import type { Vocabulary } from "../prompt/Chunks.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import type { PredictionType } from "../sampling/Prediction.ts"

const width = 12
/** Variance of the latents around their mean. */
const variance = 0.0625

export interface Options extends Partial<LoadedModel> {
  /**
   * How long each denoising call takes on Effect's clock: with `TestClock.adjust`, a test advances a run step by step.
   * Like a network call, it cannot be interrupted half-way. By default a call takes no time but yields to other fibers.
   */
  readonly stepDuration?: Duration.Input | undefined
  /** What the network predicts; noise when left out. */
  readonly prediction?: PredictionType | undefined
}

/** Latents that are not scaled. */
const latentFormat = LatentFormat.scaledBy(1, {
  channels: 4,
  space: 8,
  rgb: { factors: [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.1, 0.1, 0.1]], bias: [0, 0, 0] }
})

/**
 * Makes the model, with parts replaced by yours.
 *
 * It keeps to the channels and the scale of `latents`; of noise levels it knows Stable Diffusion's only.
 */
export const make = ({ prediction: predicted = "epsilon", stepDuration, ...overrides }: Options = {}): LoadedModel => {
  const { latents = latentFormat } = overrides
  const { space } = latents.scale
  // A network call is always asynchronous.
  const pass = stepDuration === undefined ? Effect.yieldNow : Effect.uninterruptible(Effect.sleep(stepDuration))
  return {
    name: "test-model",
    hash: Effect.succeed("7e57000000"),
    defaultSize: { width: 64, height: 64 },
    sizeMultiple: space,
    latents,
    noise: predicted === "epsilon"
      ? NoiseProcess.stableDiffusion
      : NoiseProcess.ofBetas({ prediction_type: predicted }),
    conditioner: sd1.conditioner,
    settings: sd1.settings,
    warm: Effect.void,
    textEncoders: [textEncoder],
    denoising: (shape) =>
      Effect.sync((): DenoisingCall => {
        const { batch, height, width } = shape
        const latent = latentLength(shape)
        const sample = new Float32Array(batch * latent)
        const prediction = new Float32Array(batch * latent)
        const inputs = Record.map(
          shape.inputs,
          (dims) => new Float32Array(dims.reduce((size, dim) => size * dim, batch))
        )
        const texts = inputs["encoder_hidden_states"] ?? new Float32Array()
        const columns = shape.inputs["encoder_hidden_states"]?.at(-1) ?? 1
        return {
          sample,
          inputs,
          prediction,
          run: (t) =>
            Effect.andThen(
              pass,
              Effect.sync(() => {
                const alpha = alphaAt(t)
                const size = texts.length / batch
                for (let item = 0; item < batch; item++) {
                  const prompt = texts.subarray(item * size, (item + 1) * size)
                  const mean = meanOf(prompt, columns, shape.channels, height, width)
                  for (let i = 0; i < latent; i++) {
                    const place = item * latent + i
                    prediction[place] = predict(predicted, alpha, at(sample, place), at(mean, i))
                  }
                }
              })
            )
        }
      }),
    decode: (latent, shape) => Effect.sync(() => decode(latent, shape, space)),
    encode: (pixels, shape) => Effect.sync(() => encode(pixels, shape, space)),
    ...overrides
  }
}

const at = (values: ArrayLike<number>, index: number): number => values[index] ?? 0

// Between -1 and 1, by operations that every machine rounds alike.
const soft = (value: number): number => value / (1 + Math.abs(value))

const [start, end, firstWord] = [1, 2, 16]

// A comma is a word of its own. A word's id is an FNV-1a hash of its characters.
const wordId = (word: string): number => {
  let hash = 0x811C9DC5
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
  return firstWord + ((hash ^ (hash >>> 15)) >>> 0) % 0xFFFFF
}

const vocabulary: Vocabulary = {
  encode: (texts) => Effect.succeed(texts.map((text) => (text.match(/,|[^\s,]+/g) ?? []).map(wordId))),
  comma: wordId(","),
  start,
  end,
  padding: end
}

// One row per word, hashed from its id and position; zeros for start and end.
const encodeText = (ids: ReadonlyArray<number>, clipSkip: number): EncodedChunk => {
  const values = new Float32Array(ids.length * width)
  for (const [place, id] of ids.entries()) {
    if (id < firstWord) continue
    for (let column = 0; column < width; column++) {
      let hash = Math.imul(id ^ (place * width + column) ^ ((clipSkip - 1) << 20), 0x2C1B3C6D)
      hash = Math.imul(hash ^ (hash >>> 15), 0x297A2D39)
      values[place * width + column] = ((hash ^ (hash >>> 13)) >>> 0) / 0x8000_0000 - 1
    }
  }
  return { values, pooled: new Float32Array() }
}

const textEncoder: TextEncoder = {
  vocabulary: Effect.succeed(vocabulary),
  width,
  largestClipSkip: Effect.succeed(12),
  encode: (ids, { clipSkip }) => Effect.sync(() => encodeText(ids, clipSkip))
}

const cumulated: ReadonlyArray<number> = (() => {
  const [first, last, steps] = [Math.sqrt(0.00085), Math.sqrt(0.012), 1000]
  let product = 1
  return Array.from({ length: steps }, (_, t) => product *= 1 - (first + (last - first) * t / (steps - 1)) ** 2)
})()

// Between timesteps the noise level is interpolated in its logarithm, as samplers do it.
const alphaAt = (t: number): number => {
  const clamped = Math.min(Math.max(t, 0), cumulated.length - 1)
  const [low, high] = [Math.floor(clamped), Math.ceil(clamped)]
  const logSigma = (t: number) => Math.log((1 - at(cumulated, t)) / at(cumulated, t)) / 2
  const sigma = Math.exp(logSigma(low) + (logSigma(high) - logSigma(low)) * (clamped - low))
  return 1 / (1 + sigma ** 2)
}

// One colour per channel, and a slope across and down the image.
const meanOf = (
  conditioning: Float32Array,
  columns: number,
  channels: number,
  height: number,
  width: number
): Float32Array => {
  const weights = new Float32Array(channels * 3)
  for (let i = 0; i < weights.length; i++) {
    let sum = 0
    for (let row = i % columns; row < conditioning.length; row += columns) sum += at(conditioning, row)
    weights[i] = soft(sum)
  }
  const mean = new Float32Array(channels * height * width)
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        mean[(channel * height + y) * width + x] = 1.5 * at(weights, channel * 3) +
          at(weights, channel * 3 + 1) * (2 * (x + 0.5) / width - 1) +
          at(weights, channel * 3 + 2) * (2 * (y + 0.5) / height - 1)
      }
    }
  }
  return mean
}

// x = sqrt(alpha) x0 + sqrt(1 - alpha) e, with x0 normally distributed: what x0, e or v is to be expected.
const predict = (type: PredictionType, alpha: number, x: number, mean: number): number => {
  const [signal, noise] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)]
  const residual = (x - signal * mean) / (variance * alpha + 1 - alpha)
  const original = mean + variance * signal * residual
  const epsilon = noise * residual
  if (type === "sample") return original
  return type === "epsilon" ? epsilon : signal * epsilon - noise * original
}

// The first three channels are red, green and blue, the last one is light; each latent value is a square of pixels.
const decode = (
  latent: Float32Array,
  { channels, height, width }: LatentShape,
  scale: number
): Float32Array => {
  const area = height * width
  const row = width * scale
  const pixels = new Float32Array(3 * area * scale * scale)
  for (let colour = 0; colour < 3; colour++) {
    for (let y = 0; y < height * scale; y++) {
      const from = Math.floor(y / scale) * width
      for (let x = 0; x < row; x++) {
        const place = from + Math.floor(x / scale)
        const value = at(latent, (colour % channels) * area + place) + at(latent, (channels - 1) * area + place) / 4
        pixels[(colour * height * scale + y) * row + x] = soft(value)
      }
    }
  }
  return pixels
}

// Of a square of pixels, the first three channels are its colour; the others are 0. The inverse of `decode` for squares
// of one colour.
const encode = (
  pixels: Float32Array,
  { channels, height, width }: LatentShape,
  scale: number
): Float32Array => {
  const area = height * width
  const latent = new Float32Array(channels * area)
  for (let colour = 0; colour < Math.min(3, channels); colour++) {
    for (let place = 0; place < area; place++) {
      const [top, left] = [Math.floor(place / width) * scale, (place % width) * scale]
      let sum = 0
      for (let y = 0; y < scale; y++) {
        for (let x = 0; x < scale; x++) {
          sum += at(pixels, (colour * height * scale + top + y) * width * scale + left + x)
        }
      }
      latent[colour * area + place] = hard(sum / scale ** 2)
    }
  }
  return latent
}

// Undoes `soft`; the ends stand for 20.
const hard = (value: number): number => value / Math.max(0.05, 1 - Math.abs(value))
