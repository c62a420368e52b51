/**
 * A mask, or a sketch over an image, as the strokes it was painted with, which are small to store and can be undone
 * one by one.
 *
 * Positions and sizes are in pixels of the image.
 */
import { isRecord } from "../api.ts"

export interface Stroke {
  readonly kind: "stroke"
  readonly erases: boolean
  /** Diameter of the brush. */
  readonly size: number
  /** Alternating x and y. */
  readonly points: ReadonlyArray<number>
  /** Of a sketch: `#rrggbb`. */
  readonly color?: string | undefined
}

/** A mask from a file, or the edges of an image that was extended: painted where it is opaque. */
export interface Stencil {
  readonly kind: "stencil"
  readonly file: Blob
}

export type Operation = Stroke | Stencil | { readonly kind: "clear" } | { readonly kind: "invert" }

export const isColor = (value: unknown): value is string => typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value)

export const isOperation = (value: unknown): value is Operation =>
  isRecord(value) && (
    value["kind"] === "clear" || (value["kind"] === "stencil" && value["file"] instanceof Blob) ||
    value["kind"] === "invert" ||
    (value["kind"] === "stroke" && typeof value["erases"] === "boolean" && typeof value["size"] === "number" &&
      (value["color"] === undefined || isColor(value["color"])) &&
      Array.isArray(value["points"]) && value["points"].every((point) => typeof point === "number"))
  )

// The pixels of stencils, which drawing does not wait for.
const bitmaps = new WeakMap<Blob, ImageBitmap>()

/** Unpacks the stencils of operations, so that they can be drawn. */
export const unpack = async (operations: ReadonlyArray<Operation>) => {
  for (const operation of operations) {
    if (operation.kind === "stencil") bitmaps.set(operation.file, await createImageBitmap(operation.file))
  }
}

/** A mask of this size, as opaque as `paint` makes it. */
export const stencilOf = async (
  width: number,
  height: number,
  paint: (surface: OffscreenCanvasRenderingContext2D) => void
): Promise<Stencil | undefined> => {
  const canvas = new OffscreenCanvas(width, height)
  const surface = canvas.getContext("2d")
  if (surface === null) return undefined
  paint(surface)
  const stencil: Stencil = { kind: "stencil", file: await canvas.convertToBlob({ type: "image/png" }) }
  await unpack([stencil])
  return stencil
}

/** The mask of a file, as large as the image: painted where the file is light. */
export const stencilFrom = (file: ImageBitmap, width: number, height: number) =>
  stencilOf(width, height, (surface) => {
    surface.drawImage(file, 0, 0, width, height)
    const pixels = surface.getImageData(0, 0, width, height)
    const { data } = pixels
    for (let i = 0; i < data.length; i += 4) {
      const light = 0.299 * (data[i] ?? 0) + 0.587 * (data[i + 1] ?? 0) + 0.114 * (data[i + 2] ?? 0)
      data[i + 3] = light * (data[i + 3] ?? 0) / 255 >= 128 ? 255 : 0
    }
    surface.putImageData(pixels, 0, 0)
  })

// A stencil in the colour of the mask.
const drawStencil = (surface: Surface, { file }: Stencil, color: string) => {
  const stencil = bitmaps.get(file)
  if (stencil === undefined) return
  const { height, width } = surface.canvas
  const tinted = new OffscreenCanvas(width, height)
  const pen = tinted.getContext("2d")
  if (pen === null) return
  pen.drawImage(stencil, 0, 0, width, height)
  pen.globalCompositeOperation = "source-in"
  pen.fillStyle = color
  pen.fillRect(0, 0, width, height)
  surface.globalCompositeOperation = "source-over"
  surface.drawImage(tinted, 0, 0)
}

type Surface = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D

const full = (surface: Surface) => surface.fillRect(0, 0, surface.canvas.width, surface.canvas.height)

