/**
 * Dynamic prompts: texts with choices, from which each image draws its own, in the syntax of the extension
 * sd-dynamic-prompts.
 *
 * - `{a|b|c}` is one of the options, `{2::a|b}` prefers some, `{2$$a|b|c}` takes several, `{1-3$$ and $$a|b|c}` takes
 *   one to three and joins them with ` and ` instead of a comma.
 * - `__name__` is a line of the wildcard `name`, `__animals/*__` a line of all wildcards in a folder.
 *
 * Options and lines can hold choices themselves. `\{`, `\}`, `\|` and `\__` are the signs themselves.
 *
 * What is drawn depends on the text, the seed and the wildcards, and on nothing else.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import * as Seed from "../core/Seed.ts"
import { trim } from "./Characters.ts"

/** A text that was read: words and the choices between them. */
export interface Template {
  readonly pieces: ReadonlyArray<Piece>
}

export type Piece = Choice | Wildcard | string

/** `{…|…}`: so many of its options, from `least` to `most`. */
export interface Choice {
  readonly _tag: "Choice"
  readonly least: number
  /** `Infinity` for all. */
  readonly most: number
  /** What stands between the options that are taken; absent where one is taken as it is written. */
  readonly separator: string | undefined
  readonly options: ReadonlyArray<Option>
}

/** One of several texts, and how often it is taken in relation to the others. */
export interface Option {
  readonly weight: number
  readonly template: Template
  /** File and line of a wildcard's line. */
  readonly source?: string | undefined
}

/** `__pattern__`: a line of the wildcards that the pattern fits. */
export interface Wildcard {
  readonly _tag: "Wildcard"
  readonly pattern: string
  /** Where it stands in the text, in UTF-16 units from 0. */
  readonly at: number
}

/** What a pattern stands for. */
export interface WildcardLines {
  readonly lines: ReadonlyArray<Option>
  /** Phrases about files and lines that cannot be read. */
  readonly problems: ReadonlyArray<string>
}

/** Finds the lines of all wildcards that a pattern fits, or says why there are none. */
export type Lookup = (pattern: string) => Result.Result<WildcardLines, string>

/** A text that is no template, or cannot be expanded. */
export class InvalidTemplate extends Schema.TaggedError<InvalidTemplate>()("InvalidTemplate", {
  /** Where in the text, in UTF-16 units from 0. */
  at: Schema.Int,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `at character ${this.at + 1}: ${this.reason}`
  }
}

/** Deepest nesting of braces. */
export const deepestBraces = 32

/** Longest chain of wildcards whose lines name others. */
export const deepestWildcards = 32

/** Most options that one choice takes. */
export const mostTaken = 1000

// Most asterisks of a pattern.
const mostStars = 4

// Most pieces of one text: wildcards that name one another several times could go on for ever.
const mostPieces = 100_000

/** Most problems that are named. */
const mostNamed = 20

/** Reads a text. */
export const parse = (text: string): Result.Result<Template, InvalidTemplate> => {
  const reader: Reader = { text, at: 0 }
  const read = readPieces(reader, 0)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  return reader.at < text.length
    ? invalid(reader.at, "this } closes no brace. Remove it, or write \\} for the sign itself")
    : Result.succeed({ pieces: read.success })
}

/** Whether a text has anything that `parse` would read as more than words. */
export const isDynamic = (text: string): boolean => /[{}]|__/.test(text)

/** Reads a line of a wildcard, which may begin with its weight: `2::red`. */
export const parseLine = (line: string): Result.Result<Option, InvalidTemplate> => {
  const { end, weight } = weightAt(line, 0)
  return Result.map(
    Result.mapError(parse(line.slice(end)), ({ at, reason }) => new InvalidTemplate({ at: at + end, reason })),
    (template) => ({ weight, template })
  )
}

/** All wildcards that a template names, in their order, also those in options that may not be taken. */
export const wildcardsOf = ({ pieces }: Template): ReadonlyArray<Wildcard> =>
  pieces.flatMap((piece): ReadonlyArray<Wildcard> =>
    typeof piece === "string"
      ? []
      : piece._tag === "Wildcard"
      ? [piece]
      : piece.options.flatMap(({ template }) => wildcardsOf(template))
  )

