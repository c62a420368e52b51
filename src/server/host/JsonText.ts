/**
 * JSON text from outside: parsed, or located where it is wrong.
 *
 * Each API says what is wrong in its own words; the place is the one at which Python's decoder stops, which clients of
 * stable-diffusion-webui compare. Nothing here recurses or copies the text, so neither nesting nor length is an attack.
 */
import * as Result from "effect/Result"
import * as ExactJson from "../../core/ExactJson.ts"

/** Deepest nesting that is accepted. */
export const deepest = 200

/** What was expected at the place of a mistake, or is wrong there. */
export type JsonFault =
  | "value"
  | "property name"
  | "colon"
  | "comma"
  | "end of text"
  | "end of string"
  | "control character"
  | "escape"
  | "depth"

/** Why a text is not JSON. */
export interface JsonMistake {
  readonly fault: JsonFault
  /** Position in UTF-16 code units, from 0. */
  readonly position: number
  /** Line and column, from 1. */
  readonly line: number
  readonly column: number
}

/** Parses a text, or says where it is wrong. Large seeds are texts of their digits. */
export const parse = (text: string): Result.Result<unknown, JsonMistake> => {
  if (depthOf(text) > deepest) return Result.fail({ fault: "depth", position: 0, line: 1, column: 1 })
  try {
    return Result.succeed(ExactJson.parse(text))
  } catch {
    return Result.fail(located(text, mistakeIn(text) ?? { fault: "value", position: 0 }))
  }
}

// How deep a text is nested, if it is JSON.
const depthOf = (text: string): number => {
  let depth = 0
  let most = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) at = endOfString(text, at)
    else if (code === 0x5b || code === 0x7b) most = Math.max(most, ++depth)
    else if (code === 0x5d || code === 0x7d) depth--
  }
  return most
}

// Where the string that begins at `start` ends: at its closing quote, or beyond the text.
const endOfString = (text: string, start: number): number => {
  for (let at = start + 1;;) {
    const quote = text.indexOf("\"", at)
    if (quote === -1) return text.length
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return quote
    at = quote + 1
  }
}

interface Mistake {
  readonly fault: JsonFault
  readonly position: number
}

const located = (text: string, { fault, position }: Mistake): JsonMistake => {
  let line = 1
  let start = 0
  for (let end = text.indexOf("\n"); end !== -1 && end < position; end = text.indexOf("\n", start)) {
    line++
    start = end + 1
  }
  return { fault, position, line, column: position - start + 1 }
}

const space = /[ \t\n\r]*/y
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

// The first place at which Python's decoder stops.
const mistakeIn = (text: string): Mistake | undefined => {
  let at = 0
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at = pattern.lastIndex
    return found !== null
  }
  const open: Array<"[" | "{"> = []
  // What comes next: a value, a key (or the end of an empty object), or what follows a value.
  let next: "value" | "first" | "key" | "after" = "value"
  for (;;) {
    skip(space)
    const char = text[at]
    if (next === "after") {
      const within = open.at(-1)
      if (within === undefined) return at < text.length ? { fault: "end of text", position: at } : undefined
      if (char === (within === "[" ? "]" : "}")) {
        open.pop()
        at++
      } else if (char === ",") {
        at++
        next = within === "[" ? "value" : "key"
      } else {
        return { fault: "comma", position: at }
      }
      continue
    }
    if (next === "first" && char === (open.at(-1) === "[" ? "]" : "}")) {
      open.pop()
      at++
      next = "after"
      continue
    }
    if (next === "key" || (next === "first" && open.at(-1) === "{")) {
      if (char !== "\"") return { fault: "property name", position: at }
      const wrong = mistakeInString(text, at)
      if (wrong !== undefined) return wrong
      at = endOfString(text, at) + 1
      skip(space)
      if (text[at] !== ":") return { fault: "colon", position: at }
      at++
      next = "value"
      continue
    }
    if (char === "\"") {
      const wrong = mistakeInString(text, at)
      if (wrong !== undefined) return wrong
      at = endOfString(text, at) + 1
      next = "after"
    } else if (char === "[" || char === "{") {
      open.push(char)
      at++
      next = "first"
    } else if (skip(scalar)) {
      next = "after"
    } else {
      return { fault: "value", position: at }
    }
  }
}

const mistakeInString = (text: string, start: number): Mistake | undefined => {
  const end = endOfString(text, start)
  if (end >= text.length) return { fault: "end of string", position: start }
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) < 0x20) return { fault: "control character", position: at }
  }
  const escape = /(?<!\\)(?:\\\\)*\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(start + 1, end + 1))
  return escape === null ? undefined : { fault: "escape", position: start + escape.index + escape[0].length }
}
