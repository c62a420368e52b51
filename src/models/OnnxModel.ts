/**
 * A model folder as a `LoadedModel`: its networks opened when first used, once, and shared by all runs.
 *
 * Nothing of Stable Diffusion 1.5 is assumed: sizes, special tokens, scaling factor and number types come from the
 * folder's own files.
 */
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { InvalidModelFolder } from "../processing/errors.ts"
import type { Embedding, LoadedModel } from "../runner/LoadedModel.ts"
import * as metrics from "./metrics.ts"
import type { ModelFolder } from "./ModelFolder.ts"
import { type Network, type NetworkInfo, Networks, type TensorType } from "./Networks.ts"
import * as TensorBuffer from "./TensorBuffer.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** Embeddings that are remembered. One of Stable Diffusion 1.5's is 230 kB. */
const rememberedPrompts = 64

/** A model whose networks and memory are given back with the scope. */
export const make = Effect.fnUntraced(function*(
  folder: ModelFolder
): Effect.fn.Return<LoadedModel, never, Networks | FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const scope = yield* Effect.scope
  // No more than that: the span of the run that loads a model is none of the later runs.
  const services = Context.pick(Networks, FileSystem.FileSystem, Path.Path)(
    yield* Effect.context<Networks | FileSystem.FileSystem | Path.Path>()
  )

  const network = (part: string, file: string, expected: Expected) =>
    remembered(
      openChecked(folder, part, file, expected).pipe(
        openedWithin(scope),
        Effect.withSpan("model.load", {
          attributes: { "serena.model": folder.name, "serena.network": part }
        }),
        Effect.provideContext(services)
      ),
      { isFresh: ({ network }) => network.isOpen() }
    )
  const textEncoder = yield* network("text_encoder", folder.networks.textEncoder, {
    inputs: ["input_ids"],
    outputs: ["last_hidden_state"]
  })
  const unet = yield* network("unet", folder.networks.unet, {
    inputs: ["sample", "timestep", "encoder_hidden_states"],
    outputs: ["out_sample"]
  })
  const decoder: Expected = { inputs: ["latent_sample"], outputs: ["sample"] }
  const vaeDecoder = yield* network("vae_decoder", folder.networks.vaeDecoder, decoder)
  const previewDecoder = yield* network("vae_decoder", folder.networks.vaeDecoder, { ...decoder, background: true })
  const tokenizer = yield* remembered(Tokenizer.read(folder).pipe(Effect.provideContext(services)), {
    lookedUp: (found) => metrics.lookedUp("tokenizer", found)
  })
  const hash = yield* remembered(shortHash(folder).pipe(Effect.provideService(FileSystem.FileSystem, fs)))

  const latentScale = 2 ** (folder.vae.block_out_channels.length - 1)
  const channels = folder.vae.latent_channels
  const { sample_size } = folder.unet
  const [sampleHeight = 64, sampleWidth = sampleHeight] = typeof sample_size === "number" ? [sample_size] : sample_size

  const embed = Effect.fnUntraced(function*(prompt: string) {
    // Opening takes longest: it begins before the tokenizer is read.
    const [encoder, { encode, frame, length }] = yield* Effect.all([textEncoder, tokenizer], { concurrency: 2 })
    const tokens = encode(prompt)
    const width = folder.textEncoder.hidden_size
    const ids = TensorBuffer.make(encoder.type("input_ids"), [1, length])
    const states = TensorBuffer.make(encoder.type("last_hidden_state"), [1, length, width])
    ids.values.set(frame(tokens))
    ids.push()
    yield* Effect.scoped(Effect.gen(function*() {
      const call = yield* encoder.network.bind({
        inputs: { input_ids: ids.tensor },
        outputs: { last_hidden_state: states.tensor }
      })
      yield* call.run
    }))
    states.pull()
    const embedding: Embedding = { values: states.values, tokens: length, width }
    return { embedding, truncated: Math.max(0, tokens.length - (length - 2)) }
  })
  const embeddings = yield* Cache.makeWith((prompt: string) => embed(prompt), {
    capacity: rememberedPrompts,
    timeToLive: onlySuccess
  })

  const denoising: LoadedModel["denoising"] = Effect.fnUntraced(function*({ batch, embedding, height, width }) {
    const { network, type } = yield* unet
    const sample = TensorBuffer.make(type("sample"), [batch, channels, height, width])
    const timestep = TensorBuffer.make(type("timestep"), [1])
    const conditioning = TensorBuffer.make(type("encoder_hidden_states"), [batch, embedding.tokens, embedding.width])
    const prediction = TensorBuffer.make(type("out_sample"), [batch, channels, height, width])
    const call = yield* network.bind({
      inputs: { sample: sample.tensor, timestep: timestep.tensor, encoder_hidden_states: conditioning.tensor },
      outputs: { out_sample: prediction.tensor }
    })
    const after = Effect.sync(prediction.pull)
    return {
      sample: sample.values,
      conditioning: conditioning.values,
      prediction: prediction.values,
      run: (t) => {
        timestep.values[0] = t
        timestep.push()
        sample.push()
        conditioning.push()
        return Effect.andThen(call.run, after)
      }
    }
  })

  const decodeBy = (decoder: typeof vaeDecoder): LoadedModel["decode"] => Effect.fnUntraced(function*(latent, { height, width }) {
    const { network, type } = yield* decoder
    const input = TensorBuffer.make(type("latent_sample"), [1, channels, height, width])
    const output = TensorBuffer.make(type("sample"), [1, 3, height * latentScale, width * latentScale])
    for (let i = 0; i < latent.length; i++) input.values[i] = (latent[i] as number) / folder.vae.scaling_factor
    input.push()
    yield* Effect.scoped(Effect.gen(function*() {
      const call = yield* network.bind({ inputs: { latent_sample: input.tensor }, outputs: { sample: output.tensor } })
      yield* call.run
    }))
    output.pull()
    return output.values
  })

  return {
    name: folder.name,
    hash,
    defaultSize: { width: sampleWidth * latentScale, height: sampleHeight * latentScale },
    sizeMultiple: latentScale * 2 ** (folder.unet.down_block_types.length - 1),
    latentScale,
    latentChannels: channels,
    noise: folder.noise,
    latentRgb: folder.latentRgb,
    warm: Effect.all([textEncoder, unet, vaeDecoder, tokenizer], { concurrency: "unbounded", discard: true }),
    embed: (prompt) =>
      Cache.has(embeddings, prompt).pipe(
        Effect.flatMap((found) => metrics.lookedUp("embedding", found)),
        Effect.andThen(Cache.get(embeddings, prompt))
      ),
    denoising,
    decode: decodeBy(vaeDecoder),
    decodePreview: decodeBy(previewDecoder)
  }
})

