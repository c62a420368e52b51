/**
 * Styles: named texts that are merged into prompt and negative prompt (stable-diffusion-webui 1.10.1, `styles.csv`).
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Csv from "../core/Csv.ts"
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
  const rows = Csv.rows(csv, longestPrompt)
  const header = yield* Csv.next(rows)
  if (header === undefined) return { styles, problems }
  const { nameAt, names, negativeAt, problem, promptAt } = columnsOf(header)
  if (problem !== undefined) return { styles, problems: [{ line: header.line, message: problem }] }

  for (let row = yield* Csv.next(rows); row !== undefined; row = yield* Csv.next(rows)) {
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

// What the columns of a file hold; a problem where they are no styles.
const columnsOf = ({ fields }: Csv.Row) => {
  const names = fields.map(trim)
  const nameAt = names.indexOf("name")
  const promptAt = names.includes("prompt") ? names.indexOf("prompt") : names.indexOf("text")
  const problem = nameAt === -1 || promptAt === -1
    ? `the columns are ${names.join(", ")}; name and prompt are required`
    : undefined
  return { names, nameAt, promptAt, negativeAt: names.indexOf("negative_prompt"), problem }
}

const columns = ["name", "prompt", "negative_prompt"]

/**
 * A `styles.csv` with one style more, changed, or removed (`style` is left out). All other rows stay as they are
 * written, and so do further columns. Fails with a clause that says why the file cannot be changed.
 *
 * The work pauses after some fields.
 */
export function* editing(
  csv: string,
  name: string,
  style?: Omit<PromptStyle, "name">
): Parts<Result.Result<string, string>> {
  const lineEnd = /\r?\n|\r/.exec(csv)?.[0] ?? "\n"
  const rows = Csv.rows(csv, longestPrompt)
  const header = yield* Csv.next(rows)
  const known = header ?? { fields: columns, line: 1, from: 0, to: 0, unclosed: false, tooLong: undefined }
  const { nameAt, names, negativeAt, problem, promptAt } = columnsOf(known)
  if (problem !== undefined) return Result.fail(problem)
  if (style !== undefined && style.negativePrompt !== "" && negativeAt === -1) {
    return Result.fail("it has no column negative_prompt")
  }
  const own: Array<Csv.Row> = []
  for (let row = yield* Csv.next(rows); row !== undefined; row = yield* Csv.next(rows)) {
    if (row.unclosed) return Result.fail(`a quoted field that begins on line ${row.line} is not closed`)
    if (row.fields[nameAt] === name) own.push(row)
  }
  const last = own.at(-1)
  if (style === undefined) {
    return Result.succeed(
      own.reduceRight((text, { from, to }) => text.slice(0, from) + text.slice(to), csv)
    )
  }
  const fields = names.map((_, at) =>
    at === nameAt
      ? name
      : at === promptAt
      ? style.prompt
      : at === negativeAt
      ? style.negativePrompt
      : last?.fields[at] ?? ""
  )
  const row = Csv.written(fields) + lineEnd
  if (last !== undefined) return Result.succeed(csv.slice(0, last.from) + row + csv.slice(last.to))
  const before = header === undefined ? Csv.written(columns) + lineEnd : csv
  return Result.succeed(`${before}${/[\r\n]$/.test(before) ? "" : lineEnd}${row}`)
}
