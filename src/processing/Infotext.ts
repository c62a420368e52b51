/**
 * Infotext: the generation parameters of an image in stable-diffusion-webui's format: prompt, negative prompt, and one
 * line of `Key: value` pairs. It is stored in the image (PNG `parameters` chunk) and read by every tool of that family.
 *
 * `format` writes it; `parse` reads what the webui, Forge, ComfyUI and Serena write. A text that lost its line ends is
 * split where they were, and JSON of other programs is read by `JsonInfotext`. `InfotextDefaults` holds the values of
 * absent keys, and `InfotextRequest` converts the result to a request.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { pythonFloat } from "../core/Text.ts"
import { atOnce, away, inTurns, type Parts } from "../core/Work.ts"
import * as Styles from "../prompt/Styles.ts"
import * as InfotextDefaults from "./InfotextDefaults.ts"
import * as JsonInfotext from "./JsonInfotext.ts"

/**
 * A prompt as an infotext holds it: without the blanks at the ends of its lines, and without empty lines around it.
 */
export const trimmed = (prompt: string): string => strip(prompt.split("\n").map(strip).join("\n"))

/** A pair's value: a string, an integer, or a `Float`, which is written as Python writes it (`7.0`). */
export type InfotextValue = string | number | bigint | Float | undefined

export interface Float {
  readonly float: number
}

/** A number that is written as a `Float`; a negative zero as zero. */
export const float = (value: number): Float => ({ float: value + 0 })

/** A value as it is read back: without quotes. */
export const textOf = (value: string | number | bigint | Float): string =>
  typeof value === "object" ? pythonFloat(value.float) : String(value)

/** A value as written after its key: quoted as JSON if it contains a comma, a colon or a newline. */
export const quote = (value: string): string => /[,:\n]/.test(value) ? JSON.stringify(value) : value

/**
 * The infotext. Pairs keep their order; those whose value is `undefined` are omitted, and a value that equals its key
 * is written as the key alone.
 */
export const format = (options: {
  readonly prompt: string
  readonly negativePrompt: string
  readonly parameters: ReadonlyArray<readonly [key: string, value: InfotextValue]>
}): string => {
  const pairs = options.parameters.flatMap(([key, value]) => {
    if (value === undefined) return []
    if (value === key) return [key]
    return [`${key}: ${quote(textOf(value))}`]
  })
  const negative = options.negativePrompt === "" ? "" : `\nNegative prompt: ${options.negativePrompt}`
  return strip(`${options.prompt}${negative}\n${pairs.join(", ")}`)
}

/** The value of a key: a string if read from the text; numbers, flags and lists are derived. */
export type Field = string | number | boolean | ReadonlyArray<string>

/** Fields by their keys, in the order of the text. */
export type Fields = Readonly<Record<string, Field>>

export interface Parsed {
  /** The values read and derived: `Prompt`, `Negative prompt`, then the pairs. */
  readonly fields: Fields
  /** The values of absent keys. */
  readonly defaults: Fields
  /** Sentences about how an unusual text was read. */
  readonly notes: ReadonlyArray<string>
  /** Why no prompt can be read from a text that is not an infotext, such as JSON. */
  readonly unreadable?: string
}

/** A named addition to prompts. */
export interface Style {
  readonly name: string
  readonly prompt: string
  readonly negativePrompt: string
}

export interface ParseOptions {
  /** Styles to look for at the end of the prompts, or around them; those found are listed in `Styles array`. */
  readonly styles?: ReadonlyArray<Style> | undefined
  /** Whether texts of old versions get the settings that generate the same image today; on by default. */
  readonly backcompat?: boolean | undefined
}

/**
 * Reads any text. A text without a line of parameters is read as a prompt.
 *
 * Never fails, and takes time in proportion to the text's length.
 */
