/**
 * Attention: `(words)`, `(words:1.2)` and `[words]` weight pieces of a text (stable-diffusion-webui 1.10.1).
 */
import type { Parts } from "../core/Work.ts"
import { placesOfWord, skipWhiteSpace, trimEnd } from "./Characters.ts"
import type { Emphasis } from "./Emphasis.ts"

/** Words and how much they count; see `isBreak` for the one exception. */
export interface Piece {
  readonly text: string
  readonly weight: number
}

const breakWord = "BREAK"

/** Whether a piece is no text but the end of a chunk. */
export const isBreak = ({ text, weight }: Piece): boolean => text === breakWord && weight === -1

const strong = 1.1
const weak = 1 / 1.1

/** A bracket's multiplier reaches a piece through this many brackets within it; deeper ones are without it. */
const deepest = 256

interface Bracket {
  readonly outer: Bracket | undefined
  multiplier: number
  /** Orders brackets as they were closed; those that stay open come last. */
  closed: number
}

interface Token {
  readonly text: string
  readonly weight: number
  readonly round: Bracket | undefined
  readonly square: Bracket | undefined
}

/** Tokens that are read or weighed in one part. */
const tokensAtOnce = 256

/**
 * The pieces of a text, at least one, no two neighbours of equal weight.
 *
 * With the emphasis `None` brackets, backslashes and `BREAK` are characters like all others. A weight that is not a
 * number (`(a:1.2.3)`) is text. Round and square brackets close independently, as in `(a [b) c]`.
 *
 * The work pauses after some tokens.
 */
export function* parsing(text: string, emphasis: Emphasis = "Original"): Parts<ReadonlyArray<Piece>> {
  if (emphasis === "None") return [{ text, weight: 1 }]
  const pieces: Array<Piece> = []
  for (const token of yield* tokens(text)) {
    pieces.push({ text: token.text, weight: weigh(token) })
    if (pieces.length % tokensAtOnce === 0) yield
  }
  return yield* merging(pieces)
}

function* tokens(text: string): Parts<ReadonlyArray<Token>> {
  const found: Array<Token> = []
  let round: Bracket | undefined
  let square: Bracket | undefined
  let closings = 0
  const add = (text: string, weight = 1) => void found.push({ text, weight, round, square })
  const close = (bracket: Bracket, multiplier: number) => {
    bracket.multiplier = multiplier
    bracket.closed = closings++
    return bracket.outer
  }
  for (let at = 0, read = 0; at < text.length; read++) {
    if (read % tokensAtOnce === 0) yield
    const character = text[at]
    if (character === "\\") {
      const escapes = at + 1 < text.length && "()[]\\".includes(text.charAt(at + 1))
      add(escapes ? text.charAt(at + 1) : "")
      at += escapes ? 2 : 1
    } else if (character === "(") {
      round = { outer: round, multiplier: strong, closed: Infinity }
      at++
    } else if (character === "[") {
      square = { outer: square, multiplier: weak, closed: Infinity }
      at++
    } else if (character === ")" && round !== undefined) {
      round = close(round, strong)
      at++
    } else if (character === "]" && square !== undefined) {
      square = close(square, weak)
      at++
    } else if (character === ")" || character === "]") {
      add(text.charAt(at++))
    } else if (character === ":") {
      const given = round === undefined ? undefined : readWeight(text, at)
      if (round === undefined || given === undefined) {
        add(":")
        at++
      } else {
        round = close(round, given.weight)
        at = given.end
      }
    } else {
      special.lastIndex = at
      const end = special.exec(text)?.index ?? text.length
      yield* addWords(text.slice(at, end), add)
      at = end
    }
  }
  return found
}

const special = /[\\()[\]:]/g
const weightText = /[+-]?(?:\d+\.?\d*|\.\d+)/y

// `:w)`, from its colon.
const readWeight = (text: string, colon: number) => {
  weightText.lastIndex = skipWhiteSpace(text, colon + 1)
  const digits = weightText.exec(text)?.[0]
  const close = skipWhiteSpace(text, weightText.lastIndex)
  return digits !== undefined && text[close] === ")" ? { weight: Number(digits), end: close + 1 } : undefined
}

// Text without any special character, cut at the word BREAK.
function* addWords(words: string, add: (text: string, weight?: number) => void): Parts<void> {
  let from = 0
  let breaks = 0
  for (const at of placesOfWord(words, breakWord)) {
    if (++breaks % tokensAtOnce === 0) yield
    add(trimEnd(words.slice(from, at)))
    add(breakWord, -1)
    from = skipWhiteSpace(words, at + breakWord.length)
  }
  add(words.slice(from))
}

// The brackets around a token, in the order in which they were closed: that of the multiplications, for equal rounding.
const weigh = (token: Token): number => {
  let { round, square, weight } = token
  for (let depth = 0; depth < deepest; depth++) {
    if (round !== undefined && (square === undefined || round.closed <= square.closed)) {
      weight *= round.multiplier
      round = round.outer
    } else if (square !== undefined) {
      weight *= square.multiplier
      square = square.outer
    } else {
      break
    }
  }
  return weight
}

/** Joins neighbours of equal weight; nothing at all becomes one empty piece. */
export function* merging(pieces: ReadonlyArray<Piece>): Parts<ReadonlyArray<Piece>> {
  const merged: Array<Piece> = []
  for (let from = 0, to = 1; from < pieces.length; to++) {
    const weight = pieces[from]?.weight ?? 1
    if (pieces[to]?.weight === weight) continue
    merged.push({ text: pieces.slice(from, to).map(({ text }) => text).join(""), weight })
    from = to
    if (merged.length % tokensAtOnce === 0) yield
  }
  return merged.length === 0 ? [{ text: "", weight: 1 }] : merged
}
