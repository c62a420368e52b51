/**
 * JSON whose seeds keep their digits.
 *
 * `JSON.parse` rounds integers over 2^53. Here those that are called a seed (`"seed"`, `"noise_seed"`), or are in a
 * list of seeds (`"all_seeds"`), become texts of their digits, which every reader of a seed accepts. Any other is a
 * number over 2^53, which every reader of a seed refuses.
 */

// A quotation mark after a letter is no escaped one, so it ends a string, and the colon says that the string is a name.
const name = /seeds?"[ \t\r\n]*:/gi

/** Most seeds of a text that are looked at. */
const most = 10_000

/** Parses JSON. Throws a `SyntaxError` for a text that is none. */
export const parse = (text: string): unknown => JSON.parse(withDigits(text))

const withDigits = (text: string): string => {
  const parts: Array<string> = []
  let done = 0
  let left = most
  name.lastIndex = 0
  while (left-- > 0 && name.test(text)) {
    for (let start = afterSpace(text, name.lastIndex); left > 0; left--) {
      const end = afterInteger(text, start)
      if (end - start >= 16 && !Number.isSafeInteger(Number(text.slice(start, end)))) {
        parts.push(text.slice(done, start), "\"", text.slice(start, end), "\"")
        done = end
      }
      name.lastIndex = end
      const next = afterSpace(text, end)
      if (next === end) break
      start = next
    }
  }
  return parts.length === 0 ? text : parts.join("") + text.slice(done)
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

// After white space, commas, and the bracket that opens a list.
const afterSpace = (text: string, start: number): number => {
  for (let at = start;; at++) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x2c && code !== 0x5b && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
  }
}

// After an integer; `start` for anything else, such as a number with a point or with leading zeros.
const afterInteger = (text: string, start: number): number => {
  const first = text[start] === "-" ? start + 1 : start
  let at = first
  while (isDigit(text.charCodeAt(at))) at++
  const isWhole = at > first && !(text[first] === "0" && at > first + 1) && !/[.eE]/.test(text[at] ?? "")
  return isWhole ? at : start
}
