/**
 * What adapters change in a layer, by the tensors of their files: the forms of LoRA and its relatives.
 *
 * A weight is a matrix here, `[o, n]`: outputs by inputs, or by inputs and kernel of a convolution, `n = i k k`.
 */
import type { SourceFile, StoredTensor } from "../checkpoint/WeightSource.ts"

/** A matrix `[o, n]` that tensors are, or make up. */
export type Matrix =
  /** As it is. */
  | { readonly form: "stored"; readonly tensor: StoredTensor }
  /**
   * `up` `[o, r]` (or `[r, o]` where it is flipped) times `down` `[r, n]`. With a `middle` `[r, s, k, k]` between them
   * `down` is `[s, i]` (Tucker's decomposition of a convolution). `ranks` of them count, the first ones.
   */
  | {
    readonly form: "product"
    readonly up: StoredTensor
    readonly middle?: StoredTensor | undefined
    readonly down: StoredTensor
    readonly isFlipped?: boolean | undefined
    readonly ranks?: number | undefined
  }
  /** Number by number (LoHa; Hyeon-Woo et al., arXiv:2108.06098). */
  | { readonly form: "elementwise"; readonly left: Matrix; readonly right: Matrix }
  /** The Kronecker product (LoKr; Yeh et al., arXiv:2309.14859). */
  | { readonly form: "kronecker"; readonly left: Matrix; readonly right: Matrix }

/** Blocks `[count, size, size]` that multiply groups of a weight's rows. */
export interface Rotation {
  readonly count: number
  readonly size: number
  readonly blocks: Float32Array<ArrayBuffer>
  /** Distance of the rows that a butterfly pairs; undefined where the rows of a group follow each other. */
  readonly distance?: number | undefined
}

export type WeightChange =
  /**
   * Adds a matrix times a number. With a `magnitude`, `[o, 1, ..]` or `[1, i, ..]`, the sum is then scaled so that its
   * rows or columns have these norms (DoRA; Liu et al., arXiv:2402.09353).
   */
  | {
    readonly kind: "added"
    readonly matrix: Matrix
    readonly scale: number
    readonly magnitude?: StoredTensor | undefined
  }
  /** Turns the rows (OFT; Qiu et al., arXiv:2306.07280), then multiplies each by one of `rescale`, `[o, 1, ..]`. */
  | {
    readonly kind: "turned"
    readonly rotations: ReadonlyArray<Rotation>
    readonly rescale?: StoredTensor | undefined
  }
  /** Adds W a b + c d, times a number (GLoRA; Chavan et al., arXiv:2306.07967). */
  | {
    readonly kind: "generalised"
    readonly right: readonly [a: StoredTensor, b: StoredTensor]
    readonly added: readonly [c: StoredTensor, d: StoredTensor]
    readonly scale: number
  }

/** What one adapter changes in one layer. */
export interface LayerChange {
  /** The input of the graph that multiplies the change: 1 makes it as it was trained, 0 leaves the layer as it is. */
  readonly strength: string
  readonly file: SourceFile | undefined
  readonly weight?: WeightChange | undefined
  /** Added to the bias, `[o]`, times a number. */
  readonly bias?: { readonly tensor: StoredTensor; readonly scale: number } | undefined
}

/** Rows and columns of a matrix. */
export type MatrixSize = readonly [rows: number, columns: number]

const product = (sizes: ReadonlyArray<number>): number => sizes.reduce((all, size) => all * size, 1)

const sizeOfTensor = ({ shape: [rows = 1, ...rest] }: StoredTensor): MatrixSize => [rows, product(rest)]

/** The size that a matrix has; undefined where its tensors do not go together. */
export const sizeOf = (matrix: Matrix): MatrixSize | undefined => {
  switch (matrix.form) {
    case "stored":
      return sizeOfTensor(matrix.tensor)
    case "product": {
      const { down, isFlipped = false, middle, up } = matrix
      const size = sizeOfTensor(up)
      const [outputs, ranks] = isFlipped ? [size[1], size[0]] : size
      const [inner, columns] = sizeOfTensor(down)
      if (middle === undefined) return ranks === inner ? [outputs, columns] : undefined
      const [first, second = 1, ...kernel] = middle.shape
      return ranks === first && second === inner ? [outputs, columns * product(kernel)] : undefined
    }
    case "elementwise": {
      const [left, right] = [sizeOf(matrix.left), sizeOf(matrix.right)]
      return left !== undefined && `${left}` === `${right}` ? left : undefined
    }
    case "kronecker": {
      const [left, right] = [sizeOf(matrix.left), sizeOf(matrix.right)]
      return left && right && [left[0] * right[0], left[1] * right[1]]
    }
  }
}

/** Whether magnitudes of this shape are of a weight's rows, and not of its columns. */
export const areRowNorms = (shape: ReadonlyArray<number>, rows: number): boolean =>
  shape[0] === rows && shape.slice(1).every((size) => size === 1)
