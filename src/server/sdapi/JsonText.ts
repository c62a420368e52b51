/**
 * JSON that comes with a request: parsed, or told where it is wrong, in the words of Python's `json`.
 *
 * Nothing here recurses, so no nesting is too deep for the stack; what is nested deeper than `deepest` is refused.
 */
import * as Result from "effect/Result"
import type { Detail } from "./ApiError.ts"

/** Deepest nesting that is taken. */
export const deepest = 200

/** The value of a text, or what is wrong with it. */
export const parse = (text: string): Result.Result<unknown, Detail> => {
  const depth = depthOf(text)
  if (depth > deepest) {
    return Result.fail({ loc: ["body"], msg: `nested deeper than ${deepest} levels`, type: "value_error.jsondecode" })
  }
  try {
    const value: unknown = JSON.parse(text)
    return Result.succeed(value)
  } catch {
    return Result.fail(detailOf(text, mistakeIn(text) ?? { msg: "Expecting value", pos: 0 }))
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
  readonly msg: string
  readonly pos: number
}

const detailOf = (text: string, { msg, pos }: Mistake): Detail => {
  const before = text.slice(0, pos)
  const lineno = before.split("\n").length
  const colno = pos - before.lastIndexOf("\n")
  return {
    loc: ["body", pos],
    msg: `${msg}: line ${lineno} column ${colno} (char ${pos})`,
    type: "value_error.jsondecode",
    ctx: { msg, doc: text.slice(0, 200), pos, lineno, colno }
  }
}

const space = /[ \t\n\r]*/y
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

// The first place at which Python's decoder would stop.
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
      if (within === undefined) return at < text.length ? { msg: "Extra data", pos: at } : undefined
      if (char === (within === "[" ? "]" : "}")) {
        open.pop()
        at++
      } else if (char === ",") {
        at++
        next = within === "[" ? "value" : "key"
      } else {
        return { msg: "Expecting ',' delimiter", pos: at }
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
      if (char !== "\"") return { msg: "Expecting property name enclosed in double quotes", pos: at }
      const wrong = mistakeInString(text, at)
      if (wrong !== undefined) return wrong
      at = endOfString(text, at) + 1
      skip(space)
      if (text[at] !== ":") return { msg: "Expecting ':' delimiter", pos: at }
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
      return { msg: "Expecting value", pos: at }
    }
  }
}

const mistakeInString = (text: string, start: number): Mistake | undefined => {
  const end = endOfString(text, start)
  if (end >= text.length) return { msg: "Unterminated string starting at", pos: start }
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) < 0x20) return { msg: "Invalid control character at", pos: at }
  }
  const escape = /(?<!\\)(?:\\\\)*\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(start + 1, end + 1))
  return escape === null ? undefined : { msg: "Invalid \\escape", pos: start + escape.index + escape[0].length }
}
