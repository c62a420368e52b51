/**
 * What networks do for a `LoadedModel`, wherever they come from: denoising calls by named inputs, decoding, encoding,
 * and what these would take.
 */
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import { latentLength, type LatentSize } from "../core/LatentShape.ts"
import type { Autoencoder } from "../model/Autoencoder.ts"
import * as LatentFormat from "../model/LatentFormat.ts"
import type { DenoisingShape, LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import { sourceInput } from "../model/SourceChannels.ts"
import type { Strengths } from "./Adaptation.ts"
import * as controlCalls from "./controlCalls.ts"
import type { NetworkCall, NetworkInfo } from "./Networks.ts"
import type { Opened } from "./opening.ts"
import * as TensorBuffer from "./TensorBuffer.ts"

/**
 * A network, or its seamless variant, which is opened separately; of a denoising network also those that read residuals
 * of ControlNets.
 */
export type Variants = (
  seamless: boolean | undefined,
  readsResiduals?: boolean
) => Effect.Effect<Opened, NetworkError>

/** Values of a call's inputs, by name. */
export type Inputs = Readonly<Record<string, Float32Array>>

export interface Denoiser {
  readonly variants: Variants
  /** Channels of `sample`: those of the latents, and behind them those of a source image. */
  readonly channels: number
  /** What it reads in addition: dimensions of a row, undefined where they vary. */
  readonly inputs: Readonly<Record<string, ReadonlyArray<number | undefined>>>
  readonly timestepDims: (network: NetworkInfo, batch: number) => ReadonlyArray<number>
  /** Single numbers that it reads, the same in every call: how strong adapters are. */
  readonly strengths?: Strengths | undefined
  /** Fills inputs of the network that follow from the conditioning's, before each run. */
  readonly derive?: ((inputs: Inputs, rows: number) => void) | undefined
  readonly controls?: controlCalls.Controls | undefined
}

export interface Networks {
  readonly denoiser: Denoiser
  readonly decoder: Variants
  /** The decoder apart from the runs' own calls. */
  readonly previewDecoder: Variants
  readonly encoder: Variants | undefined
  /** The encoder's output: `latent_parameters`, or `latent_sample`. */
  readonly encoderOutput: (network: NetworkInfo) => Effect.Effect<string, NetworkError>
  /** Why there is no encoder. */
  readonly withoutEncoder: Effect.Effect<never, NetworkError>
}

/** The part of a model that its networks make up. */
export const make = (
  networks: Networks,
  format: LatentFormat.LatentFormat
): Pick<LoadedModel, "decode" | "decodePreview" | "denoising" | "encode" | "estimates"> => ({
  denoising: denoising(networks.denoiser),
  estimates: estimates(networks, format),
  decode: decode(networks.decoder, format),
  decodePreview: decode(networks.previewDecoder, format),
  encode: encode(networks, format)
})

/** Tokens of the shortest text. */
const chunkLength = 77

/** Tokens of a call's texts. */
export const tokensOf = ({ inputs }: DenoisingShape): number => inputs["encoder_hidden_states"]?.[0] ?? chunkLength

// Sizes of the network's inputs for some latents, by their names.
const dimsOf = (
  { channels, inputs, timestepDims }: Denoiser,
  network: NetworkInfo,
  { batch, height, inputs: given, width }: DenoisingShape
): Readonly<Record<string, ReadonlyArray<number>>> => ({
  sample: [batch, channels, height, width],
  timestep: timestepDims(network, batch),
  ...Record.map(inputs, (dims, name) => [batch, ...dims.map((dim, i) => dim ?? given[name]?.[i] ?? chunkLength)])
})

const denoising = (denoiser: Denoiser): LoadedModel["denoising"] =>
  Effect.fnUntraced(function*({ keepsDeep, rowsAtOnce, runsPerCall = 1, tokenMerging, ...shape }) {
    const { batch: fixed, network, type } = yield* denoiser.variants(shape.seamless, denoiser.controls !== undefined)
    const { channels, height, width } = shape
    const each = fixed ?? Math.min(rowsAtOnce ?? shape.batch, shape.batch)
    // A network of a fixed batch takes whole calls: what is too much in the last one is left as it is.
    const batch = fixed === undefined ? shape.batch : Math.ceil(shape.batch / fixed) * fixed
    const { timestep: _, ...dims } = dimsOf(denoiser, network, { ...shape, batch })
    const buffers = Record.map(dims, (dims, name) => TensorBuffer.make(type(name), dims))
    const strengths = Record.map(denoiser.strengths ?? {}, TensorBuffer.single)
    const prediction = TensorBuffer.make(type("out_sample"), [batch, channels, height, width])
    // What ControlNets read of latents that have a source image's channels behind them.
    const latents = denoiser.channels === channels ? buffers["sample"] : TensorBuffer.make("float32", [
      batch,
      channels,
      height,
      width
    ])
    const controls = denoiser.controls && (yield* controlCalls.make(denoiser.controls, { ...shape, batch }, each))
    const calls = yield* Effect.forEach(
      rangesOf(batch, each),
      Effect.fnUntraced(function*({ from, to }) {
        const timestep = TensorBuffer.make(type("timestep"), denoiser.timestepDims(network, to - from))
        const inputs = { ...Record.map(buffers, (buffer) => TensorBuffer.rows(buffer, from, to)), timestep }
        const control = controls && latents &&
          (yield* controls.bind({ from, to }, { ...inputs, sample: TensorBuffer.rows(latents, from, to) }))
        const { run, runShallow } = yield* TensorBuffer.bind(network, {
          inputs: { ...inputs, ...strengths, ...control?.residuals },
          outputs: { out_sample: TensorBuffer.rows(prediction, from, to) },
          keepsDeep,
          tokenMerging,
          // Where memory is short, or the network has a fixed batch, its calls are made alone.
          joint: fixed !== undefined || each < batch ? undefined : { most: runsPerCall, leader: "sample" }
        })
        const controlled = (run: NetworkCall["run"]) => control === undefined ? run : Effect.andThen(control.run, run)
        return { run: controlled(run), runShallow: controlled(runShallow), timestep }
      })
    )
    const { sample: seen, ...read } = Record.map(buffers, ({ values }) => rowsOf(values, shape.batch, batch))
    const [sample, source] = apart(seen ?? new Float32Array(0), shape)
    const inputs = {
      ...Record.map(
        Record.filter(shape.inputs, (_, name) => !Object.hasOwn(read, name)),
        (dims) => new Float32Array(dims.reduce((size, dim) => size * dim, shape.batch))
      ),
      ...read,
      ...(source && { [sourceInput]: source })
    }
    return {
      sample,
      inputs,
      prediction: rowsOf(prediction.values, shape.batch, batch),
      ...(controls && { controls: controls.buffers }),
      run: (t, reusesDeep) =>
        Effect.suspend(() => {
          if (source !== undefined && seen !== undefined) join(seen, [sample, source], shape.batch)
          if (source !== undefined && controls !== undefined) latents?.values.set(sample)
          denoiser.derive?.(inputs, shape.batch)
          return Effect.forEach(calls, ({ run, runShallow, timestep }) =>
            Effect.suspend(() => {
              timestep.values.fill(t)
              return reusesDeep === true ? runShallow : run
            }), { discard: true })
        })
    }
  })

// Networks read a source image's channels behind those of the latents, in one input. Where there are none, the latents
// are written in place.
const apart = (
  seen: Float32Array,
  shape: DenoisingShape
): readonly [sample: Float32Array, source: Float32Array | undefined] => {
  const length = shape.batch * latentLength(shape)
  return seen.length === length ? [seen, undefined] : [new Float32Array(length), new Float32Array(seen.length - length)]
}

const join = (out: Float32Array, parts: ReadonlyArray<Float32Array>, rows: number): void => {
  let place = 0
  for (let row = 0; row < rows; row++) {
    for (const part of parts) {
      const length = part.length / rows
      out.set(part.subarray(row * length, (row + 1) * length), place)
      place += length
    }
  }
}

// The first rows of those that a buffer has.
const rowsOf = (values: Float32Array, rows: number, all: number): Float32Array =>
  values.subarray(0, values.length / all * rows)

const rangesOf = (rows: number, each: number) =>
  Array.from({ length: Math.ceil(rows / each) }, (_, i) => ({ from: i * each, to: Math.min(rows, (i + 1) * each) }))

/** Latent values, of all rows together, below which no call takes more memory than a process has to spare. */
const smallCall = 32 * 32

const estimates = (
  { decoder, denoiser, encoder }: Networks,
  { channels, scale: { space } }: LatentFormat.LatentFormat
): LoadedModel["estimates"] => {
  const isSmall = ({ batch = 1, height, width }: LatentSize & { readonly batch?: number }) =>
    batch * height * width <= smallCall
  return {
    denoising: Effect.fnUntraced(function*(shape) {
      if (isSmall(shape) && tokensOf(shape) <= chunkLength) return undefined
      const { batch = shape.batch, network } = yield* denoiser.variants(shape.seamless, denoiser.controls !== undefined)
      const strengths = Record.map(denoiser.strengths ?? {}, () => [])
      const inputs = { ...dimsOf(denoiser, network, { ...shape, batch }), ...strengths }
      const { controls } = denoiser
      if (controls === undefined) return yield* network.estimate(inputs)
      const needs = yield* network.estimate({ ...inputs, ...controlCalls.residualSizes(controls, { ...shape, batch }) })
      const { channels, height, width } = shape
      const read = { ...inputs, sample: [batch, channels, height, width] }
      return yield* controlCalls.estimate(controls, { ...shape, batch }, { needs, inputs: read })
    }),
    decode: Effect.fnUntraced(function*(shape) {
      if (isSmall(shape)) return undefined
      const { batch = 1, network } = yield* decoder(shape.seamless)
      return yield* network.estimate({ latent_sample: [batch, channels, shape.height, shape.width] })
    }),
    encode: Effect.fnUntraced(function*(shape) {
      if (encoder === undefined || isSmall(shape)) return undefined
      const { batch = 1, network } = yield* encoder(shape.seamless)
      return yield* network.estimate({ sample: [batch, 3, shape.height * space, shape.width * space] })
    })
  }
}

const decode = (decoder: Variants, format: LatentFormat.LatentFormat): Autoencoder["decode"] =>
  Effect.fnUntraced(function*(latent, { height, seamless, width }) {
    // Where the batch is fixed, the other rows are left empty.
    const { batch = 1, network, type } = yield* decoder(seamless)
    const scale = format.scale.space
    const input = TensorBuffer.make(type("latent_sample"), [batch, format.channels, height, width])
    const output = TensorBuffer.make(type("sample"), [batch, 3, height * scale, width * scale])
    LatentFormat.denormalise(input.values, latent, format)
    yield* TensorBuffer.run(network, { inputs: { latent_sample: input }, outputs: { sample: output } })
    return rowsOf(output.values, 1, batch)
  })

const encode = (
  { encoder, encoderOutput, withoutEncoder }: Networks,
  format: LatentFormat.LatentFormat
): Autoencoder["encode"] =>
  Effect.fnUntraced(function*(pixels, { height, seamless, width }) {
    if (encoder === undefined) return yield* withoutEncoder
    const { batch = 1, network, type } = yield* encoder(seamless)
    const name = yield* encoderOutput(network)
    const { channels, scale: { space: scale } } = format
    const input = TensorBuffer.make(type("sample"), [batch, 3, height * scale, width * scale])
    const outputChannels = name === "latent_parameters" ? channels * 2 : channels
    const output = TensorBuffer.make(type(name), [batch, outputChannels, height, width])
    input.values.set(pixels)
    yield* TensorBuffer.run(network, { inputs: { sample: input }, outputs: { [name]: output } })
    const latent = output.values.slice(0, channels * height * width)
    LatentFormat.normalise(latent, latent, format)
    return latent
  })
