/**
 * White space and words as Python's `str` and `re` know them.
 *
 * They differ from JavaScript's: white space has the separators U+001C to U+001F and U+0085 and not the byte order
 * mark, and words may be of any script.
 */

/** Whether a UTF-16 unit is white space. */
export const isWhiteSpace = (unit: number): boolean =>
  unit === 0x20 || (unit >= 0x09 && unit <= 0x0d) || (unit >= 0x1c && unit <= 0x1f) ||
  unit >= 0x85 && (unit === 0x85 || unit === 0xa0 || unit === 0x1680 || (unit >= 0x2000 && unit <= 0x200a) ||
      unit === 0x2028 || unit === 0x2029 || unit === 0x202f || unit === 0x205f || unit === 0x3000)

/** The first place at or after `from`, before `to`, that holds no white space; `to` when there is none. */
export const skipWhiteSpace = (text: string, from: number, to: number = text.length): number => {
  let at = from
  while (at < to && isWhiteSpace(text.charCodeAt(at))) at++
  return at
}

const endOfText = (text: string, from: number): number => {
  let end = text.length
  while (end > from && isWhiteSpace(text.charCodeAt(end - 1))) end--
  return end
}

/** Without white space at the end. */
export const trimEnd = (text: string): string => text.slice(0, endOfText(text, 0))

/** Without white space at both ends. */
export const trim = (text: string): string => {
  const start = skipWhiteSpace(text, 0)
  return text.slice(start, endOfText(text, start))
}

// Two units hold a whole character outside the basic plane.
const endsInWord = /[\p{L}\p{N}_]$/u
const beginsWithWord = /^[\p{L}\p{N}_]/u

/** Every place where `word` stands as a word of its own, from left to right. */
export function* placesOfWord(text: string, word: string): Generator<number, void> {
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + word.length)) {
    const end = at + word.length
    const inside = endsInWord.test(text.slice(Math.max(0, at - 2), at)) || beginsWithWord.test(text.slice(end, end + 2))
    if (!inside) yield at
  }
}
