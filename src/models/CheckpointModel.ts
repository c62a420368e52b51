/**
 * A checkpoint as a `LoadedModel`: its networks are built as graphs, and their weights stay in their files.
 *
 * Which family it is, and what it predicts, its tensors say. A network is built and opened when it is first
 * used.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { problemsOf } from "../core/Problem.ts"
import type { Family } from "../families/Family.ts"
import { inpainting } from "../families/inpainting.ts"
import { instructPix2Pix } from "../families/instructPix2Pix.ts"
import { lcm } from "../families/lcm.ts"
import type { LatentFormat } from "../model/LatentFormat.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { InvalidModelFile } from "../model/ModelError.ts"
import * as NoiseProcess from "../sampling/NoiseProcess.ts"
import * as adaptedParts from "./adaptedParts.ts"
import type { Checkpoint } from "./Checkpoint.ts"
import { type Contents, contentsOf, type Part } from "./checkpoint/contents.ts"
import { FileHashes, shortHash } from "./checkpoint/hashes.ts"
import { predictionOf } from "./checkpoint/prediction.ts"
import { readValues } from "./checkpoint/values.ts"
import * as CheckpointTextEncoder from "./CheckpointTextEncoder.ts"
import * as ControlNetworks from "./ControlNetworks.ts"
import { familyNamed } from "./families.ts"
import { fitting } from "./fitting.ts"
import type { Graph, GraphOptions } from "./graph/Graph.ts"
import { Weights } from "./graph/Weights.ts"
import * as nativeSize from "./nativeSize.ts"
import * as networkModel from "./networkModel.ts"
import { Networks, type OpenOptions } from "./Networks.ts"
import { autoencoderKlDecoder, autoencoderKlEncoder, autoencoderShape } from "./networks/autoencoderKl.ts"
import * as configs from "./networks/configs.ts"
import { unet } from "./networks/unet.ts"
import { unetShape } from "./networks/unetShape.ts"
import { type BuiltOpener, builtOpener, remembered } from "./opening.ts"

/** The family of a checkpoint, with what its UNet reads in addition to what its family's others read. */
const familyOf = (plain: Family, { variant }: Contents, guidance: number): Family => {
  const read = variant === "inpainting"
    ? inpainting(plain)
    : variant === "instruct-pix2pix"
    ? instructPix2Pix(plain)
    : plain
  return guidance === 0 ? read : lcm(read, guidance)
}

/** What computes in float32 on every device: in float16, SDXL's VAE leaves the range of numbers. */
const float32 = { arithmetic: "float32" } as const

