/**
 * Puts several images into one, in rows, as stable-diffusion-webui's `image_grid` does.
 */
import type { Raster } from "../core/Raster.ts"

export interface GridOptions {
  /** The setting `n_rows`: -1 for about as many rows as columns, 0 for a row an image of a batch, else so many. */
  readonly rows: number
  readonly batchSize: number
}

/**
 * All images in one of RGB, `[rows * height, columns * width, 3]`, from left to right and from top to bottom on black.
 * There are never more rows than images. Every cell has the size of the first image; of larger ones the left upper
 * part is shown. What is transparent shows the black behind it. Without images it is an image without pixels.
 */
export const grid = (images: ReadonlyArray<Raster>, options: GridOptions): Raster => {
  const [first] = images
  if (first === undefined) return { width: 0, height: 0, channels: 3, data: new Uint8Array() }
  const rows = rowsFor(images.length, options)
  const columns = Math.ceil(images.length / rows)
  const width = columns * first.width
  const height = rows * first.height
  const data = new Uint8Array(width * height * 3)
  for (const [i, image] of images.entries()) {
    const left = (i % columns) * first.width
    const top = Math.floor(i / columns) * first.height
    const cell = { width: Math.min(image.width, first.width), height: Math.min(image.height, first.height) }
    paint({ image, cell, onto: data, at: (top * width + left) * 3, stride: width * 3 })
  }
  return { width, height, channels: 3, data }
}

const rowsFor = (count: number, { batchSize, rows }: GridOptions): number => {
  const wanted = rows > 0 ? rows : rows === 0 ? batchSize : Math.round(Math.sqrt(count))
  return Math.min(Math.max(Math.trunc(wanted), 1), count)
}

const paint = ({ at, cell, image, onto, stride }: {
  readonly image: Raster
  readonly cell: { readonly width: number; readonly height: number }
  readonly onto: Uint8Array
  /** Where the cell begins in it, and how far it is from row to row, in bytes. */
  readonly at: number
  readonly stride: number
}): void => {
  const { channels, data } = image
  // Where green and blue are from red; grey is all three.
  const [green, blue] = channels === 1 ? [0, 0] : [1, 2]
  for (let y = 0; y < cell.height; y++) {
    let from = y * image.width * channels
    let to = at + y * stride
    for (let x = 0; x < cell.width; x++) {
      const alpha = channels === 4 ? data[from + 3] as number : 255
      onto[to] = Math.round((data[from] as number) * alpha / 255)
      onto[to + 1] = Math.round((data[from + green] as number) * alpha / 255)
      onto[to + 2] = Math.round((data[from + blue] as number) * alpha / 255)
      from += channels
      to += 3
    }
  }
}
