/**
 * What goes from a picture to somewhere else: to another tab, to the clipboard, to a file.
 */
import { signal } from "@preact/signals"
import * as api from "../api.ts"
import { change, form } from "./form.ts"
import { fileOf, type Picture, viewed } from "./pictures.ts"
import { formOf } from "./request.ts"
import * as source from "./source.ts"
import { go, say, tab } from "./ui.ts"

const unreadable = "This is not a picture that the browser can read. Use a PNG, JPEG or WebP file."
const lost = "The server no longer has this picture, and no copy is kept here."

/** A file on the PNG info tab, and what it tells. */
export interface Inspected {
  readonly name: string
  readonly blob: Blob
  readonly url: string
  readonly info: api.PngInfo | undefined
  readonly failure: string | undefined
}
export const inspected = signal<Inspected | undefined>(undefined)

/** Shows what a picture's file tells. */
export const inspect = async (blob: Blob, name: string) => {
  go("info")
  if (inspected.value !== undefined) URL.revokeObjectURL(inspected.value.url)
  const shown = { name, blob, url: URL.createObjectURL(blob) }
  inspected.value = { ...shown, info: undefined, failure: undefined }
  try {
    inspected.value = { ...shown, info: await api.pngInfo(blob), failure: undefined }
  } catch (error) {
    inspected.value = { ...shown, info: undefined, failure: error instanceof Error ? error.message : String(error) }
  }
}

/** Makes a file the picture to start from. */
export const startFrom = async (blob: Blob, name: string, to: "img2img" | "inpaint") => {
  if (!await source.take(blob, name)) return say(unreadable)
  go(to)
}

/** What a file that was dropped or pasted becomes where no place for it is named. */
export const receive = (file: File) =>
  tab.value === "img2img" || tab.value === "inpaint"
    ? startFrom(file, file.name, tab.value)
    : inspect(file, file.name)

/** A picture's name as a file. */
export const fileName = ({ format, index, run, seed }: Picture): string =>
  `serena-${seed}-${run.slice(0, 8)}-${index}.${format}`

export const send = async (picture: Picture, to: "img2img" | "inpaint") => {
  const file = await fileOf(picture)
  if (file === undefined) return say(lost)
  viewed.value = undefined
  await startFrom(file, fileName(picture), to)
}

/** Fills the form with all that made a picture. */
export const reuse = async (picture: Picture) => {
  try {
    const { request } = await api.getRun(picture.run)
    apply(request, picture.seed, picture.subseed)
  } catch {
    // The server has forgotten the run; its picture still tells.
    const file = await fileOf(picture)
    const info = file === undefined ? undefined : await api.pngInfo(file).catch(() => undefined)
    if (info?.request === undefined || info.request === null) return say(lost)
    apply(info.request)
  }
}

/** Fills the form with a request, on the tab of its kind. */
export const apply = (request: api.AskedRequest, seed?: number, subseed?: number) => {
  const next = formOf(request, seed, subseed)
  change({ ...next, styles: next.styles, n_iter: 1, batch_size: 1 })
  viewed.value = undefined
  go(request._tag === "Txt2Img" ? "txt2img" : tab.value === "inpaint" ? "inpaint" : "img2img")
  say("The form has the settings of this picture.")
}

export const useSeed = (seed: number) => {
  change({ seed })
  say(`The next picture begins with seed ${form.value.seed}.`)
}

export const copyText = async (text: string) => {
  try {
    await navigator.clipboard.writeText(text)
    say("Copied.")
  } catch {
    say("The browser does not let this page copy. Select the text and copy it.")
  }
}

// The clipboard takes PNG only.
const toPng = async (blob: Blob): Promise<Blob> => {
  if (blob.type === "image/png") return blob
  const bitmap = await createImageBitmap(blob)
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0)
  bitmap.close()
  return canvas.convertToBlob({ type: "image/png" })
}

export const copyPicture = async (picture: Picture) => {
  const file = await fileOf(picture)
  if (file === undefined) return say(lost)
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": await toPng(file) })])
    say("The picture is in the clipboard.")
  } catch {
    say("The browser does not let this page copy pictures. Download it instead.")
  }
}

export const download = async (picture: Picture) => {
  const file = await fileOf(picture)
  if (file === undefined) return say(lost)
  const url = URL.createObjectURL(file)
  const link = document.createElement("a")
  link.href = url
  link.download = fileName(picture)
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
