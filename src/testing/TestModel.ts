/**
 * A model that is arithmetic instead of networks.
 *
 * It assumes latents that are normally distributed around a mean derived from the prompt, and denoises exactly: its
 * prediction is the closed-form posterior mean. Prompt, seed, size and sampler affect its images as they affect a real
 * model's, and the same request gives the same bytes everywhere.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { DenoisingCall, EncodedChunk, LoadedModel, TextEncoder, Vocabulary } from "../model/LoadedModel.ts"
import type { DenoisingInputs, NoiseScheduleConfig } from "../model/ModelInfo.ts"

const width = 12
/** Variance of the latents around their mean. */
const variance = 0.0625

const noise: NoiseScheduleConfig = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  num_train_timesteps: 1000,
  prediction_type: "epsilon",
  rescale_betas_zero_snr: false,
  trained_betas: null
}

export interface Options extends Partial<LoadedModel> {
  /**
   * How long each denoising call takes on Effect's clock: with `TestClock.adjust`, a test advances a run step by step.
   * Like a network call, it cannot be interrupted half-way. By default a call takes no time but yields to other fibers.
   */
  readonly stepDuration?: Duration.Input | undefined
}

/**
 * Makes the model, with parts replaced by yours.
 *
 * It keeps to the `prediction_type`, `latentChannels` and `latentScale` of the overrides; of noise schedules it knows
 * `scaled_linear`, Stable Diffusion's, only.
 */
export const make = ({ stepDuration, ...overrides }: Options = {}): LoadedModel => {
  const { latentChannels = 4, latentScale = 8 } = overrides
  const inputs: DenoisingInputs = overrides.inputs ??
    { channels: latentChannels, context: width, pooled: 0, timeIds: 0, guidance: 0 }
  const config = overrides.noise ?? noise
  const cumulated = alphasCumprod(config)
  // A network call is always asynchronous.
  const pass = stepDuration === undefined ? Effect.yieldNow : Effect.uninterruptible(Effect.sleep(stepDuration))
  return {
    name: "test-model",
    family: "sd1",
    hash: Effect.succeed("7e57000000"),
    defaultSize: { width: 64, height: 64 },
    sizeMultiple: latentScale,
    latentScale,
    latentChannels,
    noise: config,
    inputs,
    latentRgb: { factors: [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [0.1, 0.1, 0.1]], bias: [0, 0, 0] },
    warm: Effect.void,
    textEncoders: [textEncoder],
    denoising: ({ batch, height, tokens, width }) =>
      Effect.sync((): DenoisingCall => {
        const area = height * width
        const sample = new Float32Array(batch * inputs.channels * area)
        const conditioning = new Float32Array(batch * tokens * inputs.context)
        const prediction = new Float32Array(batch * latentChannels * area)
        return {
          sample,
          conditioning,
          pooled: new Float32Array(batch * inputs.pooled),
          timeIds: new Float32Array(batch * inputs.timeIds),
          guidance: new Float32Array(batch * inputs.guidance),
          prediction,
          run: (t) =>
            Effect.andThen(
              pass,
              Effect.sync(() => {
                const alpha = alphaAt(cumulated, t)
                const size = conditioning.length / batch
                const latent = latentChannels * area
                for (let item = 0; item < batch; item++) {
                  const prompt = conditioning.subarray(item * size, (item + 1) * size)
                  const mean = meanOf(prompt, inputs.context, latentChannels, height, width)
                  const from = item * inputs.channels * area
                  for (let i = 0; i < latent; i++) {
                    const x = at(sample, from + i)
                    prediction[item * latent + i] = predict(config.prediction_type, alpha, x, at(mean, i))
                  }
                }
              })
            )
        }
      }),
    decode: (latent, shape) => Effect.sync(() => decode(latent, shape, latentChannels, latentScale)),
    encode: (pixels, shape) => Effect.sync(() => encode(pixels, shape, latentChannels, latentScale)),
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
  encode: (text) => (text.match(/,|[^\s,]+/g) ?? []).map(wordId),
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

const alphasCumprod = (config: NoiseScheduleConfig): ReadonlyArray<number> => {
  const [first, last] = [Math.sqrt(config.beta_start), Math.sqrt(config.beta_end)]
  let product = 1
  return Array.from({ length: config.num_train_timesteps }, (_, t) => {
    const beta = (first + (last - first) * t / (config.num_train_timesteps - 1)) ** 2
    return product *= 1 - beta
  })
}

// Between timesteps the noise level is interpolated in its logarithm, as samplers do it.
const alphaAt = (cumulated: ReadonlyArray<number>, t: number): number => {
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
const predict = (type: NoiseScheduleConfig["prediction_type"], alpha: number, x: number, mean: number): number => {
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
  { height, width }: { readonly height: number; readonly width: number },
  channels: number,
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
  { height, width }: { readonly height: number; readonly width: number },
  channels: number,
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
