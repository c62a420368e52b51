/**
 * Protobuf's wire format: the fields of a message, read by number and written in order.
 *
 * Values are views of the bytes they were read from, and a written message is a list of parts that is joined once at
 * the end. A network's weights, which are nearly all of its file, are therefore not copied on the way.
 */

/** Bytes in the order in which they are written, not yet joined. */
export type Parts = ReadonlyArray<Uint8Array>

interface Field {
  readonly number: number
  /** The value alone: a nested message, a string, or the encoded number. */
  readonly value: Uint8Array
  /** Key and value. */
  readonly whole: Uint8Array
}

// Wire types. Two more, for groups, were deprecated before ONNX began.
const varint = 0
const fixed64 = 1
const lengthDelimited = 2
const fixed32 = 5

function* fieldsOf(message: Uint8Array): Generator<Field, void> {
  let at = 0
  // Numbers of more than 53 bits are only skipped here.
  const next = () => {
    let value = 0
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const byte = message[at++]
      if (byte === undefined) break
      value += (byte & 0x7F) * scale
      if (byte < 0x80) return value
    }
    throw new Error("it is not an ONNX file, or it is truncated")
  }
  const skip = { [varint]: next, [fixed64]: () => (at += 8), [fixed32]: () => (at += 4) }
  while (at < message.length) {
    const start = at
    const key = next()
    const wireType = key % 8
    let from = at
    if (wireType === lengthDelimited) {
      const length = next()
      from = at
      at += length
    } else if (wireType === varint || wireType === fixed64 || wireType === fixed32) {
      skip[wireType]()
    } else {
      throw new Error("it is not an ONNX file")
    }
    if (at > message.length) throw new Error("it is not an ONNX file, or it is truncated")
    yield { number: Math.floor(key / 8), value: message.subarray(from, at), whole: message.subarray(start, at) }
  }
}

const decoder = new TextDecoder()

/** A message that was read: the values of its fields by number. Throws for bytes that are not a message. */
export class Message {
  readonly #fields: ReadonlyArray<Field>
  readonly #known = new Set<number>()

  constructor(bytes: Uint8Array) {
    this.#fields = Array.from(fieldsOf(bytes))
  }

  /** The values of a repeated field: nested messages or bytes. */
  all(number: number): ReadonlyArray<Uint8Array> {
    this.#known.add(number)
    return this.#fields.flatMap((field) => field.number === number ? [field.value] : [])
  }

  /** The value of a field; the last one counts. */
  last(number: number): Uint8Array | undefined {
    return this.all(number).at(-1)
  }

  strings(number: number): ReadonlyArray<string> {
    return this.all(number).map((value) => decoder.decode(value))
  }

  /** The string in a field; empty when there is none. */
  string(number: number): string {
    return this.strings(number).at(-1) ?? ""
  }

  /** 64-bit integers, packed or not. Beyond 2^53 they are rounded. */
  integers(number: number): ReadonlyArray<number> {
    return this.all(number).flatMap(varints)
  }

  /** The integer in a field; 0 when there is none. */
  integer(number: number): number {
    return this.integers(number).at(-1) ?? 0
  }

  /** 32-bit floats, packed or not. */
  floats(number: number): ReadonlyArray<number> {
    return this.all(number).flatMap((value) => Array.from(new Float32Array(Uint8Array.from(value).buffer)))
  }

  /** The fields that were not read up to now, keys included. */
  unread(): Parts {
    return this.#fields.flatMap(({ number, whole }) => this.#known.has(number) ? [] : [whole])
  }
}

const varints = (bytes: Uint8Array): ReadonlyArray<number> => {
  const found: Array<number> = []
  let bits = 0n
  let shift = 0n
  for (const byte of bytes) {
    bits |= BigInt(byte & 0x7F) << shift
    shift += 7n
    if (byte >= 0x80) continue
    found.push(Number(BigInt.asIntN(64, bits)))
    bits = 0n
    shift = 0n
  }
  return found
}

/** A field with an integer, down to -2^53. */
export const integer = (number: number, value: number): Parts => [
  Buffer.from([...digits(number * 8 + varint), ...digits(value)])
]

/** A field with a 32-bit float. */
export const float = (number: number, value: number): Parts => [
  Buffer.from(digits(number * 8 + fixed32)),
  new Uint8Array(Float32Array.of(value).buffer)
]

/** A field with a string. */
export const string = (number: number, value: string): Parts => message(number, [Buffer.from(value)])

/** A field with a nested message, or with bytes. */
export const message = (number: number, value: Parts): Parts => {
  const length = value.reduce((sum, part) => sum + part.length, 0)
  return [Buffer.from([...digits(number * 8 + lengthDelimited), ...digits(length)]), ...value]
}

// Seven bits at a time, the lowest first; a negative number as 64-bit two's complement.
const digits = (value: number): ReadonlyArray<number> => {
  if (value >= 0 && value < 0x80) return [value]
  const bytes: Array<number> = []
  // Most are small, and BigInt is slow.
  if (value >= 0 && value <= 0x7FFF_FFFF) {
    let rest = value
    for (; rest > 0x7F; rest >>= 7) bytes.push((rest & 0x7F) | 0x80)
    bytes.push(rest)
    return bytes
  }
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest > 0x7Fn; rest >>= 7n) bytes.push(Number(rest & 0x7Fn) | 0x80)
  return [...bytes, Number(rest)]
}
