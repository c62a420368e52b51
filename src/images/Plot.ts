/**
 * Draws the cells of an X/Y/Z plot in one image, with the values of the axes at its edges.
 */
import { filled, type Raster } from "../core/Raster.ts"
import { label, labelSize } from "./Label.ts"

export interface PlotLabels {
  /** Of the columns, from left to right. */
  readonly x: ReadonlyArray<string>
  /** Of the rows, from top to bottom. */
  readonly y: ReadonlyArray<string>
  /** Of the sheets, from left to right. */
  readonly z: ReadonlyArray<string>
}

const gap = 4
// Widest text at the left of the rows, in pixels.
const widestLabel = 400

/**
 * RGB on black. The cells come column after column, row after row and sheet after sheet; one that was not made stays
 * black. Each has the size of the largest, its image in the upper left corner. Texts are written where there are any,
 * in the size that fits the cells, and cut where they are wider.
 */
export const plot = (cells: ReadonlyArray<Raster | undefined>, { x, y, z }: PlotLabels): Raster => {
  const width = Math.max(1, ...cells.map((cell) => cell?.width ?? 0))
  const height = Math.max(1, ...cells.map((cell) => cell?.height ?? 0))
  const widest = Math.max(1, ...x.map((text) => labelSize(text).width))
  const scale = Math.max(1, Math.min(4, Math.floor(width / widest), Math.floor(height / labelSize("").height)))
  const line = labelSize("", scale).height
  const isLabelled = (labels: ReadonlyArray<string>) => labels.some((text) => text !== "")
  const left = isLabelled(y)
    ? Math.min(widestLabel, Math.max(...y.map((text) => labelSize(text, scale).width))) + gap
    : 0
  const head = (isLabelled(x) ? line + gap : 0) + (isLabelled(z) ? line + gap : 0)
  const sheet = {
    width: left + x.length * width + (x.length - 1) * gap,
    height: head + y.length * height + (y.length - 1) * gap
  }
  const whole = filled({ width: z.length * sheet.width + (z.length - 1) * gap * 4, height: sheet.height }, 3)
  const write = (text: string, width: number, at: number, top: number) => {
    if (text !== "") draw(whole, label(text, { scale, width }), at, top)
  }
  for (const [s, title] of z.entries()) {
    const begin = s * (sheet.width + gap * 4)
    const column = (i: number) => begin + left + i * (width + gap)
    write(title, sheet.width, begin, 0)
    for (const [i, text] of x.entries()) write(text, width, column(i), head - line - gap)
    for (const [j, text] of y.entries()) {
      const top = head + j * (height + gap)
      write(text, Math.max(1, left - gap), begin, top + Math.max(0, Math.floor((height - line) / 2)))
      for (const [i] of x.entries()) {
        const cell = cells[(s * y.length + j) * x.length + i]
        if (cell !== undefined) draw(whole, cell, column(i), top)
      }
    }
  }
  return whole
}

// Into the image itself: a plot is large, and has many cells.
const draw = (onto: Raster, { channels, data, height, width }: Raster, left: number, top: number): void => {
  const shown = Math.min(width, onto.width - left)
  for (let y = 0; y < Math.min(height, onto.height - top); y++) {
    const row = y * width
    onto.data.set(data.subarray(row * channels, (row + shown) * channels), ((y + top) * onto.width + left) * channels)
  }
}
