/**
 * The init image and the mask painted on it.
 */
import { signal } from "@preact/signals"
import * as blobs from "./blobs.ts"
import { kept } from "./persist.ts"
import { isOperation, type Operation } from "./strokes.ts"

/** An image of the form. */
export interface Source {
  readonly name: string
  readonly blob: Blob
  /** Object URL of the blob, for `<img>`. */
  readonly url: string
  readonly width: number
  readonly height: number
}

export const source = signal<Source | undefined>(undefined)

/** The operations of the mask, and those that were undone. */
export const painted = kept("mask", (value) => Array.isArray(value) ? value.filter(isOperation) : [])
export const undone = signal<ReadonlyArray<Operation>>([])

/** Reads an image file; undefined if the browser cannot. */
export const read = async (blob: Blob, name: string): Promise<Source | undefined> => {
  try {
    const bitmap = await createImageBitmap(blob)
    const { height, width } = bitmap
    bitmap.close()
    return { name, blob, url: URL.createObjectURL(blob), width, height }
  } catch {
    return undefined
  }
}

const show = (next: Source | undefined) => {
  if (source.value !== undefined) URL.revokeObjectURL(source.value.url)
  source.value = next
}

/** Sets the init image and clears the mask. Returns false if the browser cannot read the image. */
export const take = async (blob: Blob, name: string): Promise<boolean> => {
  const next = await read(blob, name)
  if (next === undefined) return false
  show(next)
  painted.value = []
  undone.value = []
  await blobs.put("source", new File([blob], name, { type: blob.type }))
  return true
}

export const drop = () => {
  show(undefined)
  painted.value = []
  undone.value = []
  void blobs.remove("source")
}

/** Restores the init image and the mask after a reload. */
export const restore = async () => {
  const found = await blobs.get("source")
  const next = found === undefined ? undefined : await read(found, found instanceof File ? found.name : "image")
  if (source.value === undefined && next !== undefined) show(next)
}

export const apply = (operation: Operation) => {
  painted.value = [...painted.value, operation]
  undone.value = []
}

export const undo = () => {
  const last = painted.value.at(-1)
  if (last === undefined) return
  painted.value = painted.value.slice(0, -1)
  undone.value = [...undone.value, last]
}

export const redo = () => {
  const last = undone.value.at(-1)
  if (last === undefined) return
  undone.value = undone.value.slice(0, -1)
  painted.value = [...painted.value, last]
}