/**
 * All that keeps a template from being expanded, whatever is drawn: unknown wildcards, and lines that are no templates,
 * also in wildcards that only other wildcards name.
 */
export const problemsOf = (template: Template, lookup: Lookup): ReadonlyArray<InvalidTemplate> => {
  const problems = new Map<string, InvalidTemplate>()
  const seen = new Set<string>()
  const look = ({ pattern }: Wildcard, at: number, source: string | undefined): void => {
    if (seen.has(pattern) || problems.size >= mostNamed) return
    seen.add(pattern)
    const found = lookup(pattern)
    const report = (reason: string) => problems.set(reason, new InvalidTemplate({ at, reason }))
    if (Result.isFailure(found)) {
      report(source === undefined ? found.failure : `${source}: ${found.failure}`)
      return
    }
    for (const problem of found.success.problems) report(problem)
    for (const line of found.success.lines) {
      for (const wildcard of wildcardsOf(line.template)) look(wildcard, at, line.source)
    }
  }
  for (const wildcard of wildcardsOf(template)) look(wildcard, wildcard.at, undefined)
  return [...problems.values()].slice(0, mostNamed)
}

/** Draws a text from a template. `stream` keeps apart what is drawn of one seed for several texts. */
export const expand = (
  template: Template,
  { longest, lookup, seed, stream }: {
    readonly seed: Seed.Seed
    readonly stream: string
    readonly lookup: Lookup
    /** Most characters of the result. */
    readonly longest: number
  }
): Result.Result<string, InvalidTemplate> =>
  drawTemplate(template, { random: randomOf(seed, stream), lookup, left: longest, pieces: 0, longest }, [])

interface Reader {
  readonly text: string
  at: number
}

type Read<A> = Result.Result<A, InvalidTemplate>

const invalid = (at: number, reason: string): Result.Result<never, InvalidTemplate> =>
  Result.fail(new InvalidTemplate({ at, reason }))

const wildcardAt = /__([^\s_{}|$](?:(?!__)[^\n{}|$])*)__/y

// Signs that a backslash takes their meaning from.
const escaped = /\\(__|[{}|])/y

const matchAt = (pattern: RegExp, { at, text }: Reader): RegExpExecArray | null => {
  pattern.lastIndex = at
  return pattern.exec(text)
}

// Pieces up to the end of the text, or to the sign that ends the option they are in.
const readPieces = (reader: Reader, depth: number): Read<ReadonlyArray<Piece>> => {
  const { text } = reader
  const pieces: Array<Piece> = []
  let words = ""
  const flush = () => {
    if (words !== "") pieces.push(words)
    words = ""
  }
  while (reader.at < text.length) {
    const sign = text[reader.at] ?? ""
    if (sign === "}" || (sign === "|" && depth > 0)) break
    const literal = sign === "\\" ? matchAt(escaped, reader) : null
    const wildcard = sign === "_" ? matchAt(wildcardAt, reader) : null
    if (literal !== null) {
      words += literal[1] ?? ""
      reader.at += literal[0].length
    } else if (wildcard !== null) {
      flush()
      const pattern = trim(wildcard[1] ?? "").replace(/^~/, "")
      const problem = patternProblem(pattern)
      if (problem !== undefined) return invalid(reader.at, problem)
      pieces.push({ _tag: "Wildcard", pattern, at: reader.at })
      reader.at += wildcard[0].length
    } else if (sign === "$" && text[reader.at + 1] === "{") {
      return invalid(reader.at, "variables (${…}) are not supported. Write the text itself, or a wildcard")
    } else if (sign === "{") {
      flush()
      const choice = readChoice(reader, depth + 1)
      if (Result.isFailure(choice)) return Result.fail(choice.failure)
      pieces.push(choice.success)
    } else {
      words += sign
      reader.at++
    }
  }
  flush()
  return Result.succeed(pieces)
}

const patternProblem = (pattern: string): string | undefined =>
  pattern.startsWith("@")
    ? `__${pattern}__ asks for its lines in turn, which is not supported. Remove the @ to draw one`
    : pattern.split(/\*+/).length > mostStars + 1
    ? `__${pattern}__ has more than ${mostStars} asterisks. Name the folder that holds the files, as in __animals/**__`
    : /^[/\\]|\\|(?:^|\/)\.\.?(?:\/|$)/.test(pattern)
    ? `__${pattern}__ leads out of the folder of wildcards. Name a file in it, like __animals/dogs__`
    : undefined