interface Expected {
  /** Whether the network runs apart from the others. */
  readonly background?: boolean
  readonly inputs: ReadonlyArray<string>
  readonly outputs: ReadonlyArray<string>
}

interface Opened {
  readonly network: Network
  /** Number type of an input or output that was checked to be there. */
  readonly type: (name: string) => TensorType
}

// Opens a network and sees that it has the inputs and outputs it is going to be used with.
const openChecked = Effect.fnUntraced(function*(folder: ModelFolder, part: string, file: string, expected: Expected) {
  const { open } = yield* Networks
  const network = yield* open(file, { background: expected.background })
  const types = new Map<string, TensorType>()
  const problems = (["inputs", "outputs"] as const).flatMap((side) => {
    const found: NetworkInfo["inputs"] = network[side]
    return expected[side].flatMap((name) => {
      const tensor = found.find((tensor) => tensor.name === name)
      if (tensor === undefined) {
        const names = found.map((tensor) => tensor.name).join(", ")
        return [{ path: `${part}/model.onnx`, message: `its ${side} are ${names}, without "${name}"` }]
      }
      const type = TensorBuffer.tensorType(tensor.type)
      if (type === undefined) return [{ path: `${part}/model.onnx`, message: `"${name}" is of type ${tensor.type}` }]
      types.set(name, type)
      return []
    })
  })
  if (problems.length > 0) return yield* new InvalidModelFolder({ folder: folder.folder, problems })
  const opened: Opened = { network, type: (name) => types.get(name) ?? "float32" }
  return opened
})

// What was opened is closed with the scope; at once when the opening then fails or is interrupted, as nobody has it.
const openedWithin = (scope: Scope.Scope) => <A, E, R>(opening: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.fork(scope), (own) =>
      Effect.onExit(
        restore(Scope.provide(opening, own)),
        (exit) => Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void
      ))
  )

// Computed by the first who needs it, for all, until it is stale. A failure is not remembered, and a waiter that is
// interrupted takes nothing from the others.
const remembered = <A, E>(
  effect: Effect.Effect<A, E>,
  { isFresh = () => true, lookedUp }: {
    readonly isFresh?: (value: A) => boolean
    /** Told each time whether the value was there, or already on its way. */
    readonly lookedUp?: (found: boolean) => Effect.Effect<void>
  } = {}
): Effect.Effect<Effect.Effect<A, E>> =>
  Effect.map(Cache.makeWith((_: "value") => effect, { capacity: 1, timeToLive: onlySuccess }), (cache) => {
    const value: Effect.Effect<A, E> = Effect.filterOrElse(Cache.get(cache, "value"), isFresh, () =>
      Effect.andThen(
        Cache.invalidateWhen(cache, "value", (value) => !isFresh(value)),
        Cache.get(cache, "value")
      ))
    return lookedUp === undefined
      ? value
      : Effect.andThen(Effect.flatMap(Cache.has(cache, "value"), lookedUp), value)
  })

const onlySuccess = (exit: Exit.Exit<unknown, unknown>) => Exit.isSuccess(exit) ? "Infinity" : 0

const shortHash = Effect.fnUntraced(function*(folder: ModelFolder) {
  const fs = yield* FileSystem.FileSystem
  const sha256 = createHash("sha256")
  yield* fs.stream(folder.networks.unet).pipe(
    Stream.runForEach((chunk) => Effect.sync(() => sha256.update(chunk))),
    Effect.mapError((error) =>
      new InvalidModelFolder({
        folder: folder.folder,
        problems: [{ path: "unet/model.onnx", message: `the file cannot be read (${error.reason._tag})` }]
      })
    )
  )
  return sha256.digest("hex").slice(0, 10)
})
