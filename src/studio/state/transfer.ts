/**
 * Sends an image to another tab, to the clipboard or to a file.
 */
import { signal } from "@preact/signals"
import { downloadZip } from "client-zip"
import * as api from "../api.ts"
import { change, type Form, form, type SeedText } from "./form.ts"
import { closeViewer, fileOf, type GalleryImage } from "./gallery.ts"
import { complain, offerUndo, say } from "./notices.ts"
import * as queue from "./queue.ts"
import { formOf } from "./request.ts"
import { again, edited } from "./runs.ts"
import * as source from "./source.ts"
import { type Prompts, type } from "./typing.ts"
import { go, type Tab, tab } from "./ui.ts"
import { applyUnits, isLackingImage, putUnits, stateOfUnits } from "./units.ts"
import { takeForUpscale } from "./upscale.ts"

const lost = "The server no longer has this image."

/** The file on the PNG info tab, with its metadata. */
export interface Inspected {
  readonly name: string
  readonly blob: Blob
  readonly url: string
  readonly info: api.PngInfo | undefined
  readonly failure: string | undefined
}
export const inspected = signal<Inspected | undefined>(undefined)

/** Shows the metadata of an image file on the PNG info tab. */
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

/** Uses a file as the init image, or several as those of several runs. */
export const startFrom = async (
  [first, ...others]: ReadonlyArray<{ readonly blob: Blob; readonly name: string }>,
  to: source.SourceKind
) => {
  if (first === undefined) return
  if (await source.take(to, to === "img2img" ? [first, ...others] : [first])) go(to)
}

/** Shows a file on the upscale tab. */
export const startUpscale = async (blob: Blob, name: string) => {
  if (await takeForUpscale(blob, name)) go("upscale")
}

/** The same with an image of the gallery. */
export const sendToUpscale = async (image: GalleryImage) => {
  const file = await asFile(image)
  if (file === undefined) return
  closeViewer()
  await startUpscale(file, file.name)
}

/** Files with their names. */
export const named = (files: ReadonlyArray<File>) => files.map((blob) => ({ blob, name: blob.name }))

/** Handles files that were pasted, or dropped outside a drop target. Only image-to-image has a use for several. */
export const receive = async (files: ReadonlyArray<File>) => {
  const [file] = files
  if (file === undefined) return
  if (tab.value === "img2img" || tab.value === "inpaint") return startFrom(named(files), tab.value)
  return tab.value === "upscale" ? startUpscale(file, file.name) : inspect(file, file.name)
}

/** The file name of an image. */
export const fileName = ({ format, index, isPlot, run, seed }: GalleryImage): string =>
  `serena-${seed}-${run.slice(0, 8)}-${isPlot ? "plot" : index}.${format}`

/** An image of the gallery as a file, or a complaint. */
export const asFile = async (image: GalleryImage): Promise<File | undefined> => {
  const file = await fileOf(image)
  if (file !== undefined) return new File([file], fileName(image), { type: file.type })
  complain(lost)
  return undefined
}

export const send = async (image: GalleryImage, to: "img2img" | "inpaint") => {
  const file = await asFile(image)
  if (file === undefined) return
  closeViewer()
  await startFrom(named([file]), to)
}

/** Fills the form with the settings of an image. */
export const reuse = async (image: GalleryImage) => {
  try {
    const { request } = await api.getRun(image.run)
    await apply(request, image.seed, image.subseed)
  } catch {
    // The run may be gone while the browser still has its file, which contains the infotext.
    const file = await fileOf(image)
    const info = file === undefined ? undefined : await api.pngInfo(file).catch(() => undefined)
    if (info?.request === undefined || info.request === null) return complain(lost)
    await apply(info.request)
  }
}

/** Fills the form with a request, on the tab of its kind. */
export const apply = async (request: api.AskedRequest, seed?: SeedText, subseed?: SeedText) =>
  offerUndo(
    ...await fillWith(
      { ...formOf(request, seed, subseed), n_iter: 1, batch_size: 1 },
      request,
      "The form has the settings of this image."
    )
  )

/** Takes a waiting run out of the queue and into the form. */
export const edit = async (run: api.Run) => {
  edited.add(run.id)
  try {
    await api.cancel(run.id)
  } catch (error) {
    edited.delete(run.id)
    return complain(error instanceof Error ? error.message : String(error))
  }
  const image = run.request._tag === "Img2Img" ? " Choose its init image again." : ""
  const [text, restore] = await fillWith(
    formOf(run.request),
    run.request,
    `The run is in the form, and no longer in the queue.${image}`
  )
  offerUndo(text, () => {
    restore()
    void again(run.id)
  })
  void queue.poll()
}

// Fills the form, and returns what to say, and what takes that back.
const fillWith = async (next: Form, request: api.AskedRequest, text: string) => {
  const before = { form: form.value, units: stateOfUnits(), tab: tab.value }
  const fill = async (
    { negative_prompt, prompt, ...others }: Partial<Form> & Prompts,
    restoreUnits: () => void,
    to: Tab
  ) => {
    change(others)
    restoreUnits()
    closeViewer()
    go(to)
    await type({ negative_prompt, prompt })
  }
  await fill(
    next,
    () => applyUnits(request.control_units),
    request._tag === "Txt2Img" ? "txt2img" : tab.value === "inpaint" ? "inpaint" : "img2img"
  )
  return [
    `${text}${isLackingImage() ? " Give the images of its ControlNets again." : ""}`,
    () => void fill(before.form, () => putUnits(before.units), before.tab)
  ] as const
}

export const useSeed = (seed: SeedText) => {
  const before = form.value.seed
  change({ seed })
  offerUndo(`The seed is now ${seed}.`, () => change({ seed: before }))
}

export const copyText = async (text: string) => {
  try {
    await navigator.clipboard.writeText(text)
    say("Copied.")
  } catch {
    complain("The browser does not allow this page to copy. Select the text and copy it.")
  }
}

// The clipboard accepts PNG only.
const toPng = async (blob: Blob): Promise<Blob> => {
  if (blob.type === "image/png") return blob
  const bitmap = await createImageBitmap(blob)
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0)
  bitmap.close()
  return canvas.convertToBlob({ type: "image/png" })
}

export const copyImage = async (image: GalleryImage) => {
  const file = await fileOf(image)
  if (file === undefined) return complain(lost)
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": await toPng(file) })])
    say("Image copied.")
  } catch {
    complain("The browser does not allow this page to copy images. Download the image instead.")
  }
}

/** Saves a file as the browser saves downloads. */
export const saveAs = (file: Blob, name: string) => {
  const url = URL.createObjectURL(file)
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

export const download = async (image: GalleryImage) => {
  const file = await fileOf(image)
  if (file === undefined) return complain(lost)
  saveAs(file, fileName(image))
}

/** Saves images as one zip file, which leaves out those that the server no longer has. */
export const downloadAll = async (images: ReadonlyArray<GalleryImage>) => {
  let missing = 0
  const files = async function*() {
    for (const image of images) {
      const input = await fileOf(image)
      if (input === undefined) missing++
      else yield { name: fileName(image), input, lastModified: new Date() }
    }
  }
  say(`${images.length} images are being packed.`)
  const zip = await downloadZip(files(), { buffersAreUTF8: true }).blob()
  if (missing === images.length) return complain(lost)
  saveAs(zip, `serena-${new Date().toISOString().slice(0, 10)}.zip`)
  if (missing > 0) complain(`The server no longer has ${missing} of the ${images.length} images.`)
}
