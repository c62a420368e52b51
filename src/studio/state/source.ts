/**
 * The init images of the form, which each tab has for itself, with the mask or the sketch painted on them.
 */
import { computed, signal } from "@preact/signals"
import { inMb, isRecord } from "../api.ts"
import * as blobs from "./blobs.ts"
import { limits } from "./catalogue.ts"
import { complainToo, offerUndo } from "./notices.ts"
import { isEmpty, isOperation, type Operation, sketched, stencilFrom, stencilOf, unpack } from "./strokes.ts"
import { isKind, type Kind, tab } from "./ui.ts"

/** An image of the form. */
export interface Source {
  readonly name: string
  readonly blob: Blob
  /** Object URL of the blob, for `<img>`. */
  readonly url: string
  readonly width: number
  readonly height: number
}

/** The tabs that start from an image. */
export type SourceKind = Exclude<Kind, "txt2img">

/** The images of a tab: several of image-to-image are several runs. */
export const sources = signal<Readonly<Record<SourceKind, ReadonlyArray<Source>>>>({ img2img: [], inpaint: [] })

type Paintings = Readonly<Record<SourceKind, ReadonlyArray<Operation>>>

/** The operations of the mask, and of the sketch on the first init image of image-to-image; those that were undone. */
export const painted = signal<Paintings>({ img2img: [], inpaint: [] })
export const undone = signal<Paintings>({ img2img: [], inpaint: [] })

/** The first init image of the open tab. */
export const source = computed(() => {
  const kind = tab.value
  return isKind(kind) && kind !== "txt2img" ? sources.value[kind][0] : undefined
})

/** Reads an image file, or complains of one that is too large, or that the browser cannot read. */
export const read = async (blob: Blob, name: string): Promise<Source | undefined> => {
  const most = limits.value
  if (most !== undefined && blob.size > most.max_image_bytes) {
    complainToo(`${name} has ${inMb(blob.size)}. The server takes images of up to ${inMb(most.max_image_bytes)}.`)
    return undefined
  }
  const bitmap = await createImageBitmap(blob).catch(() => undefined)
  if (bitmap === undefined) {
    complainToo(`The browser cannot read ${name} as an image. Use a PNG, JPEG or WebP file.`)
    return undefined
  }
  const { height, width } = bitmap
  bitmap.close()
  if (most !== undefined && width * height > most.max_image_pixels) {
    const megapixels = (pixels: number) => `${Math.round(pixels / 1e5) / 10} megapixels`
    complainToo(
      `${name} has ${megapixels(width * height)}. The server takes images of up to ${
        megapixels(most.max_image_pixels)
      }.`
    )
    return undefined
  }
  return { name, blob, url: URL.createObjectURL(blob), width, height }
}

const keyOf = (kind: SourceKind): string => `source/${kind}`

const keep = (kind: SourceKind) => {
  const files = sources.value[kind].map(({ blob, name }) => new File([blob], name, { type: blob.type }))
  void (files.length === 0
    ? blobs.remove(keyOf(kind))
    : blobs.put(keyOf(kind), { files, painted: painted.value[kind] }))
}

/** What undoing brings back. */
const state = (kind: SourceKind) => ({
  images: sources.value[kind],
  painted: painted.value[kind],
  undone: undone.value[kind]
})

const put = (kind: SourceKind, next: ReturnType<typeof state>) => {
  sources.value = { ...sources.value, [kind]: next.images }
  painted.value = { ...painted.value, [kind]: next.painted }
  undone.value = { ...undone.value, [kind]: next.undone }
  keep(kind)
}

// Puts images in place of those of a tab, and offers to undo that.
const replace = (
  kind: SourceKind,
  images: ReadonlyArray<Source>,
  text: string,
  operations: ReadonlyArray<Operation> = []
) => {
  const before = state(kind)
  put(kind, { images, painted: operations, undone: [] })
  if (before.images.length === 0) return
  offerUndo(
    text,
    () => put(kind, before),
    () => {
      const kept = new Set(sources.value[kind].map(({ url }) => url))
      for (const { url } of before.images) if (!kept.has(url)) URL.revokeObjectURL(url)
    }
  )
}

type Files = ReadonlyArray<{ readonly blob: Blob; readonly name: string }>

const readAll = async (files: Files): Promise<ReadonlyArray<Source>> => {
  const images: Array<Source> = []
  for (const { blob, name } of files) {
    const image = await read(blob, name)
    if (image !== undefined) images.push(image)
  }
  return images
}

/** Gives a tab its init images, and clears the mask on the one before. Returns false if none could be read. */
export const take = async (kind: SourceKind, files: Files): Promise<boolean> => {
  const images = await readAll(files)
  if (images.length === 0) return false
  const hadPaint = painted.value[kind].length > 0
  replace(
    kind,
    images,
    hadPaint
      ? `The image is replaced, without its ${kind === "inpaint" ? "mask" : "sketch"}.`
      : "The init image is replaced."
  )
  return true
}

/** Gives image-to-image further init images. */
export const add = async (files: Files) => {
  const images = await readAll(files)
  const before = state("img2img")
  put("img2img", { ...before, images: [...before.images, ...images] })
}

/** Takes one of several init images away. */
export const dropOne = ({ name, url }: Source) =>
  replace(
    "img2img",
    sources.value.img2img.filter((image) => image.url !== url),
    `${name} is removed.`,
    painted.value.img2img
  )

