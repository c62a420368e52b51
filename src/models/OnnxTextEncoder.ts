/**
 * One of a model's CLIP text encoders: 77 ids to embeddings, of the layer that the model's family reads.
 *
 * States under the final layer norm are the last of those exported: exports for Stable Diffusion 2 leave out the layer
 * that it does not read. States without the norm are read from the layer itself (XL).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { EncodedChunk, TextEncoder } from "../model/Conditioner.ts"
import type { NetworkError } from "../model/ModelError.ts"
import * as finalNorm from "./finalNorm.ts"
import * as metrics from "./metrics.ts"
import type { ModelFolder, TextEncoderFolder } from "./ModelFolder.ts"
import { type Opened, type Opener, remembered } from "./opening.ts"
import * as rememberedChunks from "./rememberedChunks.ts"
import * as TensorBuffer from "./TensorBuffer.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** Ids that are encoded at once. */
const chunkLength = 77

/** A text encoder, and what opens it ahead of its first use. */
export interface OnnxTextEncoder extends TextEncoder {
  readonly warm: Effect.Effect<void, NetworkError>
}

export const make = Effect.fnUntraced(function*(
  model: ModelFolder,
  folder: TextEncoderFolder,
  open: Opener
): Effect.fn.Return<OnnxTextEncoder, never, FileSystem.FileSystem | Path.Path> {
  // Only these: the span of the run that loads the model must not become the parent of later runs.
  const services = Context.pick(FileSystem.FileSystem, Path.Path)(
    yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  )
  const { hidden_size: width, layer_norm_eps: epsilon, num_hidden_layers: layers, projection_dim } = folder.config
  const { finalNorm: isNormed, layer: regularLayer, pooled: isPooled, skippable: isSkippable } = folder.reading
  const pooledWidth = isPooled ? projection_dim : 0
  const hiddenState = (fromEnd: number) => `hidden_states.${layers + 1 - fromEnd}`
  const regular = isNormed ? "last_hidden_state" : hiddenState(regularLayer)

  const network = yield* open({
    part: folder.part,
    file: folder.network,
    inputs: { input_ids: ["batch", chunkLength] },
    outputs: [regular, ...(pooledWidth > 0 ? ["text_embeds"] : [])],
    hint: isNormed ? undefined : "; export it with output_hidden_states set in its configuration"
  })
  const vocabulary = yield* remembered(
    Tokenizer.read({
      owner: model.folder,
      ...folder.tokenizer,
      padding: folder.reading.padding
    }).pipe(Effect.provideContext(services)),
    {
      lookedUp: (found) => metrics.lookedUp("tokenizer", found)
    }
  )

  // Every layer but the embeddings below the first, where all of them are among the outputs.
  const skippable = ({ network }: Opened) => {
    if (!isSkippable) return 1
    const names = new Set(network.outputs.map(({ name }) => name))
    for (let fromEnd = 1; fromEnd <= layers; fromEnd++) if (!names.has(hiddenState(fromEnd))) return 1
    return layers
  }

  const encode = Effect.fnUntraced(function*({ clipSkip, ids }: rememberedChunks.EncoderInput) {
    // Where the batch is fixed, the other rows are left empty.
    const { batch = 1, network: opened, type } = yield* network
    const buffer = (name: string, dims: ReadonlyArray<number>) => TensorBuffer.make(type(name), dims)
    const statesDims = [batch, ids.length, width]
    const first = ({ values }: TensorBuffer.TensorBuffer) => values.slice(0, values.length / batch)
    const layer = clipSkip === 1 ? regular : hiddenState(clipSkip)
    const states = buffer(layer, statesDims)
    const pooled = pooledWidth > 0 ? buffer("text_embeds", [batch, pooledWidth]) : undefined
    const norm = isNormed && clipSkip > 1
      ? { before: buffer(hiddenState(1), statesDims), after: buffer("last_hidden_state", statesDims) }
      : undefined
    const input = buffer("input_ids", [batch, ids.length])
    input.values.set(ids)
    yield* TensorBuffer.run(opened, {
      inputs: { input_ids: input },
      outputs: {
        [layer]: states,
        ...(pooled && { text_embeds: pooled }),
        ...(norm && { [hiddenState(1)]: norm.before, last_hidden_state: norm.after })
      }
    })
    const values = first(states)
    if (norm !== undefined) {
      finalNorm.apply(values, {
        before: first(norm.before),
        after: first(norm.after),
        width,
        epsilon
      })
    }
    const chunk: EncodedChunk = { values, pooled: pooled === undefined ? new Float32Array(0) : first(pooled) }
    return chunk
  })
  const largestClipSkip = Effect.map(network, skippable)
  return {
    vocabulary,
    width,
    largestClipSkip,
    encode: yield* rememberedChunks.make(encode, largestClipSkip),
    warm: Effect.all([network, vocabulary], { concurrency: 2, discard: true })
  }
})