const rangeAt = /\s*(?:(\d{1,6})\s*(-)?\s*(\d{1,6})?|-\s*(\d{1,6}))\s*\$\$/y
const separatorAt = /([^{}$]*)\$\$/y

// A choice, from its opening brace on.
const readChoice = (reader: Reader, depth: number): Read<Choice> => {
  const start = reader.at
  if (depth > deepestBraces) return invalid(start, `braces are nested deeper than ${deepestBraces}`)
  reader.at++
  if (/^[~@]/.test(reader.text.slice(reader.at, reader.at + 1))) {
    if (reader.text[reader.at] === "@") {
      return invalid(start, "{@…} asks for its options in turn, which is not supported. Remove the @ to draw one")
    }
    reader.at++
  }
  const range = matchAt(rangeAt, reader)
  let separator: string | undefined
  if (range !== null) {
    reader.at += range[0].length
    const own = matchAt(separatorAt, reader)
    separator = own?.[1] ?? ", "
    reader.at += own?.[0].length ?? 0
  }
  const [least, most] = range === null ? [1, 1] : boundsOf(range)
  if (least > most) return invalid(start, `the range ${least}-${most} ends before it begins`)
  const options: Array<Option> = []
  for (;;) {
    const { end, weight } = weightAt(reader.text, reader.at)
    reader.at = end
    const pieces = readPieces(reader, depth)
    if (Result.isFailure(pieces)) return Result.fail(pieces.failure)
    options.push({ weight, template: { pieces: pieces.success } })
    const sign = reader.text[reader.at]
    if (sign === undefined) {
      return invalid(start, "this { is never closed. Add a }, or write \\{ for the sign itself")
    }
    reader.at++
    if (sign === "}") break
  }
  return options.every(({ weight }) => weight === 0)
    ? invalid(start, "all options have the weight 0. Give one of them more")
    : Result.succeed({ _tag: "Choice", least, most, separator, options })
}

const boundsOf = ([, first, hyphen, last, upTo]: RegExpExecArray): readonly [number, number] => {
  if (upTo !== undefined) return [Math.min(1, Number(upTo)), Number(upTo)]
  const least = Number(first)
  return hyphen === undefined ? [least, least] : [least, last === undefined ? Number.POSITIVE_INFINITY : Number(last)]
}

const weightSign = /\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*::/y

const weightAt = (text: string, at: number): { readonly weight: number; readonly end: number } => {
  const found = matchAt(weightSign, { text, at })
  return found === null ? { weight: 1, end: at } : { weight: Number(found[1]), end: at + found[0].length }
}

interface Drawing {
  readonly random: () => number
  readonly lookup: Lookup
  readonly longest: number
  /** Characters that may still be drawn. */
  left: number
  /** Pieces that were drawn. */
  pieces: number
}

// `within` are the wildcards whose lines are being drawn, the outermost first.
const drawTemplate = ({ pieces }: Template, drawing: Drawing, within: ReadonlyArray<Wildcard>): Read<string> => {
  let text = ""
  for (const piece of pieces) {
    const drawn = typeof piece === "string"
      ? written(piece, drawing, within)
      : piece._tag === "Wildcard"
      ? drawWildcard(piece, drawing, within)
      : drawChoice(piece, drawing, within)
    if (Result.isFailure(drawn)) return drawn
    text += drawn.success
  }
  return Result.succeed(text)
}

const written = (text: string, drawing: Drawing, within: ReadonlyArray<Wildcard>): Read<string> => {
  drawing.left -= text.length
  drawing.pieces++
  const at = within[0]?.at ?? 0
  if (drawing.left < 0) return invalid(at, `the expanded text has more than ${drawing.longest} characters`)
  return drawing.pieces <= mostPieces
    ? Result.succeed(text)
    : invalid(at, `the expanded text has more than ${mostPieces} pieces. Wildcards may name one another too often`)
}

