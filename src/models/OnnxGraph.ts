/**
 * Reads and changes protobuf messages, such as an ONNX file, without knowing what all of their fields mean.
 *
 * A message is a row of fields, each a key (number and kind) and a value. What is not changed is not even copied: it stays
 * a view of the bytes that were read, so that the weights of a network, which are nearly all of its file, cost nothing.
 */

/** One field of a message. Both arrays are views of the message. */
export interface Field {
  readonly number: number
  /** The value alone: a nested message, text, or a number as it is written. */
  readonly value: Uint8Array
  /** Key and value. */
  readonly whole: Uint8Array
}

// The kinds of values there are in the wire format; two more were given up before ONNX began.
const varint = 0
const eightBytes = 1
const counted = 2
const fourBytes = 5

/** The fields of a message, in its order. Throws for bytes that are not one. */
export function* fieldsOf(message: Uint8Array): Generator<Field, void> {
  let at = 0
  // Numbers of more than 53 bits are only passed over here.
  const next = () => {
    let value = 0
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = message[at++]
      if (byte === undefined) break
      value += (byte & 0x7F) * scale
      if (byte < 0x80) return value
    }
    throw new Error("it is not an ONNX file, or it was cut off")
  }
  while (at < message.length) {
    const start = at
    const key = next()
    const kind = key % 8
    let from = at
    if (kind === varint) {
      next()
    } else if (kind === counted) {
      const length = next()
      from = at
      at += length
    } else if (kind === eightBytes || kind === fourBytes) {
      at += kind === eightBytes ? 8 : 4
    } else {
      throw new Error("it is not an ONNX file")
    }
    if (at > message.length) throw new Error("it is not an ONNX file, or it was cut off")
    yield { number: Math.floor(key / 8), value: message.subarray(from, at), whole: message.subarray(start, at) }
  }
}

/** The fields of that number. */
export const fieldsNamed = (message: Uint8Array, number: number): ReadonlyArray<Field> => {
  const found: Array<Field> = []
  for (const field of fieldsOf(message)) if (field.number === number) found.push(field)
  return found
}

const decoder = new TextDecoder()

/** The texts of a message's fields of that number. */
export const textsOf = (message: Uint8Array, number: number): ReadonlyArray<string> =>
  fieldsNamed(message, number).map(({ value }) => decoder.decode(value))

/** The text of a message's field of that number; empty where there is none. */
export const textOf = (message: Uint8Array, number: number): string => textsOf(message, number).at(-1) ?? ""

/** The whole numbers of a message's field of that number, written one by one or packed. */
export const integersOf = (message: Uint8Array, number: number): ReadonlyArray<number> =>
  fieldsNamed(message, number).flatMap(({ value }) => {
    const found: Array<number> = []
    let bits = 0n
    let shift = 0n
    for (const byte of value) {
      bits |= BigInt(byte & 0x7F) << shift
      shift += 7n
      if (byte >= 0x80) continue
      found.push(Number(BigInt.asIntN(64, bits)))
      bits = 0n
      shift = 0n
    }
    return found
  })

/** Bytes in the order in which they are written, not yet put together. */
export type Parts = ReadonlyArray<Uint8Array>

/** A message with other fields in the place of some: what `edit` leaves undefined stays as it is. */
export const edited = (message: Uint8Array, edit: (field: Field) => Parts | undefined): Parts => {
  const parts: Array<Uint8Array> = []
  let kept = 0
  let at = 0
  for (const field of fieldsOf(message)) {
    const instead = edit(field)
    if (instead !== undefined) {
      if (at > kept) parts.push(message.subarray(kept, at))
      for (const part of instead) parts.push(part)
      kept = at + field.whole.length
    }
    at += field.whole.length
  }
  if (at > kept) parts.push(message.subarray(kept, at))
  return parts
}

/** A field that holds a whole number, down to -2^53. */
export const integer = (number: number, value: number): Parts => [
  Uint8Array.from([...digits(number * 8 + varint), ...digits(value)])
]

/** A field that holds text. */
export const text = (number: number, value: string): Parts => nested(number, [new TextEncoder().encode(value)])

/** A field that holds a message, or bytes. */
export const nested = (number: number, value: Parts): Parts => {
  const length = value.reduce((sum, part) => sum + part.length, 0)
  return [Uint8Array.from([...digits(number * 8 + counted), ...digits(length)]), ...value]
}

// Seven bits at a time, the lowest first; a negative number as 64-bit two's complement.
const digits = (value: number): ReadonlyArray<number> => {
  const bytes: Array<number> = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 0x7Fn; rest >>= 7n) bytes.push(Number(rest & 0x7Fn) | 0x80)
  return [...bytes, Number(rest)]
}
