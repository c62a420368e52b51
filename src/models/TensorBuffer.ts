/**
 * Numbers of the type a network's file asks for, written and read as ordinary numbers.
 *
 * float32 buffers are used in place; float16, int32 and int64 ones are converted on the way in and out.
 */
import type { SharedTensor, TensorType } from "./Networks.ts"

const isTensorType = (type: string): type is TensorType =>
  type === "float32" || type === "float16" || type === "int32" || type === "int64"

/** The number type of an input or output, or `undefined` for one that Serena does not write or read. */
export const tensorType = (type: string): TensorType | undefined => isTensorType(type) ? type : undefined

export interface TensorBuffer {
  readonly tensor: SharedTensor
  /** The numbers as float32: the shared memory itself when the type is float32. */
  readonly values: Float32Array
  /** Brings `values` into the network's type; nothing to do for float32. Integers are rounded. */
  readonly push: () => void
  /** Brings the network's numbers into `values`; nothing to do for float32. */
  readonly pull: () => void
}

const shared = (bytes: number) => new SharedArrayBuffer(Math.max(bytes, 8))
const nothing = () => {}

/** A buffer of `dims` numbers in shared memory. */
export const make = (type: TensorType, dims: ReadonlyArray<number>): TensorBuffer => {
  const size = dims.reduce((product, dim) => product * dim, 1)
  switch (type) {
    case "float32": {
      const data = new Float32Array(shared(size * 4), 0, size)
      return { tensor: { type, dims, data }, values: data, push: nothing, pull: nothing }
    }
    case "float16": {
      const data = new Uint16Array(shared(size * 2), 0, size)
      const values = new Float32Array(size)
      return {
        tensor: { type, dims, data },
        values,
        push: () => {
          for (let i = 0; i < size; i++) data[i] = toFloat16(values[i] as number)
        },
        pull: () => {
          for (let i = 0; i < size; i++) values[i] = fromFloat16(data[i] as number)
        }
      }
    }
    case "int32": {
      const data = new Int32Array(shared(size * 4), 0, size)
      const values = new Float32Array(size)
      return {
        tensor: { type, dims, data },
        values,
        push: () => {
          for (let i = 0; i < size; i++) data[i] = Math.round(values[i] as number)
        },
        pull: () => values.set(data)
      }
    }
    case "int64": {
      const data = new BigInt64Array(shared(size * 8), 0, size)
      const values = new Float32Array(size)
      return {
        tensor: { type, dims, data },
        values,
        push: () => {
          for (let i = 0; i < size; i++) data[i] = BigInt(Math.round(values[i] as number))
        },
        pull: () => {
          for (let i = 0; i < size; i++) values[i] = Number(data[i])
        }
      }
    }
  }
}

const bits = new Uint32Array(1)
const real = new Float32Array(bits.buffer)

/** IEEE 754 binary16 of a number, rounded to nearest, ties to even. */
export const toFloat16 = (value: number): number => {
  real[0] = value
  const single = bits[0] as number
  const sign = (single >>> 16) & 0x8000
  const exponent = (single >>> 23) & 0xFF
  const mantissa = single & 0x7F_FFFF
  if (exponent === 0xFF) return sign | (mantissa === 0 ? 0x7C00 : 0x7E00)
  const half = exponent - 112
  if (half >= 31) return sign | 0x7C00
  if (half <= 0) {
    if (half < -10) return sign
    const full = mantissa | 0x80_0000
    const shift = 14 - half
    const floor = full >>> shift
    const rest = full & ((1 << shift) - 1)
    const middle = 1 << (shift - 1)
    return sign | (floor + (rest > middle || (rest === middle && (floor & 1) === 1) ? 1 : 0))
  }
  const floor = (half << 10) | (mantissa >>> 13)
  const rest = mantissa & 0x1FFF
  return sign | (floor + (rest > 0x1000 || (rest === 0x1000 && (floor & 1) === 1) ? 1 : 0))
}

/** The number that an IEEE 754 binary16 stands for. */
export const fromFloat16 = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1F
  const mantissa = half & 0x3FF
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}
