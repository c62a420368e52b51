/**
 * A model folder as a `LoadedModel`: its networks opened when first used, once, and shared by all runs.
 *
 * Nothing of a certain model is assumed: sizes, special tokens, scaling factor, inputs and number types come from the
 * folder's own files.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { Problem } from "../core/Problem.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { InvalidModelFolder } from "../model/ModelError.ts"
import type { ModelFolder } from "./ModelFolder.ts"
import type { NetworkInfo, Networks } from "./Networks.ts"
import * as OnnxTextEncoder from "./OnnxTextEncoder.ts"
import { opener, type Part, remembered } from "./opening.ts"
import * as TensorBuffer from "./TensorBuffer.ts"

/** A model whose networks and memory are given back with the scope. */
export const make = Effect.fnUntraced(function*(
  folder: ModelFolder
): Effect.fn.Return<LoadedModel, never, Networks | FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const open = yield* opener(folder)
  // Seamless, a network is another one.
  const openPlainOrSeamless = Effect.fnUntraced(function*(part: Part) {
    const plain = yield* open(part)
    const seamless = yield* open({ ...part, seamless: true })
    return (isSeamless: boolean | undefined) => isSeamless === true ? seamless : plain
  })
  const invalid = (problems: ReadonlyArray<Problem>) => new InvalidModelFolder({ folder: folder.folder, problems })

  const [first, ...others] = folder.textEncoders
  const firstEncoder = yield* OnnxTextEncoder.make(folder, first, open)
  const otherEncoders = yield* Effect.forEach(others, (encoder) => OnnxTextEncoder.make(folder, encoder, open))

  const { inputs, networks } = folder
  const unet = yield* openPlainOrSeamless({
    part: "unet",
    file: networks.unet,
    inputs: [
      "sample",
      "timestep",
      "encoder_hidden_states",
      ...(inputs.pooled > 0 ? ["text_embeds"] : []),
      ...(inputs.timeIds > 0 ? ["time_ids"] : []),
      ...(inputs.guidance > 0 ? ["timestep_cond"] : [])
    ],
    outputs: ["out_sample"]
  })
  const decoder: Part = {
    part: "vae_decoder",
    file: networks.vaeDecoder,
    inputs: ["latent_sample"],
    outputs: ["sample"]
  }
  const vaeDecoder = yield* openPlainOrSeamless(decoder)
  const previewDecoder = yield* openPlainOrSeamless({ ...decoder, background: true })
  const vaeEncoder = networks.vaeEncoder === undefined ? undefined : yield* openPlainOrSeamless({
    part: "vae_encoder",
    file: networks.vaeEncoder,
    inputs: ["sample"],
    outputs: []
  })
  const hash = yield* remembered(shortHash(folder).pipe(Effect.provideService(FileSystem.FileSystem, fs)))

  const latentScale = 2 ** (folder.vae.block_out_channels.length - 1)
  const channels = folder.vae.latent_channels
  const { sample_size } = folder.unet
  const [sampleHeight = 64, sampleWidth = sampleHeight] = typeof sample_size === "number" ? [sample_size] : sample_size

  const denoising: LoadedModel["denoising"] = Effect.fnUntraced(
    function*({ batch, height, seamless, tokens, width }) {
      const { network, type } = yield* unet(seamless)
      const buffer = (name: string, dims: ReadonlyArray<number>) => TensorBuffer.make(type(name), dims)
      const sample = buffer("sample", [batch, inputs.channels, height, width])
      const timestep = buffer("timestep", timestepDims(network, batch))
      const conditioning = buffer("encoder_hidden_states", [batch, tokens, inputs.context])
      const pooled = buffer("text_embeds", [batch, inputs.pooled])
      const timeIds = buffer("time_ids", [batch, inputs.timeIds])
      const guidance = buffer("timestep_cond", [batch, inputs.guidance])
      const prediction = buffer("out_sample", [batch, channels, height, width])
      const call = yield* network.bind({
        inputs: {
          sample: sample.tensor,
          timestep: timestep.tensor,
          encoder_hidden_states: conditioning.tensor,
          ...(inputs.pooled > 0 && { text_embeds: pooled.tensor }),
          ...(inputs.timeIds > 0 && { time_ids: timeIds.tensor }),
          ...(inputs.guidance > 0 && { timestep_cond: guidance.tensor })
        },
        outputs: { out_sample: prediction.tensor }
      })
      const run = Effect.andThen(call.run, Effect.sync(prediction.pull))
      return {
        sample: sample.values,
        conditioning: conditioning.values,
        pooled: pooled.values,
        timeIds: timeIds.values,
        guidance: guidance.values,
        prediction: prediction.values,
        run: (t) =>
          Effect.suspend(() => {
            timestep.values.fill(t)
            timestep.push()
            sample.push()
            conditioning.push()
            pooled.push()
            timeIds.push()
            guidance.push()
            return run
          })
      }
    }
  )

  const decodeBy = (decoder: typeof vaeDecoder): LoadedModel["decode"] =>
    Effect.fnUntraced(function*(latent, { height, seamless, width }) {
      const { network, type } = yield* decoder(seamless)
      const input = TensorBuffer.make(type("latent_sample"), [1, channels, height, width])
      const output = TensorBuffer.make(type("sample"), [1, 3, height * latentScale, width * latentScale])
      for (let i = 0; i < latent.length; i++) input.values[i] = (latent[i] as number) / folder.vae.scaling_factor
      input.push()
      yield* Effect.scoped(Effect.gen(function*() {
        const call = yield* network.bind({
          inputs: { latent_sample: input.tensor },
          outputs: { sample: output.tensor }
        })
        yield* call.run
      }))
      output.pull()
      return output.values
    })

  const encode: LoadedModel["encode"] = Effect.fnUntraced(function*(pixels, { height, seamless, width }) {
    if (vaeEncoder === undefined) {
      return yield* invalid([{ path: "vae_encoder/model.onnx", message: "the file is missing, and img2img needs it" }])
    }
    const { network, type } = yield* vaeEncoder(seamless)
    const given = network.outputs.map(({ name }) => name)
    // Means and log variances; a latent itself in older exports.
    const name = given.find((name) => name === "latent_parameters") ?? given.find((name) => name === "latent_sample")
    if (name === undefined) {
      return yield* invalid([{
        path: "vae_encoder/model.onnx",
        message: `its outputs are ${given.join(", ")}, without "latent_parameters"`
      }])
    }
    const size = channels * height * width
    const input = TensorBuffer.make(type("sample"), [1, 3, height * latentScale, width * latentScale])
    const output = TensorBuffer.make(type(name), [
      1,
      name === "latent_parameters" ? channels * 2 : channels,
      height,
      width
    ])
    input.values.set(pixels)
    input.push()
    yield* Effect.scoped(Effect.gen(function*() {
      const call = yield* network.bind({ inputs: { sample: input.tensor }, outputs: { [name]: output.tensor } })
      yield* call.run
    }))
    output.pull()
    const latent = output.values.slice(0, size)
    for (let i = 0; i < size; i++) latent[i] = (latent[i] as number) * folder.vae.scaling_factor
    return latent
  })

  return {
    name: folder.name,
    family: folder.family,
    hash,
    defaultSize: { width: sampleWidth * latentScale, height: sampleHeight * latentScale },
    sizeMultiple: latentScale * 2 ** (folder.unet.down_block_types.length - 1),
    latentScale,
    latentChannels: channels,
    noise: folder.noise,
    inputs,
    latentRgb: folder.latentRgb,
    warm: Effect.all(
      [...[firstEncoder, ...otherEncoders].map(({ warm }) => warm), unet(false), vaeDecoder(false)],
      { concurrency: "unbounded", discard: true }
    ),
    textEncoders: [firstEncoder, ...otherEncoders],
    denoising,
    decode: decodeBy(vaeDecoder),
    decodePreview: decodeBy(previewDecoder),
    encode
  }
})

// Exports disagree: a scalar, one number for all latents (named "steps"), or one for each.
const timestepDims = ({ inputs }: NetworkInfo, batch: number): ReadonlyArray<number> =>
  (inputs.find(({ name }) => name === "timestep")?.dims ?? [])
    .map((dim) => typeof dim === "number" ? Math.max(1, dim) : /batch/i.test(dim) ? batch : 1)

/** Where exporters put the weights of a network that is too large for one file. */
const weightFiles = ["model.onnx_data", "model.onnx.data", "weights.pb"]

const shortHash = Effect.fnUntraced(function*(folder: ModelFolder) {
  const fs = yield* FileSystem.FileSystem
  const file = folder.networks.unet
  const sha256 = createHash("sha256")
  const beside = weightFiles.map((name) => file.replace(/model\.onnx$/, name))
  const weights = yield* Effect.filter(beside, (file) => Effect.orElseSucceed(fs.exists(file), () => false))
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
