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
import * as LatentFormat from "../model/LatentFormat.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { InvalidModelFolder } from "../model/ModelError.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import { FileHashes, shortHash } from "./checkpoint/hashes.ts"
import { withItsWeights } from "./folderFiles.ts"
import type { ModelFolder } from "./ModelFolder.ts"
import * as nativeSize from "./nativeSize.ts"
import * as networkModel from "./networkModel.ts"
import type { NetworkInfo, Networks } from "./Networks.ts"
import * as OnnxTextEncoder from "./OnnxTextEncoder.ts"
import { type Opener, opener, type Part, remembered } from "./opening.ts"

/** A model whose networks and memory are freed with the scope. With `int8` its denoising network computes in that. */
export const make = Effect.fnUntraced(function*(
  folder: ModelFolder,
  { int8 = false }: { readonly int8?: boolean } = {}
): Effect.fn.Return<LoadedModel, never, FileHashes | Networks | FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const open = yield* opener(folder)
  const [first, ...others] = folder.textEncoders
  const firstEncoder = yield* OnnxTextEncoder.make(folder, first, open)
  const otherEncoders = yield* Effect.forEach(others, (encoder) => OnnxTextEncoder.make(folder, encoder, open))
  const unet = yield* plainAndSeamless(open, { ...unetPart(folder), int8 })
  const vaeDecoder = yield* plainAndSeamless(open, decoderPart(folder))
  const previewDecoder = yield* plainAndSeamless(open, { ...decoderPart(folder), background: true })
  const encoder = encoderPart(folder)
  const vaeEncoder = encoder && (yield* plainAndSeamless(open, encoder))
  const hashes = yield* FileHashes
  const hash = yield* remembered(
    withItsWeights(folder.networks.unet).pipe(
      Effect.provideService(FileSystem.FileSystem, fs),
      Effect.flatMap((files) => hashes.of(...files)),
      Effect.map(shortHash)
    )
  )

  const { conditioner, noise: { alignYourSteps }, settings, source } = folder.family
  const latents = latentFormat(folder)
  const textEncoders = [firstEncoder, ...otherEncoders] as const
  const networks = networkModel.make({
    denoiser: denoiser(folder, unet),
    decoder: vaeDecoder,
    previewDecoder,
    encoder: vaeEncoder,
    encoderOutput: encoderOutput(folder),
    withoutEncoder: Effect.suspend(() => invalidEncoder(folder, "the file is missing, and img2img needs it"))
  }, latents)
  return {
    name: folder.name,
    hash,
    isVaeFixed: true,
    defaultSize: nativeSize.ofFolder(folder),
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
    ...networks,
    denoising: (shape) =>
      Effect.andThen(
        Effect.flatMap(
          unet(shape.seamless),
          ({ network }) => checkTokens(folder, network, networkModel.tokensOf(shape))
        ),
        networks.denoising(shape)
      )
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

const plainAndSeamless = Effect.fnUntraced(
  function*(open: Opener, part: Part): Effect.fn.Return<networkModel.Variants> {
    const plain = yield* open(part)
    const seamless = yield* open({ ...part, seamless: true })
    return (isSeamless) => isSeamless === true ? seamless : plain
  }
)

const latentFormat = (folder: ModelFolder): LatentFormat.LatentFormat =>
  LatentFormat.scaledBy(folder.vae.scaling_factor, {
    channels: folder.vae.latent_channels,
    space: nativeSize.latentScaleOf(folder.vae),
    rgb: folder.latentRgb ?? publishedRgb(folder)
  })

// A family's colours are those of latents that are scaled as its own are.
const publishedRgb = ({ family, vae }: ModelFolder): LatentFormat.LatentRgb | undefined => {
  const { channels, factor, rgb } = family.latents
  return vae.latent_channels === channels && vae.scaling_factor === factor[0] ? rgb : undefined
}

const denoiser = ({ inputs, unet }: ModelFolder, variants: networkModel.Variants): networkModel.Denoiser => ({
  variants,
  channels: unet.in_channels,
  inputs,
  timestepDims
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

const encoderOutput = (folder: ModelFolder) =>
  Effect.fnUntraced(function*({ outputs }: NetworkInfo) {
    const names = outputs.map(({ name }) => name)
    // Means and log variances; older exports return the latent itself.
    const name = ["latent_parameters", "latent_sample"].find((name) => names.includes(name))
    return name ?? (yield* invalidEncoder(folder, `its outputs are ${names.join(", ")}, without "latent_parameters"`))
  })

const invalidEncoder = ({ folder }: ModelFolder, message: string) =>
  new InvalidModelFolder({ folder, problems: [{ path: "vae_encoder/model.onnx", message }] })

// Exports disagree: a scalar, one number for all latents (named "steps"), or one for each.
const timestepDims = ({ inputs }: NetworkInfo, batch: number): ReadonlyArray<number> =>
  (inputs.find(({ name }) => name === "timestep")?.dims ?? [])
    .map((dim) => typeof dim === "number" ? Math.max(1, dim) : /batch/i.test(dim) ? batch : 1)
