/**
 * The gallery's images: those generated in this browser, and those that the server still has.
 */
import { computed, signal } from "@preact/signals"
import { toJson } from "../../core/Seed.ts"
import * as api from "../api.ts"
import { isRecord, type RunImage } from "../api.ts"
import * as blobs from "./blobs.ts"
import { isSeed, type SeedText } from "./form.ts"
import { kept } from "./persist.ts"

export interface GalleryImage {
  /** `{run}/{index}`. */
  readonly key: string
  readonly run: string
  readonly index: number
  readonly url: string
  readonly infotext: string
  readonly seed: SeedText
  readonly subseed: SeedText
  readonly width: number
  readonly height: number
  readonly format: string
  readonly complete: boolean
  readonly prompt: string
  /** Milliseconds since the epoch. */
  readonly madeAt: number
}

/** Most images that this browser keeps. */
const most = 200

const isGalleryImage = (value: unknown): value is GalleryImage =>
  isRecord(value) &&
  ["key", "run", "url", "infotext", "format", "prompt"].every((name) => typeof value[name] === "string") &&
  ["index", "width", "height", "madeAt"].every((name) => typeof value[name] === "number") &&
  isSeed(value["seed"]) && isSeed(value["subseed"]) &&
  typeof value["complete"] === "boolean"

/** Newest first. */
export const mine = kept("images", (value) => Array.isArray(value) ? value.filter(isGalleryImage).slice(0, most) : [])
export const theirs = signal<ReadonlyArray<GalleryImage>>([])

export type Shelf = "mine" | "server"
export const shelf = kept<Shelf>("shelf", (value) => value === "server" ? "server" : "mine")
export const shelved = computed(() => shelf.value === "mine" ? mine.value : theirs.value)

/** Keys of the images on the stage: those of the run that ended last. */
export const staged = kept(
  "staged",
  (value): ReadonlyArray<string> => Array.isArray(value) ? value.filter((key) => typeof key === "string") : []
)
export const stagedImages = computed(() => mine.value.filter(({ key }) => staged.value.includes(key)))

/** The viewer: its images, and the index of the one shown. */
export const viewed = signal<{ readonly images: ReadonlyArray<GalleryImage>; readonly at: number } | undefined>(
  undefined
)

export const view = (images: ReadonlyArray<GalleryImage>, image: GalleryImage) => {
  viewed.value = { images, at: Math.max(0, images.findIndex(({ key }) => key === image.key)) }
}

const galleryImageOf = (run: string, prompt: string, madeAt: number) => (image: RunImage): GalleryImage => ({
  key: `${run}/${image.index}`,
  run,
  prompt,
  madeAt,
  index: image.index,
  // Relative to the page, so that it works behind a proxy with a path prefix.
  url: image.url.replace(/^\//, ""),
  infotext: image.infotext,
  seed: toJson(image.seed),
  subseed: toJson(image.subseed),
  width: image.width,
  height: image.height,
  format: image.format,
  complete: image.complete
})

/** Adds a run's images to the gallery, puts them on the stage, and stores copies of the files. */
export const add = (run: string, prompt: string, images: ReadonlyArray<RunImage>) => {
  const made = images.map(galleryImageOf(run, prompt, Date.now()))
  const keys = new Set(made.map(({ key }) => key))
  mine.value = [...made, ...mine.value.filter(({ key }) => !keys.has(key))].slice(0, most)
  staged.value = made.map(({ key }) => key)
  void keep(made)
}

const keep = async (made: ReadonlyArray<GalleryImage>) => {
  for (const { key, url } of made) {
    const response = await fetch(url).catch(() => undefined)
    if (response?.ok === true) await blobs.put(`image/${key}`, await response.blob())
  }
  const known = new Set(mine.value.map(({ key }) => `image/${key}`))
  await blobs.sweep("image/", (key) => known.has(key))
}

/** Removes an image from this browser; the server's file stays. */
export const forget = (image: GalleryImage) => {
  mine.value = mine.value.filter(({ key }) => key !== image.key)
  void blobs.remove(`image/${image.key}`)
}

export const forgetAll = () => {
  mine.value = []
  staged.value = []
  void blobs.sweep("image/", () => false)
}

/** An image's file: the server's, or this browser's copy. */
export const fileOf = async (image: GalleryImage): Promise<Blob | undefined> => {
  const response = await fetch(image.url).catch(() => undefined)
  return response?.ok === true ? response.blob() : blobs.get(`image/${image.key}`)
}

/** Loads the images that the server has. */
export const refresh = async () => {
  const { runs } = await api.listRuns()
  theirs.value = runs.flatMap(({ ended_at, id, request, status }) =>
    "images" in status ? status.images.map(galleryImageOf(id, request.prompt, ended_at ?? 0)) : []
  )
}
