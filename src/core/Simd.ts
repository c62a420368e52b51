/**
 * Arithmetic on many numbers at once, by WebAssembly's vectors of 128 bits, which JavaScript has none of.
 *
 * The functions are written in `simd.as`. They see nothing but a memory of their own, in which their arguments are
 * addresses. A thread has one such memory: work that opens it has it until it next yields.
 */
import { simdModule } from "./simdModule.ts"

/** Windows of weights: which samples become one of the result. */
type Windows = readonly [
  /** Of 32 bits each: the first sample or line of each window, and how many there are. */
  starts: number,
  lengths: number,
  /**
   * Of 16 bits each, `stride` for each window, a multiple of 8, and 0 behind its end: `low` and `high` of the weight
   * high * 2^15 + low, which has 22 bits behind its point.
   */
  low: number,
  high: number,
  stride: number
]

/**
 * Some lines, of `row` bytes each, in another width. Lines are made in fours, and windows reach up to 7 samples beyond
 * their ends, and so does what is read.
 */
type Rows = (from: number, row: number, lines: number, to: number, width: number, ...windows: Windows) => void

interface Functions {
  readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number }
  readonly resampleGrey: Rows
  readonly resampleRgb: Rows
  readonly resampleRgba: Rows
  /** So many lines of the result, of `row` bytes. Lines end with 16 bytes, and windows with 2 lines. */
  readonly resampleColumns: (from: number, row: number, lines: number, to: number, ...windows: Windows) => void
  /**
   * Samples with their neighbours at `distances` before and behind them, weighted by numbers that sum to 256 and
   * rounded. `distances` have 32 bits, `weights` 16. The samples end with 16 bytes.
   */
  readonly blur: (
    from: number,
    to: number,
    count: number,
    middle: number,
    distances: number,
    weights: number,
    taps: number
  ) => void
  /** The next 624 numbers of MT19937, and its next state: 624 numbers, with room for 4 more. */
  readonly twist: (state: number, words: number) => void
  /**
   * Normal values of blocks of 16 random words, as torch draws them. Returns how many blocks have a value that may
   * differ in its last bit from what doubles give, or in the sign of a zero; `doubtful` has their numbers.
   */
  readonly normals: (words: number, to: number, blocks: number, doubtful: number) => number
  /**
   * L*a*b* of RGB, three bytes for each pixel, by a table of the linear number of each sample. Pixels are converted in
   * fours, and 4 bytes behind them are written. Returns how many have a byte that may be the next one; `doubtful` has
   * their numbers, which may lie beyond the last pixel.
   */
  readonly toLab: (from: number, to: number, pixels: number, linear: number, doubtful: number) => number
  /**
   * RGB of L*a*b* at the luminosity of `result`, in the same way. The four tables of 256 single numbers have the cones'
   * part of L, the luminance of L, and the steps of a and b. Doubtful are pixels that leave the range, too.
   */
  readonly recolour: (
    from: number,
    result: number,
    to: number,
    pixels: number,
    tables: number,
    doubtful: number
  ) => number
}

// WebAssembly is known to every engine, but not to the types of Node.
declare const WebAssembly: {
  readonly Module: new(bytes: Uint8Array) => object
  readonly Instance: new(module: object) => { readonly exports: Functions }
}

/** Bytes of a page of WebAssembly's memory. */
const page = 2 ** 16

/** The first bytes are left alone, as 0 is no address. */
const first = 1024

let functions: Functions | undefined
let used = first

type Values = Float32Array | Int16Array | Int32Array | Uint8Array

/** The functions, with all of their memory free. */
export const open = (): Functions => {
  used = first
  functions ??= new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(simdModule, "base64"))).exports
  return functions
}

/** The address of so many bytes. What they hold is left from before. */
export const room = (bytes: number): number => {
  const { memory } = functions ?? open()
  const at = used
  used = Math.ceil((at + bytes) / 16) * 16
  const missing = used - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / page))
  return at
}

/** The address of a copy of these values, with room for so many bytes more. */
export const put = (values: Values, more = 0): number => {
  const at = room(values.byteLength + more)
  bytesAt(at, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return at
}

/** Numbers in the memory; they are no longer that once it grows. */
export const bytesAt = (at: number, length: number): Uint8Array => new Uint8Array(buffer(), at, length)
export const intsAt = (at: number, length: number): Int32Array => new Int32Array(buffer(), at, length)
export const floatsAt = (at: number, length: number): Float32Array => new Float32Array(buffer(), at, length)

const buffer = (): ArrayBuffer => (functions ?? open()).memory.buffer