/** A model whose networks and memory are freed with the scope. With `int8` its denoising network computes in that. */
export const make = Effect.fnUntraced(function*(
  checkpoint: Checkpoint,
  { int8 = false }: { readonly int8?: boolean } = {}
): Effect.fn.Return<
  LoadedModel,
  InvalidModelFile,
  FileHashes | Networks | FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const { file, name, source } = checkpoint
  const path = yield* Path.Path
  const contents = contentsOf(source.tensors)
  const invalid = (message: string) => new InvalidModelFile({ file, problems: [{ path: "", message }] })
  if (contents.problem !== undefined) return yield* invalid(contents.problem)
  if (contents.family === undefined) {
    return yield* invalid(`it holds no model, but a file of the kind "${contents.kind}"`)
  }
  const { family: familyName } = contents
  const plain = familyNamed(familyName)
  const unetWeights = yield* weightsOf(checkpoint, contents, "unet", "UNet")
  const vaeWeights = yield* weightsOf(checkpoint, contents, "vae", "VAE")
  const shapes = yield* fitting(file, () => ({ unet: unetShape(unetWeights), vae: autoencoderShape(vaeWeights) }))
  const family = familyOf(plain, contents, shapes.unet.guidance)
  const { noise, scaling } = yield* noiseOf(checkpoint, contents, family)
  const latents: LatentFormat = { ...family.latents, ...scaling, scale: { space: shapes.vae.scale, time: 1 } }

  const unetSettings = yield* settingsOf(checkpoint, "unet", configs.unetSettings)
  const vaeSettings = yield* settingsOf(checkpoint, "vae", configs.autoencoderSettings)

  const open = yield* builtOpener
  const { graphs } = yield* Networks
  const textEncoders = yield* textEncodersOf(checkpoint, contents, family, open)
  const variants = (network: string, graph: (options: GraphOptions) => Graph, background = false) =>
    plainAndSeamless(open, graphs, checkpoint, network, graph, { background })
  // The attention of Stable Diffusion 2 leaves the range of float16.
  const precision = contents.family === "sd2" ? float32 : {}
  const denoiserOf = Effect.fnUntraced(function*(open: BuiltOpener, weights: Weights) {
    const variant = (residuals: boolean) =>
      plainAndSeamless(
        open,
        graphs,
        checkpoint,
        "unet",
        (options) => unet(weights, { ...unetSettings, ...options, ...precision, residuals }),
        { int8 }
      )
    const [alone, controlled] = [yield* variant(false), yield* variant(true)]
    const variants: networkModel.Variants = (isSeamless, readsResiduals) =>
      readsResiduals === true ? controlled(isSeamless) : alone(isSeamless)
    return variants
  })
  const denoiser = yield* denoiserOf(open, unetWeights)
  const decoder = yield* variants(
    "vae_decoder",
    (options) => autoencoderKlDecoder(vaeWeights, { ...vaeSettings, ...options, ...float32 })
  )
  const previewDecoder = yield* variants(
    "vae_decoder",
    (options) => autoencoderKlDecoder(vaeWeights, { ...vaeSettings, ...options, ...float32 }),
    true
  )
  const encoder = shapes.vae.encodes
    ? yield* variants(
      "vae_encoder",
      (options) => autoencoderKlEncoder(vaeWeights, { ...vaeSettings, ...options, ...float32 })
    )
    : undefined
  const services = Context.pick(Networks, FileSystem.FileSystem, Path.Path)(
    yield* Effect.context<Networks | FileSystem.FileSystem | Path.Path>()
  )
  const hashes = yield* FileHashes
  const hash = yield* remembered(Effect.map(hashes.of(unetWeights.file), shortHash))
  const defaultSize = (yield* nativeSize.ofCheckpoint(checkpoint, contents)) ??
    { width: family.side, height: family.side }
  const networks: networkModel.Networks = {
    denoiser: {
      variants: denoiser,
      channels: shapes.unet.inputs,
      inputs: {
        encoder_hidden_states: [undefined, shapes.unet.context],
        ...(shapes.unet.adm > 0 && { y: [shapes.unet.adm] }),
        ...(shapes.unet.guidance > 0 && { timestep_cond: [shapes.unet.guidance] })
      },
      timestepDims: () => [1],
      derive: shapes.unet.adm > 0 ? fillVector : undefined
    },
    decoder,
    previewDecoder,
    encoder,
    encoderOutput: () => Effect.succeed("latent_parameters"),
    withoutEncoder: Effect.suspend(() => invalid("its VAE has no encoder, and img2img needs it"))
  }
  // The parts that adapters change: the text encoders, and the denoising network at strengths.
  const withParts = (
    textEncoders: adaptedParts.TextEncoders<CheckpointTextEncoder.CheckpointTextEncoder>,
    denoiser: networkModel.Denoiser
  ) => ({
    textEncoders,
    warm: Effect.all(
      [...textEncoders.map(({ warm }) => warm), denoiser.variants(false), decoder(false)],
      { concurrency: "unbounded", discard: true }
    ),
    ...networkModel.make({ ...networks, denoiser }, latents)
  })
  const model: LoadedModel = {
    name,
    hash,
    vae: checkpoint.vae === undefined ? undefined : {
      name: path.basename(checkpoint.vae),
      hash: yield* remembered(Effect.map(hashes.of(checkpoint.vae), shortHash))
    },
    defaultSize,
    sizeMultiple: shapes.vae.scale * 2 ** shapes.unet.halvings,
    latents,
    noise,
    conditioner: family.conditioner,
    settings: family.settings,
    source: family.source,
    ...withParts(textEncoders, networks.denoiser)
  }

  const withControls =
    (model: LoadedModel, denoiser: networkModel.Denoiser): NonNullable<LoadedModel["controlled"]> => (files) =>
      ControlNetworks.controlled({
        model,
        family: familyName,
        weights: unetWeights,
        networks: { ...networks, denoiser },
        latents
      }, files).pipe(Effect.provideContext(services))

  const adapt = yield* adaptedParts.make({ file, unet: unetWeights, textEncoders, denoiser, denoiserOf })
  const adapted: NonNullable<LoadedModel["adapted"]> = Effect.fnUntraced(function*(uses) {
    const { strengths, textEncoders, variants, warnings } = yield* adapt(uses)
    const denoiser = { ...networks.denoiser, variants, strengths }
    const own = { ...model, ...withParts(textEncoders, denoiser), adapted }
    return { ...own, controlled: withControls(own, denoiser), adapterWarnings: warnings }
  })
  return { ...model, adapted, controlled: withControls(model, networks.denoiser) }
})

const weightsOf = (
  { file, source }: Checkpoint,
  { parts }: Contents,
  network: Part["network"],
  called: string
): Effect.Effect<Weights, InvalidModelFile> => {
  const part = parts.find((part) => part.network === network)
  return part === undefined
    ? Effect.fail(new InvalidModelFile({ file, problems: [{ path: "", message: `it has no ${called}` }] }))
    : Effect.succeed(Weights.of(source, part.prefix))
}

// What a folder's configuration says of a network that its tensors do not.
const settingsOf = <A>(
  { configs, file }: Checkpoint,
  part: string,
  decode: (config: unknown) => Effect.Effect<A, Schema.SchemaError>
): Effect.Effect<A | undefined, InvalidModelFile> => {
  const config = configs?.get(part)
  return config === undefined ? Effect.undefined : Effect.mapError(decode(config), ({ issue }) => {
    const problems = problemsOf(issue).map(({ message, path }) => ({ path: `${part}/config.json: ${path}`, message }))
    return new InvalidModelFile({ file, problems })
  })
}

