/**
 * One of a checkpoint's CLIP text encoders: 77 ids to embeddings, of the layer that the model's family reads.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { ClipReading } from "../families/Family.ts"
import type { EncodedChunk, PlacedVectors, TextEncoder } from "../model/Conditioner.ts"
import { InvalidModelFile, type NetworkError } from "../model/ModelError.ts"
import type { Vocabulary } from "../prompt/Chunks.ts"
import type { Strengths } from "./Adaptation.ts"
import type { Changes } from "./adapters/fitted.ts"
import { fitting } from "./fitting.ts"
import type { Weights } from "./graph/Weights.ts"
import * as metrics from "./metrics.ts"
import { Networks } from "./Networks.ts"
import { clipText, type ClipTextOptions, clipTextShape } from "./networks/clipText.ts"
import { type NamedLayer, textLayers } from "./networks/layerNames.ts"
import { type BuiltOpener, type Opened, remembered } from "./opening.ts"
import * as rememberedChunks from "./rememberedChunks.ts"
import * as TensorBuffer from "./TensorBuffer.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** A text encoder, and what opens it ahead of its first use. */
export interface CheckpointTextEncoder extends TextEncoder {
  readonly warm: Effect.Effect<void, NetworkError>
}

/** A text encoder whose weights adapters can change. */
export interface AdaptableTextEncoder extends CheckpointTextEncoder {
  /** What adapters may change. */
  readonly layers: Effect.Effect<ReadonlyArray<NamedLayer>, InvalidModelFile>
  /** The same encoder with changes in its layers, at the strengths that are given then. */
  readonly changed: (
    changes: Changes,
    open: BuiltOpener
  ) => Effect.Effect<(strengths: Strengths) => CheckpointTextEncoder>
}

interface OpenedEncoder {
  readonly plain: Effect.Effect<Opened, NetworkError>
  /** Takes vectors in the places of tokens: opened only when a prompt names an embedding. */
  readonly embedding: Effect.Effect<Opened, NetworkError>
}

export const make = Effect.fnUntraced(function*(options: {
  readonly model: string
  readonly file: string
  readonly weights: Weights
  readonly reading: ClipReading
  /** What its configuration says that its tensors do not. */
  readonly settings: Pick<ClipTextOptions, "heads" | "activation"> | undefined
  readonly open: BuiltOpener
  /** CLIP's own when left out. */
  readonly vocabulary: Effect.Effect<Vocabulary, NetworkError> | undefined
}): Effect.fn.Return<AdaptableTextEncoder, InvalidModelFile, Networks | FileSystem.FileSystem | Path.Path> {
  const { file, model, open, reading, settings, weights } = options
  // Only these: the span of the run that loads the model must not become the parent of later runs.
  const services = Context.pick(FileSystem.FileSystem, Path.Path)(
    yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  )
  const { layers, pooled: pooledWidth, vocabulary: words, width } = yield* fitting(file, () => clipTextShape(weights))
  const { graphs } = yield* Networks
  const opening = Effect.fnUntraced(function*(open: BuiltOpener, weights: Weights): Effect.fn.Return<OpenedEncoder> {
    const network = (embeddings: boolean) =>
      open(
        { model, network: "text_encoder" },
        Effect.flatMap(graphs, (options) =>
          Effect.map(
            fitting(file, () => clipText(weights, { ...settings, ...options, embeddings }).file()),
            (graph) => ({ file, graph })
          ))
      )
    return { plain: yield* network(false), embedding: yield* network(true) }
  })
  const clip: Effect.Effect<Vocabulary, NetworkError> = Effect.suspend((): Effect.Effect<Vocabulary, NetworkError> =>
    words === clipWords
      ? Effect.provideContext(Tokenizer.readClip(reading.padding), services)
      : Effect.fail(
        new InvalidModelFile({
          file,
          problems: [{
            path: "",
            message: `its text encoder knows ${words} words, and CLIP's vocabulary has ${clipWords}`
          }]
        })
      )
  )
  const vocabulary = yield* remembered(options.vocabulary ?? clip, {
    lookedUp: (found) => metrics.lookedUp("tokenizer", found)
  })

  const encode = Effect.fnUntraced(function*(
    networks: OpenedEncoder,
    names: ReadonlyArray<string>,
    { clipSkip, ids, placed, strengths }: rememberedChunks.EncoderInput
  ) {
    const { network: opened, type } = yield* placed.length === 0 ? networks.plain : networks.embedding
    const layer = layers + 1 - (clipSkip === 1 ? reading.layer : clipSkip)
    const name = `${reading.finalNorm ? "normed_states" : "hidden_states"}.${layer}`
    const input = TensorBuffer.make(type("input_ids"), [1, ids.length])
    const states = TensorBuffer.make("float32", [1, ids.length, width])
    const pooled = reading.pooled ? TensorBuffer.make("float32", [1, pooledWidth]) : undefined
    const given = names.map((name, i) => [name, TensorBuffer.single(strengths[i] ?? 0)] as const)
    input.values.set(ids)
    yield* TensorBuffer.run(opened, {
      inputs: {
        input_ids: input,
        ...Object.fromEntries(given),
        ...(placed.length > 0 && inPlaces(placed, width, type))
      },
      outputs: { [name]: states, ...(pooled && { pooled }) }
    })
    const chunk: EncodedChunk = { values: states.values.slice(), pooled: pooled?.values.slice() ?? new Float32Array(0) }
    return chunk
  })

  const largestClipSkip = Effect.succeed(reading.skippable ? layers : 1)
  const encoder = Effect.fnUntraced(function*(networks: OpenedEncoder, names: ReadonlyArray<string>) {
    const remembered = yield* rememberedChunks.make((input) => encode(networks, names, input), largestClipSkip)
    return (strengths: Strengths): CheckpointTextEncoder => {
      const values = names.map((name) => strengths[name] ?? 0)
      return {
        vocabulary,
        width,
        largestClipSkip,
        takesEmbeddings: true,
        encode: (ids, options) => remembered(ids, { ...options, strengths: values }),
        warm: Effect.all([networks.plain, vocabulary], { concurrency: 2, discard: true })
      }
    }
  })
  const plain = yield* encoder(yield* opening(open, weights), [])
  return {
    ...plain({}),
    layers: fitting(file, () => textLayers(weights)),
    changed: Effect.fnUntraced(function*(changes, open) {
      const names = new Set([...changes.values()].flat().map(({ strength }) => strength))
      return yield* encoder(yield* opening(open, weights.changed(changes)), [...names])
    })
  }
})

// The vectors of embeddings, one after the other, and where each goes: row of the batch and position.
const inPlaces = (
  placed: ReadonlyArray<PlacedVectors>,
  width: number,
  type: Opened["type"]
): TensorBuffer.TensorBuffers => {
  const positions = placed.flatMap(({ at, values }) => Array.from({ length: values.length / width }, (_, i) => at + i))
  const rows = TensorBuffer.make(type("embedding_rows"), [positions.length, width])
  const places = TensorBuffer.make(type("embedding_places"), [positions.length, 2])
  let next = 0
  for (const { values } of placed) {
    rows.values.set(values, next)
    next += values.length
  }
  places.values.set(positions.flatMap((position) => [0, position]))
  return { embedding_rows: rows, embedding_places: places }
}

/** Tokens of CLIP's vocabulary. */
const clipWords = 49_408
