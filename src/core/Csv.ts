/**
 * Reads comma-separated values in parts, so that a large file does not hold up other work.
 */
import type { Parts } from "./Work.ts"

/** A row that is not empty, and the line on which it begins. */
export interface Row {
  readonly line: number
  /** Where it begins in the text without a byte order mark, and where the next one does. */
  readonly from: number
  readonly to: number
  readonly fields: ReadonlyArray<string>
  /** Whether a quoted field goes on to the end of the text. */
  readonly unclosed: boolean
  /** Length of a field that is too long, and is left empty. */
  readonly tooLong: number | undefined
}

/** Fields, quotes or line ends that are read in one part. */
const readAtOnce = 256

/** Rows as they are read, and `undefined` for a pause. */
export type Rows = Generator<Row | undefined, void>

/** The next row, after pauses; `undefined` at the end. */
export function* next(rows: Rows): Parts<Row | undefined> {
  for (;;) {
    const { done = false, value } = rows.next()
    if (done || value !== undefined) return value ?? undefined
    yield
  }
}

const lineEnd = /\r\n|[\r\n]/g
const fieldEnd = /[,\r\n]|$/g
const notSpace = /[^ ]|$/g

// Where a pattern next matches from a place on.
const nextMatch = (pattern: RegExp, text: string, from: number): RegExpExecArray | null => {
  pattern.lastIndex = from
  return pattern.exec(text)
}

/**
 * The rows of a text, without the empty ones. Fields may be quoted and then hold commas, newlines and doubled quotes.
 * Spaces before a field are not part of it; text after a closing quote is. Fields of more than `longest` characters are
 * left empty.
 */
export function* rows(text: string, longest: number): Rows {
  const csv = text.startsWith("\ufeff") ? text.slice(1) : text
  let line = 1
  let read = 0
  let at = 0
  let row: {
    readonly line: number
    readonly from: number
    readonly fields: Array<string>
    tooLong: number | undefined
  } = { line, from: at, fields: [], tooLong: undefined }
  while (at <= csv.length) {
    if (++read % readAtOnce === 0) yield
    at = nextMatch(notSpace, csv, at)?.index ?? csv.length
    let quoted = ""
    let unclosed = false
    if (csv[at] === "\"") {
      const start = at + 1
      let end = csv.indexOf("\"", start)
      while (end !== -1 && csv[end + 1] === "\"") {
        if (++read % readAtOnce === 0) yield
        end = csv.indexOf("\"", end + 2)
      }
      unclosed = end === -1
      at = unclosed ? csv.length : end + 1
      const stop = unclosed ? at : end
      if (stop - start > longest) row.tooLong = stop - start
      else quoted = csv.slice(start, stop).replaceAll("\"\"", "\"")
      for (let found = nextMatch(lineEnd, csv, start); found !== null && found.index < stop;) {
        if (++read % readAtOnce === 0) yield
        line++
        found = nextMatch(lineEnd, csv, found.index + found[0].length)
      }
    }
    const end = nextMatch(fieldEnd, csv, at)?.index ?? csv.length
    if (end - at > longest) row.tooLong = end - at
    row.fields.push(row.tooLong === undefined ? quoted + csv.slice(at, end) : "")
    at = end + (csv.startsWith("\r\n", end) ? 2 : 1)
    if (csv[end] === ",") continue
    const to = Math.min(at, csv.length)
    if (row.fields.length > 1 || row.fields[0] !== "" || row.tooLong !== undefined) yield { ...row, to, unclosed }
    if (end < csv.length) line++
    row = { line, from: to, fields: [], tooLong: undefined }
  }
}

/** A row as it is written, without a line end. */
export const written = (fields: ReadonlyArray<string>): string =>
  fields.map((field) => /^ |[",\r\n]/.test(field) ? `"${field.replaceAll("\"", "\"\"")}"` : field).join(",")