const drawWildcard = (wildcard: Wildcard, drawing: Drawing, within: ReadonlyArray<Wildcard>): Read<string> => {
  const lines = linesOf(wildcard, drawing, within)
  if (Result.isFailure(lines)) return Result.fail(lines.failure)
  const [line] = taken(lines.success, 1, drawing.random)
  return line === undefined ? Result.succeed("") : drawTemplate(line.template, drawing, [...within, wildcard])
}

const linesOf = (
  wildcard: Wildcard,
  drawing: Drawing,
  within: ReadonlyArray<Wildcard>
): Read<ReadonlyArray<Option>> => {
  const at = within[0]?.at ?? wildcard.at
  if (within.length >= deepestWildcards) {
    const chain = [...within.slice(-2), wildcard].map(({ pattern }) => `__${pattern}__`).join(" → ")
    return invalid(at, `wildcards name one another more than ${deepestWildcards} deep: ${chain}`)
  }
  // A line without a word counts as a piece, too.
  const counted = written("", drawing, within)
  if (Result.isFailure(counted)) return Result.fail(counted.failure)
  const found = drawing.lookup(wildcard.pattern)
  return Result.isFailure(found) ? invalid(at, found.failure) : Result.succeed(found.success.lines)
}

// The wildcard of a choice of several lines of one wildcard, each once.
const onlyWildcard = ({ options: [option, ...others], separator }: Choice): Wildcard | undefined => {
  const [piece, ...more] = option?.template.pieces ?? []
  return separator !== undefined && others.length === 0 && more.length === 0 && typeof piece === "object" &&
      piece._tag === "Wildcard"
    ? piece
    : undefined
}

const drawChoice = (choice: Choice, drawing: Drawing, within: ReadonlyArray<Wildcard>): Read<string> => {
  const { least, most, separator } = choice
  const wildcard = onlyWildcard(choice)
  const from = wildcard === undefined ? Result.succeed(choice.options) : linesOf(wildcard, drawing, within)
  if (Result.isFailure(from)) return Result.fail(from.failure)
  const inside = wildcard === undefined ? within : [...within, wildcard]
  const end = Math.min(most, from.success.length, mostTaken)
  const begin = Math.min(least, end)
  const count = begin === end ? begin : begin + Math.floor(drawing.random() * (end - begin + 1))
  const texts: Array<string> = []
  for (const { template } of taken(from.success, count, drawing.random)) {
    const drawn = drawTemplate(template, drawing, inside)
    const joint = Result.isFailure(drawn) || separator === undefined || texts.length === 0
      ? drawn
      : written(separator, drawing, within)
    if (Result.isFailure(drawn)) return drawn
    if (Result.isFailure(joint)) return joint
    texts.push(separator === undefined ? drawn.success : trim(drawn.success))
  }
  return Result.succeed(texts.join(separator ?? ""))
}

// So many of them, each at most once, in the order in which they are drawn. One of weight 0 is never taken.
const taken = (from: ReadonlyArray<Option>, count: number, random: () => number): ReadonlyArray<Option> => {
  const left = from.filter(({ weight }) => weight > 0)
  const chosen: Array<Option> = []
  while (chosen.length < count && left.length > 0) {
    let point = random() * left.reduce((sum, { weight }) => sum + weight, 0)
    let place = 0
    while (place < left.length - 1 && point >= (left[place]?.weight ?? 0)) {
      point -= left[place]?.weight ?? 0
      place++
    }
    chosen.push(...left.splice(place, 1))
  }
  return chosen
}

const bits64 = (value: bigint): bigint => BigInt.asUintN(64, value)

// SplitMix64 (Steele, Lea and Flood 2014), from 0 to below 1. It begins at the seed and a hash (FNV-1a) of the stream's
// name.
const randomOf = (seed: Seed.Seed, stream: string): () => number => {
  let hash = 0xcbf29ce484222325n
  for (const character of stream) hash = bits64((hash ^ BigInt(character.codePointAt(0) ?? 0)) * 0x100000001b3n)
  let state = bits64(Seed.toBigInt(seed) ^ hash)
  return () => {
    state = bits64(state + 0x9e3779b97f4a7c15n)
    let mixed = state
    mixed = bits64((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = bits64((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    return Number((mixed ^ (mixed >> 31n)) >> 11n) / 2 ** 53
  }
}
