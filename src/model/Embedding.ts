/**
 * Embeddings: a few vectors that stand for tokens and are named in prompts (textual inversion, Gal et al. 2022).
 */
import type * as Effect from "effect/Effect"
import type { TextEncoder } from "./Conditioner.ts"
import type { NetworkError } from "./ModelError.ts"

/** An embedding whose vectors are read. */
export interface Embedding {
  /** As prompts call it. */
  readonly name: string
  /** Changes whenever its file does. */
  readonly id: string
  /** The tokens that it stands for. */
  readonly vectors: number
  /** `[vectors, width]` for each text encoder of the models that it is for, in the order of their families. */
  readonly rows: ReadonlyArray<Float32Array>
}

/** An embedding that a prompt may name. */
export interface EmbeddingFile {
  readonly name: string
  readonly file: string
  readonly read: Effect.Effect<Embedding, NetworkError>
  /** First 12 hex digits of the file's SHA-256. */
  readonly hash: Effect.Effect<string, NetworkError>
}

/** Widths of an embedding's vectors, one for each text encoder that it is for. */
export const widthsOf = ({ rows, vectors }: Embedding): ReadonlyArray<number> =>
  rows.map(({ length }) => length / vectors)

/** Whether a model's text encoders take an embedding's vectors. */
export const fits = (embedding: Embedding, encoders: ReadonlyArray<TextEncoder>): boolean => {
  const widths = widthsOf(embedding)
  return widths.length === encoders.length &&
    encoders.every(({ takesEmbeddings, width }, place) => takesEmbeddings === true && width === widths[place])
}
