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
import type { LatentSize } from "../core/LatentShape.ts"
import type { DenoisingShape, LoadedModel, MemoryEstimates } from "../model/LoadedModel.ts"
import { InvalidModelFolder, type NetworkError } from "../model/ModelError.ts"
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

  const latentScale = latentScaleOf(folder)
  const textEncoders = [firstEncoder, ...otherEncoders] as const
  return {
    name: folder.name,
    family: folder.family,
    hash,
    defaultSize: defaultSize(folder),
    sizeMultiple: latentScale * 2 ** (folder.unet.down_block_types.length - 1),
    latentScale,
    latentChannels: folder.vae.latent_channels,
    noise: folder.noise,
    inputs: folder.inputs,
    latentRgb: folder.latentRgb,
    warm: Effect.all(
      [...textEncoders.map(({ warm }) => warm), unet(false), vaeDecoder(false)],
      { concurrency: "unbounded", discard: true }
    ),
    textEncoders,
    denoising: denoising(folder, unet),
    estimates: estimates(folder, { unet, vaeDecoder, vaeEncoder }),
    decode: decode(folder, vaeDecoder),
    decodePreview: decode(folder, previewDecoder),
    encode: encode(folder, vaeEncoder)
  }
})

const unetPart = ({ inputs, networks }: ModelFolder): Part => ({
  part: "unet",
  file: networks.unet,
  inputs: {
    sample: ["batch", inputs.channels, "height", "width"],
    timestep: undefined,
    // Where the tokens are fixed to one chunk, short prompts still work.
    encoder_hidden_states: ["batch", undefined, inputs.context],
    ...(inputs.pooled > 0 && { text_embeds: ["batch", inputs.pooled] }),
    ...(inputs.timeIds > 0 && { time_ids: ["batch", inputs.timeIds] }),
    ...(inputs.guidance > 0 && { timestep_cond: ["batch", inputs.guidance] })
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

const defaultSize = (folder: ModelFolder): Size => {
  const [height = 64, width = height] = [folder.unet.sample_size].flat()
  return { width: width * latentScaleOf(folder), height: height * latentScaleOf(folder) }
}

/** Tokens of the shortest text. */
const chunkLength = 77

// Sizes of the denoising network's inputs for some latents, by the names that exports give them.
const denoisingDims = (
  { inputs }: ModelFolder,
  network: NetworkInfo,
  { batch, height, tokens, width }: DenoisingShape
): Readonly<Record<string, ReadonlyArray<number>>> => ({
  sample: [batch, inputs.channels, height, width],
  timestep: timestepDims(network, batch),
  encoder_hidden_states: [batch, tokens, inputs.context],
  ...(inputs.pooled > 0 && { text_embeds: [batch, inputs.pooled] }),
  ...(inputs.timeIds > 0 && { time_ids: [batch, inputs.timeIds] }),
  ...(inputs.guidance > 0 && { timestep_cond: [batch, inputs.guidance] })
})

const denoising = (folder: ModelFolder, unet: Variants): LoadedModel["denoising"] =>
  Effect.fnUntraced(function*({ rowsAtOnce, ...shape }) {
    const { batch: fixed, network, type } = yield* unet(shape.seamless)
    const { height, width } = shape
    yield* checkTokens(folder, network, shape.tokens)
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
    const values = (name: string) => rowsOf(inputs[name]?.values ?? new Float32Array(0), shape.batch, batch)
    return {
      sample: values("sample"),
      conditioning: values("encoder_hidden_states"),
      pooled: values("text_embeds"),
      timeIds: values("time_ids"),
      guidance: values("timestep_cond"),
      prediction: rowsOf(prediction.values, shape.batch, batch),
      run: (t) =>
        Effect.forEach(calls, ({ run, timestep }) =>
          Effect.suspend(() => {
            timestep.values.fill(t)
            return run
          }), { discard: true })
    }
  })

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
      if (isSmall(shape) && shape.tokens <= chunkLength) return undefined
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

const decode = (folder: ModelFolder, decoder: Variants): LoadedModel["decode"] =>
  Effect.fnUntraced(function*(latent, { height, seamless, width }) {
    // Where the batch is fixed, the other rows are left empty.
    const { batch = 1, network, type } = yield* decoder(seamless)
    const { latent_channels, scaling_factor } = folder.vae
    const scale = latentScaleOf(folder)
    const input = TensorBuffer.make(type("latent_sample"), [batch, latent_channels, height, width])
    const output = TensorBuffer.make(type("sample"), [batch, 3, height * scale, width * scale])
    for (let i = 0; i < latent.length; i++) input.values[i] = (latent[i] as number) / scaling_factor
    yield* TensorBuffer.run(network, { inputs: { latent_sample: input }, outputs: { sample: output } })
    return rowsOf(output.values, 1, batch)
  })

const encode = (folder: ModelFolder, encoder: Variants | undefined): LoadedModel["encode"] =>
  Effect.fnUntraced(function*(pixels, { height, seamless, width }) {
    if (encoder === undefined) return yield* invalidEncoder(folder, "the file is missing, and img2img needs it")
    const { batch = 1, network, type } = yield* encoder(seamless)
    const names = network.outputs.map(({ name }) => name)
    // Means and log variances; older exports return the latent itself.
    const name = ["latent_parameters", "latent_sample"].find((name) => names.includes(name))
    if (name === undefined) {
      return yield* invalidEncoder(folder, `its outputs are ${names.join(", ")}, without "latent_parameters"`)
    }
    const { latent_channels: channels, scaling_factor } = folder.vae
    const scale = latentScaleOf(folder)
    const input = TensorBuffer.make(type("sample"), [batch, 3, height * scale, width * scale])
    const outputChannels = name === "latent_parameters" ? channels * 2 : channels
    const output = TensorBuffer.make(type(name), [batch, outputChannels, height, width])
    input.values.set(pixels)
    yield* TensorBuffer.run(network, { inputs: { sample: input }, outputs: { [name]: output } })
    return output.values.slice(0, channels * height * width).map((value) => value * scaling_factor)
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
