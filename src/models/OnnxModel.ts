/**
 * A model folder as a `LoadedModel`: its networks opened once, on first use, and shared by all runs.
 *
 * Nothing is assumed of any particular model: sizes, special tokens, scaling factor, inputs and number types come from
 * the folder's own files.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import * as Record from "effect/Record"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { Size } from "../core/Geometry.ts"
import { latentLength, type LatentSize } from "../core/LatentShape.ts"
import type { Autoencoder } from "../model/Autoencoder.ts"
import * as LatentFormat from "../model/LatentFormat.ts"
import type { DenoisingShape, LoadedModel, MemoryEstimates } from "../model/LoadedModel.ts"
import { InvalidModelFolder, type NetworkError } from "../model/ModelError.ts"
import { sourceInput } from "../model/SourceChannels.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import { weightFiles } from "./folderFiles.ts"
import type { ModelFolder } from "./ModelFolder.ts"
import type { NetworkInfo, Networks } from "./Networks.ts"
import * as OnnxTextEncoder from "./OnnxTextEncoder.ts"
import { type Opened, type Opener, opener, type Part, remembered } from "./opening.ts"
import * as TensorBuffer from "./TensorBuffer.ts"

/** A model whose networks and memory are freed with the scope. */
export const make = Effect.fnUntraced(function*(
  folder: ModelFolder
): Effect.fn.Return<LoadedModel, never, Networks | FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const open = yield* opener(folder)
  const [first, ...others] = folder.textEncoders
  const firstEncoder = yield* OnnxTextEncoder.make(folder, first, open)
  const otherEncoders = yield* Effect.forEach(others, (encoder) => OnnxTextEncoder.make(folder, encoder, open))
  const unet = yield* plainAndSeamless(open, unetPart(folder))
  const vaeDecoder = yield* plainAndSeamless(open, decoderPart(folder))
  const previewDecoder = yield* plainAndSeamless(open, { ...decoderPart(folder), background: true })
  const encoder = encoderPart(folder)
  const vaeEncoder = encoder && (yield* plainAndSeamless(open, encoder))
  const hash = yield* remembered(shortHash(folder).pipe(Effect.provideService(FileSystem.FileSystem, fs)))

  const { conditioner, noise: { alignYourSteps }, settings, source } = folder.family
  const latents = latentFormat(folder)
  const textEncoders = [firstEncoder, ...otherEncoders] as const
  return {
    name: folder.name,
    hash,
    defaultSize: defaultSize(folder),
    sizeMultiple: latents.scale.space * 2 ** (folder.unet.down_block_types.length - 1),
    latents,
    noise: NoiseProcess.ofBetas({ ...folder.noise, alignYourSteps }),
    conditioner,
    settings,
    source,
    warm: Effect.all(
      [...textEncoders.map(({ warm }) => warm), unet(false), vaeDecoder(false)],
      { concurrency: "unbounded", discard: true }
    ),
    textEncoders,
    denoising: denoising(folder, unet),
    estimates: estimates(folder, { unet, vaeDecoder, vaeEncoder }),
    decode: decode(latents, vaeDecoder),
    decodePreview: decode(latents, previewDecoder),
    encode: encode(folder, latents, vaeEncoder)
  }
})

const unetPart = ({ inputs, networks, unet }: ModelFolder): Part => ({
  part: "unet",
  file: networks.unet,
  inputs: {
    sample: ["batch", unet.in_channels, "height", "width"],
    timestep: undefined,
    ...Record.map(inputs, (dims) => ["batch", ...dims])
  },
  outputs: ["out_sample"]
})

const decoderPart = ({ networks, vae }: ModelFolder): Part => ({
  part: "vae_decoder",
  file: networks.vaeDecoder,
  inputs: { latent_sample: ["batch", vae.latent_channels, "height", "width"] },
  outputs: ["sample"]
})

const encoderPart = ({ networks }: ModelFolder): Part | undefined =>
  networks.vaeEncoder === undefined
    ? undefined
    : {
      part: "vae_encoder",
      file: networks.vaeEncoder,
      inputs: { sample: ["batch", 3, "height", "width"] },
      outputs: []
    }

// A network, or its seamless variant, which is opened separately.
type Variants = (seamless: boolean | undefined) => Effect.Effect<Opened, NetworkError>

