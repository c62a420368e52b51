/**
 * Styles: named texts that are merged into prompt and negative prompt (stable-diffusion-webui 1.10.1, `styles.csv`).
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import type { Parts } from "../core/Work.ts"
import { trim } from "./Characters.ts"

export interface PromptStyle {
  readonly name: string
  readonly prompt: string
  readonly negativePrompt: string
}

/** Both prompts of a request, which styles are merged into. */
export interface PromptPair {
  readonly prompt: string
  readonly negativePrompt: string
}

/**
 * Longest text that styles may make of a prompt. Each style can multiply the prompt, so a few could fill all memory.
 */
export const longestPrompt = 1_000_000

/** Styles that would make a prompt of more than `longestPrompt` characters. */
export class StyledPromptTooLong extends Schema.TaggedError<StyledPromptTooLong>()("StyledPromptTooLong", {
  style: Schema.String,
  length: Schema.Finite
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `With the style "${this.style}" the prompt has ${this.length} characters; at most ${longestPrompt} are read. ` +
      "Name fewer styles."
  }
}

const placeholder = "{prompt}"

/**
 * A style's text with a prompt in it: at every `{prompt}`, or else before the style, joined with a comma. Both are
 * trimmed then, and an empty one leaves the other alone.
 */
export const merge = (style: string, prompt: string): string =>
  style.includes(placeholder)
    ? style.split(placeholder).join(prompt)
    : [trim(prompt), trim(style)].filter((text) => text !== "").join(", ")

// An upper bound of the length of what `merge` returns, without merging.
const mergedLength = (style: string, prompt: string): number =>
  style.length + Math.max(1, style.split(placeholder).length - 1) * prompt.length + 2

/** Merges the named styles in the order of their names. Unknown names do nothing. */
export const apply = (
  styles: ReadonlyArray<PromptStyle>,
  names: ReadonlyArray<string>,
  pair: PromptPair
): Result.Result<PromptPair, StyledPromptTooLong> => {
  const byName = new Map(styles.map((style) => [style.name, style]))
  let { negativePrompt, prompt } = pair
  for (const name of names) {
    const style = byName.get(name)
    if (style === undefined) continue
    const length = Math.max(mergedLength(style.prompt, prompt), mergedLength(style.negativePrompt, negativePrompt))
    if (length > longestPrompt) return Result.fail(new StyledPromptTooLong({ style: name, length }))
    prompt = merge(style.prompt, prompt)
    negativePrompt = merge(style.negativePrompt, negativePrompt)
  }
  return Result.succeed({ prompt, negativePrompt })
}

/** A row that is not a style or replaces one, and the line on which it begins. */
export interface RowProblem {
  readonly line: number
  readonly message: string
}

/**
 * Reads a `styles.csv`: columns `name`, `prompt` (`text` in old files) and `negative_prompt`, in any order.
 *
 * Fields may be quoted and then hold commas, newlines and doubled quotes. Empty rows and rows whose name begins with
 * `#` are left out. A row that cannot be read is left out and reported; of styles with one name the last counts.
 *
 * The work pauses after some fields.
 */
export function* parsing(
  csv: string
): Parts<{ readonly styles: ReadonlyMap<string, PromptStyle>; readonly problems: ReadonlyArray<RowProblem> }> {
  const problems: Array<RowProblem> = []
  const styles = new Map<string, PromptStyle>()
  const rows = readRows(csv.startsWith("\ufeff") ? csv.slice(1) : csv)
  const header = yield* nextRow(rows)
  if (header === undefined) return { styles, problems }
  const names = header.fields.map(trim)
  const nameAt = names.indexOf("name")
  const promptAt = names.includes("prompt") ? names.indexOf("prompt") : names.indexOf("text")
  const negativeAt = names.indexOf("negative_prompt")
  if (nameAt === -1 || promptAt === -1) {
    const message = `the columns are ${names.join(", ")}; name and prompt are required`
    return { styles, problems: [{ line: header.line, message }] }
  }

  for (let row = yield* nextRow(rows); row !== undefined; row = yield* nextRow(rows)) {
    const { fields, line, tooLong, unclosed } = row
    const name = fields[nameAt] ?? ""
    const prompt = fields[promptAt]
    const report = (message: string) => problems.push({ line, message })
    if (name.startsWith("#")) continue
    if (unclosed) {
      report("a quoted field is not closed")
    } else if (tooLong !== undefined) {
      report(`a text has ${tooLong} characters; at most ${longestPrompt} are read`)
    } else if (fields.length > names.length) {
      report(`there are ${fields.length} fields for ${names.length} columns; a text with commas must be quoted`)
    } else if (name === "") {
      report("the style has no name")
    } else if (prompt === undefined) {
      report(`the style "${name}" has no prompt`)
    } else {
      if (styles.delete(name)) report(`the style "${name}" is defined more than once; this one is used`)
      styles.set(name, { name, prompt, negativePrompt: fields[negativeAt] ?? "" })
    }
  }
  return { styles, problems }
}

interface Row {
  readonly line: number
  readonly fields: ReadonlyArray<string>
  readonly unclosed: boolean
  /** Length of a field that is longer than a prompt may be, and is left empty. */
  readonly tooLong: number | undefined
}

/** Fields, quotes or line ends that are read in one part. */
const readAtOnce = 256

type Rows = Generator<Row | undefined, void>

// The next row, after pauses; `undefined` at the end.
function* nextRow(rows: Rows): Parts<Row | undefined> {
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

// Rows of a CSV text, without the empty ones, and `undefined` for a pause. Spaces before a field are not part of it;
// text after a closing quote is.
function* readRows(csv: string): Rows {
  let line = 1
  let read = 0
  let at = 0
  let row: { readonly line: number; readonly fields: Array<string>; tooLong: number | undefined } = {
    line,
    fields: [],
    tooLong: undefined
  }
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
      if (stop - start > longestPrompt) row.tooLong = stop - start
      else quoted = csv.slice(start, stop).replaceAll("\"\"", "\"")
      for (let found = nextMatch(lineEnd, csv, start); found !== null && found.index < stop;) {
        if (++read % readAtOnce === 0) yield
        line++
        found = nextMatch(lineEnd, csv, found.index + found[0].length)
      }
    }
    const end = nextMatch(fieldEnd, csv, at)?.index ?? csv.length
    if (end - at > longestPrompt) row.tooLong = end - at
    row.fields.push(row.tooLong === undefined ? quoted + csv.slice(at, end) : "")
    at = end + (csv.startsWith("\r\n", end) ? 2 : 1)
    if (csv[end] === ",") continue
    if (row.fields.length > 1 || row.fields[0] !== "" || row.tooLong !== undefined) yield { ...row, unclosed }
    if (end < csv.length) line++
    row = { line, fields: [], tooLong: undefined }
  }
}
