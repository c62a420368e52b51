/**
 * Named tensors where they lie: in one file, in the shards of one, or in several files that belong together.
 */

/** Element types of the tensors that checkpoints hold, by safetensors' names. */
export type ElementType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "F8_E4M3"
  | "F8_E5M2"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U8"
  | "BOOL"

/** Bytes of one element. */
export const bytesOf: Readonly<Record<ElementType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1
}

/** One tensor where it lies: nothing is read until a network or a program asks for it. */
export interface StoredTensor {
  readonly name: string
  readonly type: ElementType
  /** Row-major, as torch writes it; empty for a scalar. */
  readonly shape: ReadonlyArray<number>
  /** Real path of the file, without symbolic links. */
  readonly file: string
  /** Where the tensor's bytes begin in the file. */
  readonly offset: number
  /** How many they are: `bytesOf[type]` times the product of the shape. */
  readonly length: number
}

/** A file as it was when its header was read. */
export interface SourceFile {
  /** Real path. */
  readonly path: string
  /** In bytes. */
  readonly size: number
  /** When it was last written, in milliseconds since 1970. */
  readonly modified: number
}

export interface WeightSource {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Texts of the header's `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>
  /** Every file that holds tensors: one that has changed since is refused before each run. */
  readonly files: ReadonlyArray<SourceFile>
}

/** Whether elements of a type are fractions, as those of weights are. */
export const isFloat = (type: ElementType): boolean => /^(F|BF)/.test(type)
