/**
 * Embeddings' files: which tensors are the vectors for which text encoder, in the layouts that people have.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { Embedding } from "../model/Embedding.ts"
import type { InvalidModelFile } from "../model/ModelError.ts"
import { bundledEmbedding } from "./checkpoint/adapterNames.ts"
import { invalid } from "./checkpoint/openFile.ts"
import { openFile } from "./checkpoint/sources.ts"
import { readValues } from "./checkpoint/values.ts"
import { isFloat, type StoredTensor, type WeightSource } from "./checkpoint/WeightSource.ts"

/** The tensors of an embedding's vectors, `[vectors, width]` or `[width]`: one for each text encoder, CLIP's first. */
export const tensorsOf = ({ tensors }: Pick<WeightSource, "tensors">): ReadonlyArray<StoredTensor> => {
  const [l, g] = [tensors.get("clip_l"), tensors.get("clip_g")]
  if (l !== undefined && g !== undefined) return [l, g]
  const vectors = [...tensors.values()].filter(({ shape, type }) => shape.length > 0 && isFloat(type))
  const named = tensors.get("emb_params") ?? vectors.find(({ name }) => name.startsWith("string_to_param.")) ??
    vectors[0]
  return named === undefined ? [] : [named]
}

/** Number and widths of an embedding's vectors, known from its header. */
export const sizeOf = (
  source: Pick<WeightSource, "tensors">
): { readonly vectors: number; readonly widths: ReadonlyArray<number> } => {
  const tensors = tensorsOf(source)
  return {
    vectors: tensors[0]?.shape.length === 1 ? 1 : tensors[0]?.shape[0] ?? 0,
    widths: tensors.map(({ shape }) => shape.at(-1) ?? 0)
  }
}

type Services = FileSystem.FileSystem | Path.Path

/** Reads an embedding's vectors. */
export const read = (name: string, file: string): Effect.Effect<Embedding, InvalidModelFile, Services> =>
  Effect.flatMap(openFile(file), (source) => readFrom(name, file, source))

/** Reads the embeddings in an adapter's file; most have none. */
export const readBundled = Effect.fnUntraced(function*(
  file: string
): Effect.fn.Return<ReadonlyArray<Embedding>, InvalidModelFile, Services> {
  const source = yield* openFile(file)
  const tensors = [...source.tensors].flatMap(([whole, tensor]) => {
    const found = bundledEmbedding(whole)
    return found === undefined ? [] : [{ name: found.embedding, tensor: { ...tensor, name: found.tensor } }]
  })
  return yield* Effect.forEach(
    Map.groupBy(tensors, ({ name }) => name),
    ([name, own]) =>
      readFrom(name, file, { ...source, tensors: new Map(own.map(({ tensor }) => [tensor.name, tensor])) })
  )
})

const readFrom = Effect.fnUntraced(function*(
  name: string,
  file: string,
  source: WeightSource
): Effect.fn.Return<Embedding, InvalidModelFile, FileSystem.FileSystem> {
  const { vectors, widths } = sizeOf(source)
  const rows = yield* Effect.forEach(tensorsOf(source), readValues)
  const isWhole = vectors > 0 &&
    rows.every(({ length }, place) => length > 0 && length === vectors * (widths[place] ?? 0))
  if (!isWhole || rows.length === 0) return yield* invalid(file, "it holds no embedding")
  const id = [name, ...source.files.map(({ modified, path, size }) => `${path} ${size} ${modified}`)].join(" ")
  return { name, id, vectors, rows }
})
