/**
 * JSON as Python writes it: floats keep their point (`7.0`), and `json.dumps` puts spaces and escapes.
 *
 * `Float` marks the numbers that are floats; all others are written as integers.
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

/** Serializes plain data with `Float`s in it. Values without a JSON form become `null`. */
export const write = (value: unknown, style: Style = compact): string => {
  if (typeof value === "string") return text(value, style.ascii)
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null"
  if (typeof value === "boolean" || typeof value === "bigint") return String(value)
  if (value instanceof Float) return Number.isFinite(value.value) ? value.text : "null"
  if (Array.isArray(value)) return `[${value.map((item) => write(item, style)).join(style.comma)}]`
  if (typeof value !== "object" || value === null) return "null"
  let fields = ""
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined) continue
    fields += `${fields === "" ? "" : style.comma}${text(key, style.ascii)}${style.colon}${write(field, style)}`
  }
  return `{${fields}}`
}