// Black and white stripes are visible on any image.
const stripes = (surface: Surface): CanvasPattern | null => {
  const tile = new OffscreenCanvas(16, 16)
  const pen = tile.getContext("2d")
  if (pen === null) return null
  pen.fillStyle = "#fff"
  pen.fillRect(0, 0, 16, 16)
  pen.strokeStyle = "#10201d"
  pen.lineWidth = 16 / Math.SQRT2 / 2
  for (const shift of [-16, 0, 16]) {
    pen.beginPath()
    pen.moveTo(shift - 4, 20)
    pen.lineTo(shift + 20, -4)
    pen.stroke()
  }
  return surface.createPattern(tile, "repeat")
}

/** Draws a mask as the editor shows it, over an image of this width. */
export const drawStriped = (surface: Surface, operations: ReadonlyArray<Operation>, width: number) => {
  draw(surface, operations, "#fff", surface.canvas.width / width)
  surface.globalCompositeOperation = "source-in"
  surface.fillStyle = stripes(surface) ?? "#fff"
  full(surface)
}

/** Draws a sketch over an image of this width. */
export const drawColored = (surface: Surface, operations: ReadonlyArray<Operation>, width: number) =>
  draw(surface, operations, "#000", surface.canvas.width / width)

/** An image with a sketch over it. */
export const sketched = async (image: Blob, operations: ReadonlyArray<Operation>) => {
  const bitmap = await createImageBitmap(image)
  const { height, width } = bitmap
  const canvas = new OffscreenCanvas(width, height)
  const surface = canvas.getContext("2d")
  if (surface === null) throw new Error("This browser provides no canvas for the sketch.")
  draw(surface, operations, "#000")
  surface.resetTransform()
  surface.globalCompositeOperation = "destination-over"
  surface.drawImage(bitmap, 0, 0)
  bitmap.close()
  return { canvas, surface }
}

const drawStroke = (surface: Surface, { color: own, erases, points, size }: Stroke, otherwise: string) => {
  const color = own ?? otherwise
  surface.globalCompositeOperation = erases ? "destination-out" : "source-over"
  surface.strokeStyle = color
  surface.fillStyle = color
  surface.lineWidth = size
  surface.lineCap = "round"
  surface.lineJoin = "round"
  const [x = 0, y = 0] = points
  surface.beginPath()
  surface.arc(x, y, size / 2, 0, 2 * Math.PI)
  surface.fill()
  surface.beginPath()
  surface.moveTo(x, y)
  for (let i = 2; i < points.length; i += 2) surface.lineTo(points[i] ?? 0, points[i + 1] ?? 0)
  surface.stroke()
}

/**
 * Draws strokes in their colours, or in `color`: a mask has none.
 *
 * @param scale Pixels of the surface per pixel of the image.
 */
export const draw = (surface: Surface, operations: ReadonlyArray<Operation>, color: string, scale = 1) => {
  surface.resetTransform()
  surface.globalCompositeOperation = "source-over"
  surface.clearRect(0, 0, surface.canvas.width, surface.canvas.height)
  for (const operation of operations.slice(operations.findLastIndex(({ kind }) => kind === "clear") + 1)) {
    surface.setTransform(scale, 0, 0, scale, 0, 0)
    if (operation.kind === "stroke") drawStroke(surface, operation, color)
    surface.resetTransform()
    if (operation.kind === "stencil") drawStencil(surface, operation, color)
    if (operation.kind === "invert") {
      surface.globalCompositeOperation = "xor"
      surface.fillStyle = color
      full(surface)
    }
  }
}

/** Whether anything is painted. */
export const isEmpty = (operations: ReadonlyArray<Operation>): boolean =>
  operations.slice(operations.findLastIndex(({ kind }) => kind === "clear") + 1)
    .every((operation) => operation.kind === "stroke" && operation.erases)

/** The mask as a PNG: white where it is painted, black elsewhere. */
export const toPng = async (operations: ReadonlyArray<Operation>, width: number, height: number): Promise<Blob> => {
  const canvas = new OffscreenCanvas(width, height)
  const surface = canvas.getContext("2d")
  if (surface === null) throw new Error("This browser provides no canvas for the mask.")
  draw(surface, operations, "#fff")
  surface.globalCompositeOperation = "destination-over"
  surface.fillStyle = "#000"
  full(surface)
  return canvas.convertToBlob({ type: "image/png" })
}
