/**
 * JSON as Python writes it: floats keep their point (`7.0`), and `json.dumps` puts spaces and escapes.
 *
 * `Float` marks the numbers that are floats; all others are written as integers. Bytes are written in base64.
 */
import { pythonFloat } from "../../core/Text.ts"

/** A number that Python holds as a float. */
export class Float {
  readonly value: number
  readonly text: string

  /** `text` is its JSON; by default Python's `repr`. */
  constructor(value: number, text: string = pythonFloat(value)) {
    this.value = value
    this.text = text
  }
}

export interface Style {
  /** Separators between items, and after a key. */
  readonly comma: string
  readonly colon: string
  /** Whether non-ASCII characters are escaped. */
  readonly ascii: boolean
}

/** The style of replies: no spaces, characters unescaped. */
export const compact: Style = { comma: ",", colon: ":", ascii: false }

/** The default style of `json.dumps`. */
export const dumps: Style = { comma: ", ", colon: ": ", ascii: true }

// Printable ASCII without quotes and backslashes needs no escapes.
const plain = /^[ !#-[\]-~]*$/

const text = (value: string, ascii: boolean): string => {
  if (value.length < 100 && plain.test(value)) return `"${value}"`
  const json = JSON.stringify(value)
  return ascii
    ? json.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json
}

/** Weight up to which a value is one piece. */
const smallPiece = 2 ** 12

/** Bytes whose base64 is one piece; they are whole groups of three. */
const bytesAtOnce = 3 * 2 ** 18

/**
 * Serializes plain data with `Float`s and bytes in it, piece by piece: bytes may be more than one text can hold. Values
 * without a JSON form become `null`.
 */
export function* pieces(value: unknown, style: Style = compact): Generator<string> {
  if (value instanceof Uint8Array) {
    yield "\""
    for (let from = 0; from < value.length; from += bytesAtOnce) yield base64(value.subarray(from, from + bytesAtOnce))
    yield "\""
  } else if (!isHeavier(value, smallPiece)) yield write(value, style)
  else if (Array.isArray(value)) {
    yield "["
    for (const [i, item] of value.entries()) {
      if (i > 0) yield style.comma
      yield* pieces(item, style)
    }
    yield "]"
  } else if (isObject(value)) {
    let before = "{"
    for (const [key, field] of Object.entries(value)) {
      if (field === undefined) continue
      yield `${before}${text(key, style.ascii)}${style.colon}`
      yield* pieces(field, style)
      before = style.comma
    }
    yield before === "{" ? "{}" : "}"
  } else yield scalar(value, style)
}

/** The same as one text. */
export const write = (value: unknown, style: Style = compact): string => {
  if (typeof value !== "object" || value === null) return scalar(value, style)
  if (value instanceof Uint8Array) return `"${base64(value)}"`
  if (Array.isArray(value)) return `[${value.map((item: unknown) => write(item, style)).join(style.comma)}]`
  if (!isObject(value)) return scalar(value, style)
  let whole = ""
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined) continue
    whole += `${whole === "" ? "" : style.comma}${text(key, style.ascii)}${style.colon}${write(field, style)}`
  }
  return `{${whole}}`
}

const base64 = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString("base64")

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !(value instanceof Float)

const scalar = (value: unknown, style: Style): string => {
  if (typeof value === "string") return text(value, style.ascii)
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null"
  if (typeof value === "boolean" || typeof value === "bigint") return String(value)
  return value instanceof Float && Number.isFinite(value.value) ? value.text : "null"
}

/** What a value weighs next to the bytes and characters that it holds. */
const weightOfValue = 64

/** Whether plain data is heavier than `most`: its bytes, its characters, and 64 for each of its values. */
export const isHeavier = (value: unknown, most: number): boolean => rest(value, most) < 0

// What is left of a weight, counted until nothing is.
const rest = (value: unknown, most: number): number => {
  let left = most - weightOfValue
  if (value instanceof Uint8Array || typeof value === "string") return left - value.length
  if (typeof value !== "object" || value === null || value instanceof Float) return left
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    if (left < 0) return left
    left = rest(item, left)
  }
  return left
}