/** The file of an init image as a request has it: the first one with the sketch on it. */
export const fileOfSource = async (kind: Kind, { blob, url }: Source): Promise<Blob> => {
  const sketch = painted.value.img2img
  if (kind !== "img2img" || url !== sources.value.img2img[0]?.url || isEmpty(sketch)) return blob
  return (await sketched(blob, sketch)).canvas.convertToBlob({ type: "image/png" })
}

/** Gives image-to-image a white image of this size, to be sketched on. */
export const takeBlank = async (width: number, height: number) => {
  const canvas = new OffscreenCanvas(width, height)
  const surface = canvas.getContext("2d")
  if (surface === null) return
  surface.fillStyle = "#fff"
  surface.fillRect(0, 0, width, height)
  await take("img2img", [{ blob: await canvas.convertToBlob({ type: "image/png" }), name: "blank.png" }])
}

export const drop = (kind: SourceKind) => replace(kind, [], "The init image is removed.")

const restoreOne = async (kind: SourceKind) => {
  const found = await blobs.get(keyOf(kind))
  if (!isRecord(found)) return
  const { files, painted: operations } = found
  if (!Array.isArray(files)) return
  const images: Array<Source> = []
  for (const file of files) {
    const image = file instanceof File ? await read(file, file.name) : undefined
    if (image !== undefined) images.push(image)
  }
  const known = Array.isArray(operations) ? operations.filter(isOperation) : []
  await unpack(known)
  if (sources.value[kind].length > 0 || images.length === 0) return
  painted.value = { ...painted.value, [kind]: known }
  sources.value = { ...sources.value, [kind]: images }
}

/** Restores the init images and the mask after a reload, and forgets what earlier versions kept. */
export const restore = async () => {
  void blobs.remove("source")
  await Promise.all([restoreOne("img2img"), restoreOne("inpaint")])
}

const paint = (kind: SourceKind, operations: ReadonlyArray<Operation>, taken: ReadonlyArray<Operation>) => {
  painted.value = { ...painted.value, [kind]: operations }
  undone.value = { ...undone.value, [kind]: taken }
  keep(kind)
}

export const apply = (kind: SourceKind, operation: Operation) => paint(kind, [...painted.value[kind], operation], [])

export const undo = (kind: SourceKind) => {
  const operations = painted.value[kind]
  const last = operations.at(-1)
  if (last !== undefined) paint(kind, operations.slice(0, -1), [...undone.value[kind], last])
}

export const redo = (kind: SourceKind) => {
  const taken = undone.value[kind]
  const last = taken.at(-1)
  if (last !== undefined) paint(kind, [...painted.value[kind], last], taken.slice(0, -1))
}

/** Takes the mask from a file, in place of what is painted. */
export const takeMask = async (file: Blob, name: string) => {
  const [image] = sources.value.inpaint
  if (image === undefined) return
  const mask = await read(file, name)
  if (mask === undefined) return
  const bitmap = await createImageBitmap(file)
  const stencil = await stencilFrom(bitmap, image.width, image.height)
  bitmap.close()
  URL.revokeObjectURL(mask.url)
  if (stencil === undefined) return
  paint("inpaint", [...painted.value.inpaint, { kind: "clear" }, stencil], [])
}

/** How much of a side one extension adds, and how far the mask reaches into the image. */
const extension = { share: 0.25, overlap: 16 }

/** Extends the image to inpaint beyond one of its sides, and masks what was added. */
export const extend = async (side: "left" | "right" | "top" | "bottom") => {
  const [image] = sources.value.inpaint
  if (image === undefined) return
  const isAcross = side === "left" || side === "right"
  const added = Math.max(8, Math.round((isAcross ? image.width : image.height) * extension.share / 8) * 8)
  const width = image.width + (isAcross ? added : 0)
  const height = image.height + (isAcross ? 0 : added)
  const left = side === "left" ? added : 0
  const top = side === "top" ? added : 0
  const canvas = new OffscreenCanvas(width, height)
  const surface = canvas.getContext("2d")
  if (surface === null) return
  const bitmap = await createImageBitmap(image.blob)
  // What is added begins as the image mirrored at its edge, and is then made anew.
  surface.save()
  surface.translate(side === "left" ? 2 * added : 0, side === "top" ? 2 * added : 0)
  if (side === "right") surface.translate(2 * image.width, 0)
  if (side === "bottom") surface.translate(0, 2 * image.height)
  surface.scale(isAcross ? -1 : 1, isAcross ? 1 : -1)
  surface.drawImage(bitmap, 0, 0)
  surface.restore()
  surface.drawImage(bitmap, left, top)
  bitmap.close()
  const overlap = Math.min(extension.overlap, added)
  const stencil = await stencilOf(width, height, (mask) => {
    if (side === "left") mask.fillRect(0, 0, added + overlap, height)
    if (side === "right") mask.fillRect(image.width - overlap, 0, added + overlap, height)
    if (side === "top") mask.fillRect(0, 0, width, added + overlap)
    if (side === "bottom") mask.fillRect(0, image.height - overlap, width, added + overlap)
  })
  const extended = await read(await canvas.convertToBlob({ type: "image/png" }), image.name)
  if (extended === undefined || stencil === undefined) return
  replace("inpaint", [extended], "The image is extended, and the mask is on what was added.", [stencil])
}