const plainAndSeamless = Effect.fnUntraced(function*(open: Opener, part: Part): Effect.fn.Return<Variants> {
  const plain = yield* open(part)
  const seamless = yield* open({ ...part, seamless: true })
  return (isSeamless) => isSeamless === true ? seamless : plain
})

const latentScaleOf = ({ vae }: ModelFolder): number => 2 ** (vae.block_out_channels.length - 1)

const latentFormat = (folder: ModelFolder): LatentFormat.LatentFormat =>
  LatentFormat.scaledBy(folder.vae.scaling_factor, {
    channels: folder.vae.latent_channels,
    space: latentScaleOf(folder),
    rgb: folder.latentRgb
  })

const defaultSize = (folder: ModelFolder): Size => {
  const [height = 64, width = height] = [folder.unet.sample_size].flat()
  return { width: width * latentScaleOf(folder), height: height * latentScaleOf(folder) }
}

/** Tokens of the shortest text. */
const chunkLength = 77

// Sizes of the denoising network's inputs for some latents, by the names that exports give them.
const denoisingDims = (
  { inputs, unet }: ModelFolder,
  network: NetworkInfo,
  { batch, height, inputs: given, width }: DenoisingShape
): Readonly<Record<string, ReadonlyArray<number>>> => ({
  sample: [batch, unet.in_channels, height, width],
  timestep: timestepDims(network, batch),
  ...Record.map(inputs, (dims, name) => [batch, ...dims.map((dim, i) => dim ?? given[name]?.[i] ?? chunkLength)])
})

const tokensOf = ({ inputs }: DenoisingShape): number => inputs["encoder_hidden_states"]?.[0] ?? chunkLength

const denoising = (folder: ModelFolder, unet: Variants): LoadedModel["denoising"] =>
  Effect.fnUntraced(function*({ rowsAtOnce, ...shape }) {
    const { batch: fixed, network, type } = yield* unet(shape.seamless)
    const { height, width } = shape
    yield* checkTokens(folder, network, tokensOf(shape))
    const each = fixed ?? Math.min(rowsAtOnce ?? shape.batch, shape.batch)
    // A network of a fixed batch takes whole calls: what is too much in the last one is left as it is.
    const batch = fixed === undefined ? shape.batch : Math.ceil(shape.batch / fixed) * fixed
    const { timestep: _, ...dims } = denoisingDims(folder, network, { ...shape, batch })
    const inputs = Record.map(dims, (dims, name) => TensorBuffer.make(type(name), dims))
    const prediction = TensorBuffer.make(type("out_sample"), [batch, folder.vae.latent_channels, height, width])
    const calls = yield* Effect.forEach(rangesOf(batch, each), ({ from, to }) => {
      const timestep = TensorBuffer.make(type("timestep"), timestepDims(network, to - from))
      return Effect.map(
        TensorBuffer.bind(network, {
          inputs: { ...Record.map(inputs, (buffer) => TensorBuffer.rows(buffer, from, to)), timestep },
          outputs: { out_sample: TensorBuffer.rows(prediction, from, to) }
        }),
        (run) => ({ run, timestep })
      )
    })
    const { sample: seen, ...others } = Record.map(inputs, ({ values }) => rowsOf(values, shape.batch, batch))
    const [sample, source] = apart(seen ?? new Float32Array(0), shape)
    return {
      sample,
      inputs: { ...others, ...(source && { [sourceInput]: source }) },
      prediction: rowsOf(prediction.values, shape.batch, batch),
      run: (t) =>
        Effect.suspend(() => {
          if (source !== undefined && seen !== undefined) join(seen, [sample, source], shape.batch)
          return Effect.forEach(calls, ({ run, timestep }) =>
            Effect.suspend(() => {
              timestep.values.fill(t)
              return run
            }), { discard: true })
        })
    }
  })

// Exported networks read a source image's channels behind those of the latents, in one input. Where there are none, the
// latents are written in place.
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

// A network exported for texts of one length takes no others.
const checkTokens = Effect.fnUntraced(function*({ folder }: ModelFolder, { inputs }: NetworkInfo, tokens: number) {
  const fixed = inputs.find(({ name }) => name === "encoder_hidden_states")?.dims[1]
  if (typeof fixed !== "number" || fixed <= 0 || fixed === tokens) return
  return yield* new InvalidModelFolder({
    folder,
    problems: [{
      path: "unet/model.onnx",
      message: `"encoder_hidden_states" is fixed to ${fixed} tokens, and the prompt has ${tokens}; shorten the ` +
        "prompt, or export the model with dynamic axes"
    }]
  })
})

