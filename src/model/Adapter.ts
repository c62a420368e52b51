/**
 * Adapters: files of changes to a model's weights, such as LoRAs, as a run uses them.
 */

import type * as Effect from "effect/Effect"
import type { Embedding } from "./Embedding.ts"
import type { NetworkError } from "./ModelError.ts"

/** An adapter with the strengths of one run. */
export interface AdapterUse {
  /** What the prompt calls it; messages name it so. */
  readonly name: string
  readonly file: string
  /** What multiplies its change of the denoising network: 1 as it was trained, 0 nothing; any finite number. */
  readonly unet: number
  /** What multiplies its change of the text encoders. */
  readonly textEncoder: number
  /** Ranks of low-rank changes that count, the first ones; all of them without it. */
  readonly dim?: number | undefined
}

/** An adapter that a prompt may name. */
export interface AdapterFile {
  readonly name: string
  readonly file: string
  /** First 12 hex digits of its hash: the SHA-256, of safetensors files without their header (AutoV3). */
  readonly hash: Effect.Effect<string, NetworkError>
  /** Embeddings in its file, which prompts may name where they name the adapter. */
  readonly embeddings: Effect.Effect<ReadonlyArray<Embedding>, NetworkError>
  /** Why it cannot be used, as a clause; undefined where it can. */
  readonly problem: string | undefined
}
