/**
 * Values of single tensors: the few that are needed as numbers, such as an embedding's vectors or a norm's biases.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { InvalidModelFile } from "../../model/ModelError.ts"
import { openForReading } from "./openFile.ts"
import type { ElementType, StoredTensor } from "./WeightSource.ts"

/** A tensor's values in the order of its shape, as float32; those of F64 and of large integers are rounded. */
export const readValues = Effect.fnUntraced(function*(
  { file, length, offset, type }: StoredTensor
): Effect.fn.Return<Float32Array, InvalidModelFile, FileSystem.FileSystem> {
  const bytes = yield* Effect.scoped(Effect.flatMap(openForReading(file), ({ read }) => read(offset, length)))
  return toFloats(type, bytes)
})

/** Bytes, little endian, as numbers. */
export const toFloats = (type: ElementType, bytes: Uint8Array): Float32Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { at, size } = readers[type]
  return Float32Array.from({ length: bytes.byteLength / size }, (_, i) => at(view, i * size))
}

interface Reader {
  readonly size: number
  readonly at: (view: DataView, offset: number) => number
}

const floats = new Float32Array(1)
const bits = new Uint32Array(floats.buffer)

const fromBits = (value: number): number => {
  bits[0] = value
  return floats[0] ?? 0
}

/** A small float: a sign, `exponent` bits, `mantissa` bits; `finite` formats have no infinities (e4m3fn). */
const small = (value: number, exponent: number, mantissa: number, isFinite: boolean): number => {
  const sign = value >> (exponent + mantissa) === 1 ? -1 : 1
  const power = (value >> mantissa) & ((1 << exponent) - 1)
  const fraction = value & ((1 << mantissa) - 1)
  const bias = (1 << (exponent - 1)) - 1
  const isTop = power === (1 << exponent) - 1
  if (isTop && !isFinite) return fraction === 0 ? sign * Infinity : NaN
  if (isTop && fraction === (1 << mantissa) - 1) return NaN
  return power === 0
    ? sign * fraction * 2 ** (1 - bias - mantissa)
    : sign * (1 + fraction / (1 << mantissa)) * 2 ** (power - bias)
}

const readers: Readonly<Record<ElementType, Reader>> = {
  F64: { size: 8, at: (view, offset) => view.getFloat64(offset, true) },
  F32: { size: 4, at: (view, offset) => view.getFloat32(offset, true) },
  F16: { size: 2, at: (view, offset) => small(view.getUint16(offset, true), 5, 10, false) },
  BF16: { size: 2, at: (view, offset) => fromBits(view.getUint16(offset, true) * 65536) },
  F8_E4M3: { size: 1, at: (view, offset) => small(view.getUint8(offset), 4, 3, true) },
  F8_E5M2: { size: 1, at: (view, offset) => small(view.getUint8(offset), 5, 2, false) },
  I64: { size: 8, at: (view, offset) => Number(view.getBigInt64(offset, true)) },
  I32: { size: 4, at: (view, offset) => view.getInt32(offset, true) },
  I16: { size: 2, at: (view, offset) => view.getInt16(offset, true) },
  I8: { size: 1, at: (view, offset) => view.getInt8(offset) },
  U8: { size: 1, at: (view, offset) => view.getUint8(offset) },
  BOOL: { size: 1, at: (view, offset) => view.getUint8(offset) }
}
