/**
 * What came out: pictures of this browser, and those that the server still has.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"
import { isRecord, type RunImage } from "../api.ts"
import * as blobs from "./blobs.ts"
import { kept } from "./persist.ts"

export interface Picture {
  /** `{run}/{index}`. */
  readonly key: string
  readonly run: string
  readonly index: number
  readonly url: string
  readonly infotext: string
  readonly seed: number
  readonly subseed: number
  readonly width: number
  readonly height: number
  readonly format: string
  readonly complete: boolean
  readonly prompt: string
  /** Milliseconds since the epoch. */
  readonly madeAt: number
}

/** Most pictures that are remembered here. */
const most = 200

const isPicture = (value: unknown): value is Picture =>
  isRecord(value) &&
  ["key", "run", "url", "infotext", "format", "prompt"].every((name) => typeof value[name] === "string") &&
  ["index", "seed", "subseed", "width", "height", "madeAt"].every((name) => typeof value[name] === "number") &&
  typeof value["complete"] === "boolean"

/** Newest first. */
export const mine = kept("pictures", (value) => Array.isArray(value) ? value.filter(isPicture).slice(0, most) : [])
export const theirs = signal<ReadonlyArray<Picture>>([])

export type Shelf = "mine" | "server"
export const shelf = kept<Shelf>("shelf", (value) => value === "server" ? "server" : "mine")
export const shelved = computed(() => shelf.value === "mine" ? mine.value : theirs.value)

/** Keys of the pictures on the stage: those of the run that ended last. */
export const staged = kept(
  "staged",
  (value): ReadonlyArray<string> => Array.isArray(value) ? value.filter((key) => typeof key === "string") : []
)
export const stagedPictures = computed(() => mine.value.filter(({ key }) => staged.value.includes(key)))

/** The large view: its pictures, and which of them. */
export const viewed = signal<{ readonly pictures: ReadonlyArray<Picture>; readonly at: number } | undefined>(undefined)

export const view = (pictures: ReadonlyArray<Picture>, picture: Picture) => {
  viewed.value = { pictures, at: Math.max(0, pictures.findIndex(({ key }) => key === picture.key)) }
}

const pictureOf = (run: string, prompt: string, madeAt: number) => (image: RunImage): Picture => ({
  key: `${run}/${image.index}`,
  run,
  prompt,
  madeAt,
  index: image.index,
  // From the page on, so that a server behind a path of another one works.
  url: image.url.replace(/^\//, ""),
  infotext: image.infotext,
  seed: image.seed,
  subseed: image.subseed,
  width: image.width,
  height: image.height,
  format: image.format,
  complete: image.complete
})

/** Takes in what a run made, puts it on the stage, and keeps copies of the files. */
export const add = (run: string, prompt: string, images: ReadonlyArray<RunImage>) => {
  const made = images.map(pictureOf(run, prompt, Date.now()))
  const keys = new Set(made.map(({ key }) => key))
  mine.value = [...made, ...mine.value.filter(({ key }) => !keys.has(key))].slice(0, most)
  staged.value = made.map(({ key }) => key)
  void keep(made)
}

const keep = async (made: ReadonlyArray<Picture>) => {
  for (const { key, url } of made) {
    const response = await fetch(url).catch(() => undefined)
    if (response?.ok === true) await blobs.put(`picture/${key}`, await response.blob())
  }
  const known = new Set(mine.value.map(({ key }) => `picture/${key}`))
  await blobs.sweep("picture/", (key) => known.has(key))
}

/** Forgets a picture here; the server's own copy stays. */
export const forget = (picture: Picture) => {
  mine.value = mine.value.filter(({ key }) => key !== picture.key)
  void blobs.remove(`picture/${picture.key}`)
}

export const forgetAll = () => {
  mine.value = []
  staged.value = []
  void blobs.sweep("picture/", () => false)
}

/** A picture's file: the server's, or the copy that is kept here. */
export const fileOf = async (picture: Picture): Promise<Blob | undefined> => {
  const response = await fetch(picture.url).catch(() => undefined)
  return response?.ok === true ? response.blob() : blobs.get(`picture/${picture.key}`)
}

/** All pictures that the server has. */
export const refresh = async () => {
  const { runs } = await api.listRuns()
  theirs.value = runs.flatMap(({ ended_at, id, request, status }) =>
    status._tag === "Done" ? status.images.map(pictureOf(id, request.prompt, ended_at ?? 0)) : []
  )
}