// The first rows of those that a buffer has.
const rowsOf = (values: Float32Array, rows: number, all: number): Float32Array =>
  values.subarray(0, values.length / all * rows)

const rangesOf = (rows: number, each: number) =>
  Array.from({ length: Math.ceil(rows / each) }, (_, i) => ({ from: i * each, to: Math.min(rows, (i + 1) * each) }))

/** Latent values, of all rows together, below which no call takes more memory than a process has to spare. */
const smallCall = 32 * 32

const estimates = (
  folder: ModelFolder,
  { unet, vaeDecoder, vaeEncoder }: {
    readonly unet: Variants
    readonly vaeDecoder: Variants
    readonly vaeEncoder: Variants | undefined
  }
): MemoryEstimates => {
  const isSmall = ({ batch = 1, height, width }: LatentSize & { readonly batch?: number }) =>
    batch * height * width <= smallCall
  return {
    denoising: Effect.fnUntraced(function*(shape) {
      if (isSmall(shape) && tokensOf(shape) <= chunkLength) return undefined
      const { batch = shape.batch, network } = yield* unet(shape.seamless)
      return yield* network.estimate(denoisingDims(folder, network, { ...shape, batch }))
    }),
    decode: Effect.fnUntraced(function*(shape) {
      if (isSmall(shape)) return undefined
      const { batch = 1, network } = yield* vaeDecoder(shape.seamless)
      return yield* network.estimate({ latent_sample: [batch, folder.vae.latent_channels, shape.height, shape.width] })
    }),
    encode: Effect.fnUntraced(function*(shape) {
      if (vaeEncoder === undefined || isSmall(shape)) return undefined
      const { batch = 1, network } = yield* vaeEncoder(shape.seamless)
      const scale = latentScaleOf(folder)
      return yield* network.estimate({ sample: [batch, 3, shape.height * scale, shape.width * scale] })
    })
  }
}

const decode = (format: LatentFormat.LatentFormat, decoder: Variants): Autoencoder["decode"] =>
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
  folder: ModelFolder,
  format: LatentFormat.LatentFormat,
  encoder: Variants | undefined
): Autoencoder["encode"] =>
  Effect.fnUntraced(function*(pixels, { height, seamless, width }) {
    if (encoder === undefined) return yield* invalidEncoder(folder, "the file is missing, and img2img needs it")
    const { batch = 1, network, type } = yield* encoder(seamless)
    const names = network.outputs.map(({ name }) => name)
    // Means and log variances; older exports return the latent itself.
    const name = ["latent_parameters", "latent_sample"].find((name) => names.includes(name))
    if (name === undefined) {
      return yield* invalidEncoder(folder, `its outputs are ${names.join(", ")}, without "latent_parameters"`)
    }
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

const invalidEncoder = ({ folder }: ModelFolder, message: string) =>
  new InvalidModelFolder({ folder, problems: [{ path: "vae_encoder/model.onnx", message }] })

// Exports disagree: a scalar, one number for all latents (named "steps"), or one for each.
const timestepDims = ({ inputs }: NetworkInfo, batch: number): ReadonlyArray<number> =>
  (inputs.find(({ name }) => name === "timestep")?.dims ?? [])
    .map((dim) => typeof dim === "number" ? Math.max(1, dim) : /batch/i.test(dim) ? batch : 1)

const shortHash = Effect.fnUntraced(function*(folder: ModelFolder) {
  const fs = yield* FileSystem.FileSystem
  const file = folder.networks.unet
  const sha256 = createHash("sha256")
  const candidates = weightFiles.map((name) => file.replace(/model\.onnx$/, name))
  const weights = yield* Effect.filter(candidates, (file) => Effect.orElseSucceed(fs.exists(file), () => false))
  yield* Effect.forEach([file, ...weights], (file) =>
    fs.stream(file).pipe(
      Stream.runForEach((chunk) => Effect.sync(() => sha256.update(chunk))),
      Effect.mapError((error) =>
        new InvalidModelFolder({
          folder: folder.folder,
          problems: [{ path: "unet/model.onnx", message: `the file cannot be read (${error.reason._tag})` }]
        })
      )
    ), { discard: true })
  return sha256.digest("hex").slice(0, 10)
})
