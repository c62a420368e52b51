/**
 * The structure of an ONNX file without its weights, which are nearly all of it.
 *
 * A network of gigabytes is read in a few hundred kilobytes: what lies between the parts that are wanted is skipped in
 * the file.
 */
import { closeSync, openSync, readSync } from "node:fs"
import { message, type Parts } from "./Protobuf.ts"

/** Numbers of a tensor of more bytes than this are left out; shapes and axes are shorter. */
const longest = 1024

/** Fields of a message that are messages with weights somewhere in them, or the weights themselves. */
interface Holder {
  readonly [number: number]: (() => Holder) | "weights"
}

// Field numbers are those of onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
const tensor: Holder = {
  4: "weights",
  5: "weights",
  6: "weights",
  7: "weights",
  9: "weights",
  10: "weights",
  11: "weights"
}
const attribute: Holder = { 5: () => tensor, 6: () => graph, 10: () => tensor }
const node: Holder = { 5: () => attribute }
const graph: Holder = { 1: () => node, 5: () => tensor }
const model: Holder = { 7: () => graph }

/**
 * The bytes of the ONNX file at a path, for `Onnx.read`, without the numbers of its large tensors. Throws for a file
 * that cannot be read, that is not an ONNX file, or that ends too soon.
 */
export const skeleton = (path: string): Uint8Array => {
  const file = openSync(path, "r")
  try {
    const bytes = new FileBytes(file)
    return Buffer.concat(partsOf(bytes, { from: 0, to: undefined }, model))
  } finally {
    closeSync(file)
  }
}

interface Extent {
  readonly from: number
  /** Undefined for the end of the file. */
  readonly to: number | undefined
}

const varint = 0
const fixed64 = 1
const lengthDelimited = 2
const fixed32 = 5

const partsOf = (bytes: FileBytes, { from, to }: Extent, holder: Holder): Parts => {
  const parts: Array<Uint8Array> = []
  let at = from
  const next = () => {
    let value = 0
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = bytes.at(at++)
      value += (byte & 0x7F) * scale
      if (byte < 0x80) return value
    }
    throw new Error("it is not an ONNX file")
  }
  while (to === undefined ? bytes.has(at) : at < to) {
    const start = at
    const key = next()
    const number = Math.floor(key / 8)
    switch (key % 8) {
      case varint:
        next()
        break
      case fixed64:
        at += 8
        break
      case fixed32:
        at += 4
        break
      case lengthDelimited: {
        const length = next()
        const inside = at
        at += length
        if (!bytes.has(at - 1) && length > 0) throw new Error("it is truncated")
        const kind = length > longest ? holder[number] : undefined
        if (kind === "weights") continue
        if (kind !== undefined) {
          parts.push(...message(number, partsOf(bytes, { from: inside, to: at }, kind())))
          continue
        }
        break
      }
      default:
        throw new Error("it is not an ONNX file")
    }
    parts.push(bytes.slice(start, at))
  }
  return parts
}

// Bytes of a file by position, read in pieces.
class FileBytes {
  readonly #file: number
  readonly #piece = Buffer.alloc(1 << 16)
  #from = 0
  #length = 0

  constructor(file: number) {
    this.#file = file
  }

  has(position: number): boolean {
    if (position >= this.#from && position < this.#from + this.#length) return true
    this.#from = position
    this.#length = readSync(this.#file, this.#piece, 0, this.#piece.length, position)
    return this.#length > 0
  }

  at(position: number): number {
    const byte = this.has(position) ? this.#piece[position - this.#from] : undefined
    if (byte === undefined) throw new Error("it is truncated")
    return byte
  }

  slice(from: number, to: number): Uint8Array {
    if (from >= this.#from && to <= this.#from + this.#length) {
      return Uint8Array.from(this.#piece.subarray(from - this.#from, to - this.#from))
    }
    const bytes = Buffer.alloc(to - from)
    if (readSync(this.#file, bytes, 0, bytes.length, from) < bytes.length) throw new Error("it is truncated")
    return bytes
  }
}