export const parse = (text: string, options: ParseOptions = {}): Parsed => {
  const read = readAny(text)
  const fields = new Map<string, Field>()
  for (const [key, written] of read.pairs) {
    if (written === "") continue
    const value = read.quoted ? unquote(written) : written
    const [, first, second] = /^(\p{Nd}+)x(\p{Nd}+)$/u.exec(value) ?? []
    if (first === undefined || second === undefined) {
      fields.set(key, value)
    } else {
      fields.set(`${key}-1`, first)
      fields.set(`${key}-2`, second)
    }
  }
  const styles = options.styles ?? []
  const found = atOnce(searching(read.prompts, styles))
  const isExact = !InfotextDefaults.isOwn(Object.fromEntries(fields)) ||
    (!fields.has("Hires prompt") && !fields.has("Hires negative prompt") && isMerged(read.prompts, found, styles))
  const prompts = isExact ? found : { ...read.prompts, styles: [] }
  fields.delete("Prompt")
  fields.delete("Negative prompt")
  if (prompts.styles.length > 0) fields.set("Styles array", prompts.styles)
  const settled = InfotextDefaults.settle({
    prompt: prompts.prompt,
    negativePrompt: prompts.negativePrompt,
    fields,
    backcompat: options.backcompat ?? true
  })
  return {
    ...settled,
    notes: read.notes,
    ...(read.unreadable !== undefined && { unreadable: read.unreadable })
  }
}

/**
 * The same, away from the main thread for long texts. Styles, of which there may be very many, are looked for in turns
 * with other fibers.
 */
export const parsing = Effect.fnUntraced(function*(text: string, { backcompat, styles = [] }: ParseOptions = {}) {
  const effort = text.length * 32
  const found = styles.length === 0 ? [] : yield* findingStyles(text, styles, effort)
  return yield* away({ module, parts: parseWork, lane: "requests" }, [text, { backcompat, styles: found }], effort)
})

const module = import.meta.url

// Those that are not found make no difference, and need not go to another thread.
const findingStyles = Effect.fnUntraced(function*(text: string, styles: ReadonlyArray<Style>, effort: number) {
  const prompts = yield* away({ module, parts: promptsWork, lane: "requests" }, [text], effort)
  return (yield* inTurns(() => searching(prompts, styles))).found
})

export function* promptsWork(text: string): Parts<Prompts> {
  return readAny(text).prompts
}

export function* parseWork(text: string, options: ParseOptions): Parts<Parsed> {
  return parse(text, options)
}

/** Prompts and pairs of a text, as written. */
interface Read {
  readonly prompts: Prompts
  readonly pairs: ReadonlyArray<Pair>
  /** Whether values can be JSON strings. */
  readonly quoted: boolean
  readonly notes: ReadonlyArray<string>
  readonly unreadable?: string
}

const readAny = (text: string): Read => JsonInfotext.isMeant(text) ? readJson(text) : readText(text)

const readJson = (text: string): Read => {
  const json = JsonInfotext.read(text)
  const unreadable = json === undefined
    ? "the text looks like JSON but is invalid"
    : json.prompt === undefined
    ? `the text is JSON by ${json.program} without a readable prompt`
    : undefined
  return {
    prompts: { prompt: json?.prompt ?? "", negativePrompt: json?.negativePrompt ?? "" },
    pairs: json?.parameters ?? [],
    quoted: false,
    notes: json === undefined ? [] : [`The parameters are JSON by ${json.program}.`, ...json.notes],
    ...(unreadable !== undefined && { unreadable })
  }
}

const readText = (text: string): Read => {
  const written = linesOf(strip(text))
  const { lines, parameters, ...lost } = withParameters(written)
  const pairs = pairsOf(parameters)
  // A text by Serena keeps its lines: a label within a line is part of the prompt.
  const isOwn = !lost.wasSplit && pairs.some(([key, value]) => key === "Version" && value.startsWith("serena-"))
  const { prompts, wasSplit } = isOwn ? { prompts: lines, wasSplit: false } : withLabel(lines)
  return {
    prompts: promptsOf(prompts),
    pairs,
    quoted: true,
    notes: [
      ...(lost.wasSplit || wasSplit || (written.length > 1 && !text.includes("\n"))
        ? ["The infotext lost its line ends. It was split before \"Negative prompt:\" and \"Steps:\"."]
        : []),
      ...(pairs.length === mostPairs ? [`The infotext was read up to its parameter ${mostPairs}.`] : []),
      ...lost.notes
    ]
  }
}

