/**
 * Attention as text: what `Attention.parse` reads back as the same pieces, if no two neighbours are of equal weight.
 */
import { isBreak, type Piece } from "../../src/prompt/Attention.ts"
import { placesOfWord, skipWhiteSpace, trimEnd } from "../../src/prompt/Characters.ts"

const breakWord = "BREAK"

export const printAttention = (pieces: ReadonlyArray<Piece>): string => {
  if (pieces.length === 1 && pieces[0]?.text === "" && pieces[0].weight === 1) return ""
  const plain = (piece: Piece | undefined) => piece?.weight === 1
  const breaks = pieces.map((piece, i) => isBreak(piece) && plain(pieces[i - 1]) && plain(pieces[i + 1]))
  return pieces.map((piece, i) => {
    const { text, weight } = piece
    if (breaks[i] === true) {
      const before = pieces[i - 1]?.text ?? ""
      const after = pieces[i + 1]?.text ?? ""
      // BREAK takes the white space around it, unless an empty pair of brackets is between.
      const left = trimEnd(before) !== before ? "()" : before === "" && i === 1 ? "" : " "
      const right = skipWhiteSpace(after, 0) !== 0 ? "()" : after === "" && i === pieces.length - 2 ? "" : " "
      return `${left}${breakWord}${right}`
    }
    if (weight === 1 && (text !== "" || breaks[i - 1] === true || breaks[i + 1] === true)) return printText(text)
    // A backslash alone is a piece without text.
    const words = text === "" ? "\\" : printText(text)
    if (Number.isNaN(weight)) return `((${words}:${printNumber(Infinity)}):0)`
    return `(${words}:${printNumber(weight)})`
  }).join("")
}

// A word BREAK that is meant as a word is cut in two by a backslash.
const printText = (text: string): string => {
  const words: Array<string> = []
  let from = 0
  for (const at of placesOfWord(text, breakWord)) {
    words.push(escape(text.slice(from, at + 1)))
    from = at + 1
  }
  words.push(escape(text.slice(from)))
  return words.join("\\")
}

const escape = (text: string): string => text.replace(/[\\()[\]]/g, "\\$&")

// A number without exponent, to the last bit.
const printNumber = (value: number): string => {
  const sign = value < 0 || Object.is(value, -0) ? "-" : ""
  const size = Math.abs(value)
  if (size === Infinity) return `${sign}1${"0".repeat(309)}`
  const [mantissa = "0", exponent = "0"] = size.toExponential().split("e")
  const digits = mantissa.replace(".", "")
  const point = Number(exponent) + 1
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`
  if (point >= digits.length) return `${sign}${digits.padEnd(point, "0")}`
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}