const plainAndSeamless = Effect.fnUntraced(function*(
  open: BuiltOpener,
  graphs: Networks["Service"]["graphs"],
  { file, name }: Checkpoint,
  network: string,
  graph: (options: GraphOptions) => Graph,
  opening: OpenOptions
): Effect.fn.Return<networkModel.Variants> {
  const variant = (seamless: boolean) =>
    open(
      { model: name, network },
      Effect.flatMap(graphs, (options) =>
        Effect.map(fitting(file, () => graph({ ...options, seamless }).file()), (graph) => ({ file, graph }))),
      opening
    )
  const [plain, seamless] = [yield* variant(false), yield* variant(true)]
  return (isSeamless) => isSeamless === true ? seamless : plain
})

const textEncodersOf = Effect.fnUntraced(function*(
  checkpoint: Checkpoint,
  { parts }: Contents,
  { textEncoders: readings }: Family,
  open: BuiltOpener
) {
  const { file, name, source } = checkpoint
  // OpenAI's comes before OpenCLIP's; of two by transformers' names, the first one.
  const found = parts.filter(({ network }) => network === "clip" || network === "open-clip")
    .toSorted((a, b) => Number(a.network === "open-clip") - Number(b.network === "open-clip"))
  const make = (place: number) =>
    Effect.gen(function*() {
      const [part, reading] = [found[place], readings[place]]
      if (part === undefined || reading === undefined) {
        const message = `it has ${found.length} text encoders, and its family reads ${readings.length}`
        return yield* new InvalidModelFile({ file, problems: [{ path: "", message }] })
      }
      const folder = part.prefix.split(".")[0] ?? ""
      // The projection of transformers' encoders lies next to the rest.
      const weights = Weights.of(source, part.prefix.replace(/text_model\.$/, ""))
      return yield* CheckpointTextEncoder.make({
        model: name,
        file,
        weights,
        reading,
        settings: yield* settingsOf(checkpoint, folder, configs.clipTextSettings),
        open,
        vocabulary: checkpoint.vocabulary?.(place, reading.padding)
      })
    })
  const [, ...others] = readings
  return [yield* make(0), ...(yield* Effect.forEach(others, (_, i) => make(i + 1)))] as const
})

// How noise acts, and for Playground 2.5 how latents are scaled.
const noiseOf = Effect.fnUntraced(
  function*({ prediction, scheduler, source, yaml }: Checkpoint, contents: Contents, family: Family) {
    const { isZeroSnr, type } = yield* predictionOf(source, contents, { yaml, said: prediction })
    const { alignYourSteps } = family.noise
    // A folder says it by its scheduler.
    if (scheduler !== undefined && type !== "edm") {
      return {
        noise: NoiseProcess.ofBetas({
          ...scheduler,
          ...(prediction && { prediction_type: prediction }),
          alignYourSteps
        }),
        scaling: {}
      }
    }
    if (type === "edm") {
      const [mean, std] = [source.tensors.get("edm_mean"), source.tensors.get("edm_std")]
      if (mean !== undefined && std !== undefined) {
        const factor = (yield* readValues(std)).map((value) => 0.5 / value)
        return {
          noise: NoiseProcess.edm({ alignYourSteps }),
          // The family's colours are those of latents that are scaled as its own are.
          scaling: { shift: Array.from(yield* readValues(mean)), factor: Array.from(factor), rgb: undefined }
        }
      }
    }
    const noise = type === "epsilon" && !isZeroSnr ? family.noise : NoiseProcess.ofBetas({
      alignYourSteps,
      prediction_type: type === "v_prediction" ? "v_prediction" : "epsilon",
      rescale_betas_zero_snr: isZeroSnr
    })
    return { noise, scaling: {} }
  }
)

/**
 * Fills `y`: what the text is as a whole, then each of the numbers about the image as cosines and sines of it at
 * frequencies from 1 down to 1/10000 (Podell et al., arXiv:2307.01952, sec. 2.2).
 */
const fillVector = (inputs: networkModel.Inputs, rows: number): void => {
  const { text_embeds: texts, time_ids: numbers, y } = inputs
  if (y === undefined || texts === undefined || numbers === undefined) return
  const [width, pooled, count] = [y.length / rows, texts.length / rows, numbers.length / rows]
  const half = (width - pooled) / count / 2
  for (let row = 0; row < rows; row++) {
    y.set(texts.subarray(row * pooled, (row + 1) * pooled), row * width)
    for (let place = 0; place < count; place++) {
      const start = row * width + pooled + place * half * 2
      for (let i = 0; i < half; i++) {
        const angle = (numbers[row * count + place] ?? 0) * 10_000 ** (-i / half)
        y[start + i] = Math.cos(angle)
        y[start + half + i] = Math.sin(angle)
      }
    }
  }
}
