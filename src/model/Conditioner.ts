/**
 * From prompts to what a denoising network reads of them.
 */
import type * as Effect from "effect/Effect"
import type { Size } from "../core/Geometry.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import type { Vocabulary } from "../prompt/Chunks.ts"
import type { EncodingOptions, TooManyChunks } from "../prompt/Encoding.ts"
import type { NegativePrompt, Prompt } from "../prompt/Prompt.ts"
import type { PromptSchedule } from "../prompt/PromptSchedule.ts"
import type { Embedding } from "./Embedding.ts"
import type { NetworkError } from "./ModelError.ts"

/** Ids of a text as a text encoder reads them. */
export interface EncodedChunk {
  /** `[ids, width]`. A buffer that is remembered and shared: copy what must change. */
  readonly values: Float32Array
  /** `[pooledWidth]`, the projection of the text as a whole; empty for encoders without one. */
  readonly pooled: Float32Array
}

/** Vectors of an embedding that take the places of tokens. */
export interface PlacedVectors {
  /** Position of the first among the ids. */
  readonly at: number
  /** `[vectors, width]`. */
  readonly values: Float32Array
  /** Whose they are: encodings are remembered by it. */
  readonly id: string
}

/** A text encoder with its tokenizer. Embeddings that were computed before are remembered. */
export interface TextEncoder {
  readonly vocabulary: Effect.Effect<Vocabulary, NetworkError>
  readonly width: number
  /**
   * Largest `clipSkip` that its file supports; 1 where hidden states are not among its outputs, or where the model was
   * trained on one certain layer.
   */
  readonly largestClipSkip: Effect.Effect<number, NetworkError>
  /**
   * Encodes ids, 77 for CLIP. `clipSkip` counts layers from the end: 1 is what the model was trained with, 2 leaves one
   * out; more than `largestClipSkip` acts as that. `placed` may only be given where `takesEmbeddings`.
   */
  readonly encode: (
    ids: ReadonlyArray<number>,
    options: { readonly clipSkip: number; readonly placed?: ReadonlyArray<PlacedVectors> | undefined }
  ) => Effect.Effect<EncodedChunk, NetworkError>
  /** Whether vectors can take the places of tokens; left out where they cannot. */
  readonly takesEmbeddings?: boolean | undefined
}

/** A model's text encoders, in the order that its family names them. */
export type TextEncoders = readonly [TextEncoder, ...ReadonlyArray<TextEncoder>]

/** Numbers with their shape, row by row. */
export interface Tensor {
  readonly dims: ReadonlyArray<number>
  readonly values: Float32Array
}

/** What a network reads in addition to latents and timestep, for one row of a call, by the names of its inputs. */
export type NamedTensors = Readonly<Record<string, Tensor>>

/** A prompt, or a part of one, over a run. */
export interface ScheduledConditioning {
  readonly weight: number
  readonly schedule: PromptSchedule
  /** In the order of the schedule's `texts`, all of the same names and shapes. */
  readonly texts: ReadonlyArray<NamedTensors>
}

/** The conditioning of a batch. */
export interface Conditioning {
  /** The parts of the prompt, one at least, all of the same names and shapes. */
  readonly parts: ReadonlyArray<ScheduledConditioning>
  /** Absent when there is no guidance. Its shapes may be others. */
  readonly negative: ScheduledConditioning | undefined
}

/** How settings want texts cut into chunks. */
export const readingOf = (
  { comma_padding_backtrack: commaBacktrack, emphasis }: OptionsSnapshot
): Pick<EncodingOptions, "commaBacktrack" | "emphasis"> => ({ commaBacktrack, emphasis })

/** What a pass asks for. */
export interface ConditioningRequest {
  readonly prompt: Prompt
  /** Absent when there is no guidance. */
  readonly negative: NegativePrompt | undefined
  /** Size of the images, in pixels. */
  readonly size: Size
  readonly guidanceScale: number
  readonly settings: OptionsSnapshot
  /** Those that the prompts may name. The ones that do not fit the model must be left out. */
  readonly embeddings?: ReadonlyArray<Embedding> | undefined
  /** Most chunks that the texts of the prompt, and those of the negative prompt, may take. */
  readonly mostChunks: number
}

/** How a family reads texts. It is a value of the family, and is given the text encoders of a model. */
export interface Conditioner {
  /** Prompts that take too many chunks are refused before a network runs. */
  readonly condition: (
    encoders: TextEncoders,
    request: ConditioningRequest
  ) => Effect.Effect<Conditioning, NetworkError | TooManyChunks>
  /** Whether the network reads the guidance scale and guides itself: a negative prompt is then of no use to it. */
  readonly isSelfGuided: boolean
  /** The clip skip that the settings ask of the first text encoder; 1 for families that ignore the setting. */
  readonly clipSkip: (settings: OptionsSnapshot) => number
}
