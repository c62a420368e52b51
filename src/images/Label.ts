/**
 * A line of text as an image, in a small built-in font, so that it looks the same on every machine.
 *
 * Each letter is 5 by 7 pixels in a cell of 6 by 9; some reach a pixel below the line. What the font has not is drawn
 * as a box.
 */
import { filled, paste, type Raster } from "../core/Raster.ts"

export interface LabelOptions {
  /** Pixels of the image for one of the font, a whole number from 1 up; 1 when left out. */
  readonly scale?: number
  /** Of the image, in pixels; as wide as the text when left out. The text is centred, and cut where it is wider. */
  readonly width?: number
}

const letterWidth = 6
const lineHeight = 9

/** Size of a text in pixels. */
export const labelSize = (text: string, scale = 1): { readonly width: number; readonly height: number } => ({
  width: (Array.from(text).length * letterWidth + 1) * scale,
  height: lineHeight * scale
})

/** The text in white on black, `[9 * scale, width, 3]`. */
export const label = (text: string, options: LabelOptions = {}): Raster => {
  const scale = Math.max(1, Math.trunc(options.scale ?? 1))
  const line = draw(Array.from(text), scale)
  if (options.width === undefined) return line
  const left = Math.max(0, Math.floor((options.width - line.width) / 2))
  return paste(filled({ width: options.width, height: line.height }, 3), line, left, 0)
}

const draw = (characters: ReadonlyArray<string>, scale: number): Raster => {
  const width = (characters.length * letterWidth + 1) * scale
  const raster = filled({ width, height: lineHeight * scale }, 3)
  for (const [i, character] of characters.entries()) {
    const rows = glyphs.get(character) ?? box
    for (const [y, row] of rows.entries()) {
      for (let x = 0; x < 5; x++) {
        if ((row >> (4 - x) & 1) === 0) continue
        const left = (1 + i * letterWidth + x) * scale
        const top = (1 + y) * scale
        for (let line = top; line < top + scale; line++) {
          raster.data.fill(255, (line * width + left) * 3, (line * width + left + scale) * 3)
        }
      }
    }
  }
  return raster
}

// Seven or eight rows from top to bottom, each a digit of base 32, whose five bits are its pixels from left to right.
const font = {
  " ": "0000000",
  "!": "4444404",
  "\"": "aaa0000",
  "#": "aavavaa",
  "$": "4fke5u4",
  "%": "op248j3",
  "&": "cik8lid",
  "'": "4480000",
  "(": "2488842",
  ")": "8422248",
  "*": "04lel40",
  "+": "044v440",
  ",": "0000c48",
  "-": "000v000",
  ".": "00000cc",
  "/": "01248g0",
  "0": "ehjlphe",
  "1": "4c4444e",
  "2": "eh1248v",
  "3": "v2421he",
  "4": "26aiv22",
  "5": "vgu11he",
  "6": "68guhhe",
  "7": "v124888",
  "8": "ehhehhe",
  "9": "ehhf12c",
  ":": "0cc0cc0",
  ";": "0cc0c48",
  "<": "248g842",
  "=": "00v0v00",
  ">": "8421248",
  "?": "eh12404",
  "@": "eh1dlle",
  A: "ehhvhhh",
  B: "uhhuhhu",
  C: "ehggghe",
  D: "uhhhhhu",
  E: "vgguggv",
  F: "vgguggg",
  G: "ehgnhhe",
  H: "hhhvhhh",
  I: "e44444e",
  J: "72222ic",
  K: "hikokih",
  L: "ggggggv",
  M: "hrllhhh",
  N: "hhpljhh",
  O: "ehhhhhe",
  P: "uhhuggg",
  Q: "ehhhlid",
  R: "uhhukih",
  S: "fgge11u",
  T: "v444444",
  U: "hhhhhhe",
  V: "hhhhha4",
  W: "hhhllla",
  X: "hha4ahh",
  Y: "hhha444",
  Z: "v1248gv",
  "[": "e88888e",
  "\\": "0g84210",
  "]": "e22222e",
  "^": "4ah0000",
  _: "000000v",
  "`": "8420000",
  a: "00e1fhf",
  b: "ggmphhu",
  c: "00egghe",
  d: "11djhhf",
  e: "00ehvge",
  f: "698s888",
  g: "00fhhf1e",
  h: "ggmphhh",
  i: "40c444e",
  j: "206222ic",
  k: "ggikoki",
  l: "c44444e",
  m: "00qllhh",
  n: "00mphhh",
  o: "00ehhhe",
  p: "00uhhugg",
  q: "00fhhf11",
  r: "00mpggg",
  s: "00ege1u",
  t: "88s8896",
  u: "00hhhjd",
  v: "00hhha4",
  w: "00hhlla",
  x: "00ha4ah",
  y: "00hhhf1e",
  z: "00v248v",
  "{": "2448442",
  "|": "4444444",
  "}": "8442448",
  "~": "008l200"
}

const rowsOf = (digits: string): ReadonlyArray<number> => Array.from(digits, (digit) => Number.parseInt(digit, 32))

const glyphs = new Map(Object.entries(font).map(([character, digits]) => [character, rowsOf(digits)]))

const box = rowsOf("vhhhhhv")