// Some programs write line ends as the two characters of an escape, or as CR.
const linesOf = (text: string): ReadonlyArray<string> => {
  if (text.includes("\n")) return text.split("\n")
  return text.split(/\\n(?=Steps: )/).length === 2 ? text.split("\\n") : text.split("\r")
}

// "Steps", and a pair after it.
const parametersStart = /Steps: {0,4}\d{1,9} {0,4},/

const withParameters = (lines: ReadonlyArray<string>): {
  readonly lines: ReadonlyArray<string>
  /** The line of parameters; empty when there is none. */
  readonly parameters: string
  readonly wasSplit: boolean
  readonly notes: ReadonlyArray<string>
} => {
  const last = lines.at(-1) ?? ""
  const hasPairs = (text: string) => pairsOf(text, 3).length >= 3
  const rest = { lines: lines.slice(0, -1), wasSplit: false, notes: [] }
  const within = last.search(parametersStart)
  const [before, after] = [last.slice(0, Math.max(0, within)), last.slice(Math.max(0, within))]
  if (within > 0 && hasPairs(after) && !isPairs(before)) {
    return { ...rest, lines: [...rest.lines, before], parameters: after, wasSplit: true }
  }
  if (within >= 0 && hasPairs(last)) return { ...rest, parameters: last }
  // Other lines may follow, such as templates of extensions, or the parameters may be broken into lines.
  const start = lines.findLastIndex((line) => /^\s{0,4}Steps: {0,4}\d{1,9} {0,4},/.test(line))
  const joined = start < 0 ? "" : lines.slice(start).map((line) => strip(line).replace(/,$/, "")).join(", ")
  if (start >= 0 && start < lines.length - 1 && hasPairs(joined)) {
    const notes = ["The infotext continues after its line of parameters; text there that is no parameter was ignored."]
    return { lines: lines.slice(0, start), parameters: joined, wasSplit: false, notes }
  }
  return hasPairs(last) ? { ...rest, parameters: last } : { ...rest, lines, parameters: "" }
}

// Whether a piece of a line consists of pairs only, as programs write them that do not begin with the steps.
const isPairs = (text: string): boolean => !text.includes(label) && onlyPairs.test(text)

