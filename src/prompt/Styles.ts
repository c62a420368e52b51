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
  const names = header.fields.map(trim)
  const nameAt = names.indexOf("name")
  const promptAt = names.includes("prompt") ? names.indexOf("prompt") : names.indexOf("text")
  const negativeAt = names.indexOf("negative_prompt")
  if (nameAt === -1 || promptAt === -1) {
    const message = `the columns are ${names.join(", ")}; name and prompt are required`
    return { styles, problems: [{ line: header.line, message }] }
  }

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
