/**
 * The init images of the form, which each tab has for itself, and the mask painted on the one to inpaint.
 */
import { computed, signal } from "@preact/signals"
import { inMb, isRecord } from "../api.ts"
import * as blobs from "./blobs.ts"
import { limits } from "./catalogue.ts"
import { complain, offerUndo } from "./notices.ts"
import { isOperation, type Operation } from "./strokes.ts"
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

/** The operations of the mask, and those that were undone. */
export const painted = signal<ReadonlyArray<Operation>>([])
export const undone = signal<ReadonlyArray<Operation>>([])

/** The first init image of the open tab. */
export const source = computed(() => {
  const kind = tab.value
  return isKind(kind) && kind !== "txt2img" ? sources.value[kind][0] : undefined
})

/** Reads an image file, or complains of one that is too large, or that the browser cannot read. */
export const read = async (blob: Blob, name: string): Promise<Source | undefined> => {
  const most = limits.value
  if (most !== undefined && blob.size > most.max_image_bytes) {
    complain(`${name} has ${inMb(blob.size)}. The server takes images of up to ${inMb(most.max_image_bytes)}.`)
    return undefined
  }
  const bitmap = await createImageBitmap(blob).catch(() => undefined)
  if (bitmap === undefined) {
    complain("The browser cannot read this file as an image. Use a PNG, JPEG or WebP file.")
    return undefined
  }
  const { height, width } = bitmap
  bitmap.close()
  if (most !== undefined && width * height > most.max_image_pixels) {
    const megapixels = (pixels: number) => `${Math.round(pixels / 1e5) / 10} megapixels`
    complain(
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
    : blobs.put(keyOf(kind), { files, painted: kind === "inpaint" ? painted.value : [] }))
}

/** What undoing brings back. */
const state = (kind: SourceKind) => ({ images: sources.value[kind], painted: painted.value, undone: undone.value })

const put = (kind: SourceKind, next: ReturnType<typeof state>) => {
  sources.value = { ...sources.value, [kind]: next.images }
  if (kind === "inpaint") {
    painted.value = next.painted
    undone.value = next.undone
  }
  keep(kind)
}

// Puts images in place of those of a tab, and offers to undo that.
const replace = (kind: SourceKind, images: ReadonlyArray<Source>, text: string) => {
  const before = state(kind)
  put(kind, { images, painted: [], undone: [] })
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

/** Gives a tab its init images, and clears the mask on the one before. Returns false if none could be read. */
export const take = async (
  kind: SourceKind,
  files: ReadonlyArray<{ readonly blob: Blob; readonly name: string }>
): Promise<boolean> => {
  const images: Array<Source> = []
  for (const { blob, name } of files) {
    const image = await read(blob, name)
    if (image !== undefined) images.push(image)
  }
  if (images.length === 0) return false
  const hadMask = kind === "inpaint" && painted.value.length > 0
  replace(kind, images, hadMask ? "The image is replaced, without its mask." : "The init image is replaced.")
  return true
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
  if (sources.value[kind].length > 0 || images.length === 0) return
  sources.value = { ...sources.value, [kind]: images }
  if (kind === "inpaint" && Array.isArray(operations)) painted.value = operations.filter(isOperation)
}

/** Restores the init images and the mask after a reload, and forgets what earlier versions kept. */
export const restore = async () => {
  void blobs.remove("source")
  await Promise.all([restoreOne("img2img"), restoreOne("inpaint")])
}

const paint = (operations: ReadonlyArray<Operation>, taken: ReadonlyArray<Operation>) => {
  painted.value = operations
  undone.value = taken
  keep("inpaint")
}

export const apply = (operation: Operation) => paint([...painted.value, operation], [])

export const undo = () => {
  const last = painted.value.at(-1)
  if (last !== undefined) paint(painted.value.slice(0, -1), [...undone.value, last])
}

export const redo = () => {
  const last = undone.value.at(-1)
  if (last !== undefined) paint([...painted.value, last], undone.value.slice(0, -1))
}