const onlyPairs = /^\s*(?:[\p{Lu}\p{Lo}][\p{L}\p{N}_ /-]{0,60}:(?:[^",:]+| *"(?:[^"\\]|\\.)+"),\s*)+$/u

// Splits a line before a label, if no line begins with it.
const withLabel = (lines: ReadonlyArray<string>): { prompts: ReadonlyArray<string>; wasSplit: boolean } => {
  const at = lines.some((line) => strip(line).startsWith(label)) ? -1 : lines.findIndex((line) => line.includes(label))
  const line = lines[at]
  if (line === undefined) return { prompts: lines, wasSplit: false }
  const start = line.indexOf(label)
  return {
    prompts: [...lines.slice(0, at), line.slice(0, start), line.slice(start), ...lines.slice(at + 1)],
    wasSplit: true
  }
}

/** All fields: the values of the text over the defaults. */
export const withDefaults = ({ defaults, fields }: Pick<Parsed, "defaults" | "fields">): Fields => ({
  ...fields,
  ...defaults
})

// White space as Python's `strip` defines it.
const isSpace = (code: number): boolean =>
  code === 32 || (code >= 9 && code <= 13) || (code >= 28 && code <= 31) || code === 0x85 || code === 0xA0 ||
  code === 0x1680 || (code >= 0x2000 && code <= 0x200A) || code === 0x2028 || code === 0x2029 || code === 0x202F ||
  code === 0x205F || code === 0x3000

const strip = (text: string): string => {
  let [start, end] = [0, text.length]
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

const label = "Negative prompt:"

interface Prompts {
  readonly prompt: string
  readonly negativePrompt: string
}

const promptsOf = (lines: ReadonlyArray<string>): Prompts => {
  const stripped = lines.map(strip)
  const first = stripped.findIndex((line) => line.startsWith(label))
  const end = first < 0 ? stripped.length : first
  return {
    prompt: joined(stripped.slice(0, end)),
    negativePrompt: joined(
      stripped.slice(end).map((line) => line.startsWith(label) ? strip(line.slice(label.length)) : line)
    )
  }
}

// Empty lines before the first words do not count.
const joined = (lines: ReadonlyArray<string>): string => {
  const first = lines.findIndex((line) => line !== "")
  return first < 0 ? "" : lines.slice(first).join("\n")
}

type Pair = readonly [key: string, value: string]

/** Most pairs that are read from one text. */
const mostPairs = 5000

// Finds pairs in one pass. A key is matched character by character: a regular expression would start again at each
// character of a long word that is not a key.
const pairsOf = (line: string, most = mostPairs): ReadonlyArray<Pair> => {
  const pairs: Array<Pair> = []
  let at = 0
  // The end of an unclosed list or object is searched for only once.
  let mayClose: boolean = true
  // Where the current key began, and how many characters it has.
  let [start, length] = [-1, 0]
  while (at < line.length && pairs.length < most) {
    const character = String.fromCodePoint(line.codePointAt(at) ?? 0)
    if (character === ":" && length >= 2) {
      const json: JsonPiece | undefined = mayClose ? jsonAt(line, at + 1) : undefined
      mayClose &&= json?.closes !== false
      const value = json?.closes === true ? json : valueAt(line, at + 1)
      pairs.push([line.slice(start, at), value.text])
      at = value.next
      length = 0
      continue
    }
    if (isWord(character)) {
      if (length === 0) start = at
      length++
    } else {
      length = length > 0 && isInKey(character) ? length + 1 : 0
    }
    at += character.length
  }
  return pairs
}

const isInKey = (character: string): boolean => character === " " || character === "-" || character === "/"

const isWord = (character: string): boolean =>
  (character >= "a" && character <= "z") || (character >= "A" && character <= "Z") || /[\p{L}\p{N}_]/u.test(character)

// The value after a colon, and where to continue.
const valueAt = (line: string, afterColon: number): { readonly text: string; readonly next: number } => {
  let at = afterColon
  while (at < line.length && isSpace(line.charCodeAt(at))) at++
  const quoted = line[at] === "\"" ? closingQuote(line, at) : -1
  if (quoted > at + 1 && (quoted + 1 === line.length || line[quoted + 1] === ",")) {
    return { text: line.slice(at, quoted + 1), next: quoted + 2 }
  }
  const comma = line.indexOf(",", at)
  const end = comma < 0 ? line.length : comma
  return { text: line.slice(at, end), next: end + 1 }
}

type JsonPiece = { readonly closes: true; readonly text: string; readonly next: number } | { readonly closes: false }

// A list or an object of JSON, which other programs write without quotes. It has commas and colons of its own.
const jsonAt = (line: string, afterColon: number): JsonPiece | undefined => {
  jsonStart.lastIndex = afterColon
  const opening = jsonStart.exec(line)?.[0]
  if (opening === undefined) return undefined
  const start = afterColon + opening.search(/[[{]/)
  let depth = 0
  for (let at = start; at < line.length; at++) {
    const character = line[at]
    if (character === "[" || character === "{") depth++
    else if (character === "\"") at = closingQuote(line, at)
    else if ((character === "]" || character === "}") && --depth === 0) {
      const end = at + 1
      return end === line.length || line[end] === ","
        ? { closes: true, text: line.slice(start, end), next: end + 1 }
        : undefined
    }
    if (at < 0) break
  }
  return { closes: false }
}

const jsonStart = /\s{0,4}(?:\{\s{0,4}["}]|\[\s{0,4}[{["\]])/y

const closingQuote = (line: string, opening: number): number => {
  for (let at = opening + 1; at < line.length; at++) {
    if (line[at] === "\\") at++
    else if (line[at] === "\"") return at
  }
  return -1
}

const unquote = (text: string): string => isJsonString(text) ? String(JSON.parse(text)) : text

// Checked first, because many failures of `JSON.parse` would be slow.
const isJsonString = (text: string): boolean => {
  const end = text.length - 1
  if (end < 1 || text[0] !== "\"" || text[end] !== "\"") return false
  for (let at = 1; at < end; at++) {
    if (text[at] === "\"" || text.charCodeAt(at) < 32) return false
    if (text[at] !== "\\") continue
    const escape = text[++at] ?? ""
    if (at === end || !"\"\\/bfnrtu".includes(escape)) return false
    if (escape === "u" && !/^[\da-f]{4}$/i.test(text.slice(at + 1, Math.min(at + 5, end)))) return false
  }
  return true
}

// Whether the styles that were found make the same prompts again. In the prompts of a second pass they are merged, too.
const isMerged = (
  { negativePrompt, prompt }: Prompts,
  found: Prompts & { readonly styles: ReadonlyArray<string> },
  styles: ReadonlyArray<Style>
): boolean => {
  const merged = Styles.apply(styles, found.styles, found)
  return Result.isSuccess(merged) && merged.success.prompt === prompt &&
    merged.success.negativePrompt === negativePrompt
}

/** Styles that are looked at in one part. */
const stylesAtOnce = 64

interface Found extends Prompts {
  /** In the order in which they were applied. */
  readonly styles: ReadonlyArray<string>
  /** The same, in the order of the list. */
  readonly found: ReadonlyArray<Style>
}

/** Removes styles from the prompts, the last one applied first. The work pauses after some styles. */
export function* searching(prompts: Prompts, styles: ReadonlyArray<Style>): Parts<Found> {
  const left = new Map<number, Prompts & { readonly style: Style }>()
  let seen = 0
  for (const [place, style] of styles.entries()) {
    if (++seen % stylesAtOnce === 0) yield
    const { negativePrompt, prompt } = style
    if (prompt === "" && negativePrompt === "") continue
    left.set(place, { style, prompt: singleSpaced(prompt), negativePrompt: singleSpaced(negativePrompt) })
  }
  const names: Array<string> = []
  const found: Array<readonly [place: number, style: Style]> = []
  let { negativePrompt, prompt } = prompts
  for (let searching = true; searching;) {
    searching = false
    const [bare, bareNegative] = [singleSpaced(prompt), singleSpaced(negativePrompt)]
    for (const [place, { style, ...text }] of left) {
      if (++seen % stylesAtOnce === 0) yield
      const without = withoutStyle(bare, text.prompt)
      const negativeWithout = withoutStyle(bareNegative, text.negativePrompt)
      if (without === undefined || negativeWithout === undefined) continue
      prompt = without
      negativePrompt = negativeWithout
      names.unshift(style.name)
      found.push([place, style])
      left.delete(place)
      searching = true
      break
    }
  }
  return { prompt, negativePrompt, styles: names, found: found.sort(([a], [b]) => a - b).map(([, style]) => style) }
}

const singleSpaced = (text: string): string => strip(text).replaceAll(/ {2,}/g, " ")

const withoutStyle = (prompt: string, style: string): string | undefined => {
  const text = singleSpaced(style)
  const place = text.indexOf("{prompt}")
  if (place < 0) {
    if (!prompt.endsWith(text)) return undefined
    const rest = prompt.slice(0, prompt.length - text.length)
    return rest.endsWith(", ") ? rest.slice(0, -2) : rest
  }
  const [before, after] = [text.slice(0, place), text.slice(place + "{prompt}".length)]
  return prompt.length >= before.length + after.length && prompt.startsWith(before) && prompt.endsWith(after)
    ? prompt.slice(before.length, prompt.length - after.length)
    : undefined
}
