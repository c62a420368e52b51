/**
 * The gallery: the runs that the server keeps, newest first, loaded page by page.
 */
import { computed, signal } from "@preact/signals"
import { toJson } from "../../core/Seed.ts"
import { firstAxis } from "../../processing/Plot.ts"
import * as api from "../api.ts"
import { ApiFailure, type RunImage } from "../api.ts"
import * as blobs from "./blobs.ts"
import { options, selectedModel } from "./catalogue.ts"
import type { SeedText } from "./form.ts"
import { complain, endToast, offerUndo } from "./notices.ts"
import { forget, keptInTab } from "./persist.ts"
import { cellOf } from "./plot.ts"

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
  /** What it is, in words. */
  readonly name: string
  /** Whether it shows all images of a plot. Its size is not known, and 0. */
  readonly isPlot: boolean
}

/** A place of the gallery: an image, or a run that failed. */
export interface Tile {
  readonly key: string
  readonly run: api.Run
  readonly image: GalleryImage | undefined
}

/** What the gallery shows. Empty texts stand for everything; days are `YYYY-MM-DD`. */
export interface Filters {
  readonly search: string
  readonly model: string
  readonly tag: string
  readonly starred: boolean
  readonly from: string
  readonly to: string
}

export const everything: Filters = { search: "", model: "", tag: "", starred: false, from: "", to: "" }

export const filters = signal(everything)
export const isFiltered = computed(() => filters.value !== everything)

const runs = signal<ReadonlyArray<api.Run>>([])
// Where the next page begins: null after the last one, undefined before the first.
const next = signal<string | null | undefined>(undefined)
/** Whether there is more to load. */
export const hasMore = computed(() => next.value !== null)
/** Why the gallery could not be loaded. */
export const unavailable = signal<string | undefined>(undefined)
// Runs that were removed, and can still come back.
const removed = signal<ReadonlySet<string>>(new Set())

/** The run on the stage: the last of this browser tab. */
const staged = signal<api.Run | undefined>(undefined)
const stagedId = keptInTab("staged", (value) => typeof value === "string" ? value : "")

// The first page is soon there, and further ones are few.
const pageLength = { first: 50, further: 100 }

// The beginning of a day, in milliseconds since the epoch.
const dayOf = (text: string, later = 0): number | undefined => {
  const [year = 0, month = 0, day = 0] = text.split("-").map(Number)
  return text === "" ? undefined : new Date(year, month - 1, day + later).getTime()
}

// A run with the model that the server chooses by itself has no name of a model.
const recordedModel = (name: string): string =>
  options.value?.sd_model_checkpoint === "" && selectedModel.value?.name === name ? "" : name

const page = (before?: string) => {
  const { from, model, search, starred, tag, to } = filters.value
  const said = (text: string) => text.trim() === "" ? undefined : text.trim()
  return api.listRuns({
    limit: before === undefined ? pageLength.first : pageLength.further,
    before,
    search: said(search),
    model: model === "" ? undefined : recordedModel(model),
    tag: said(tag),
    starred: starred ? true : undefined,
    from: dayOf(from),
    to: dayOf(to, 1)
  })
}

// Answers to earlier questions are not shown.
let asked = 0
let isLoading = false

const loading = async (before: string | undefined, use: (list: Awaited<ReturnType<typeof page>>) => void) => {
  const mine = ++asked
  isLoading = true
  try {
    const list = await page(before)
    if (mine !== asked) return
    use(list)
    unavailable.value = undefined
  } catch (error) {
    if (mine === asked) unavailable.value = messageOf(error)
  } finally {
    if (mine === asked) isLoading = false
  }
}

/** Loads the newest runs again. Older ones that were loaded stay. */
export const refresh = () =>
  loading(undefined, (list) => {
    const ids = new Set(list.runs.map(({ id }) => id))
    const last = list.runs.at(-1)
    const known = runs.value
    // Without a common run there may be others between the new ones and those that were loaded.
    const isJoined = last !== undefined && known.some(({ id }) => ids.has(id))
    const older = list.next === null || !isJoined
      ? []
      : known.filter(({ id, submitted_at }) => !ids.has(id) && submitted_at <= last.submitted_at)
    runs.value = [...list.runs, ...older]
    if (older.length === 0) next.value = list.next
  })

/** Loads the next page, if there is one. */
export const more = async () => {
  if (isLoading || next.value === null || unavailable.value !== undefined) return
  if (next.value === undefined) return refresh()
  await loading(next.value, (list) => {
    const ids = new Set(runs.value.map(({ id }) => id))
    runs.value = [...runs.value, ...list.runs.filter(({ id }) => !ids.has(id))]
    next.value = list.next
  })
}

/** Shows other runs. */
export const filter = (patch: Partial<Filters>) => {
  const wanted = { ...filters.value, ...patch }
  filters.value = JSON.stringify(wanted) === JSON.stringify(everything) ? everything : wanted
  return loading(undefined, (list) => {
    runs.value = list.runs
    next.value = list.next
  })
}

const imageOf = (id: string, prompt: string, asked?: api.AskedRequest) => (image: RunImage): GalleryImage => ({
  key: `${id}/${image.index}`,
  run: id,
  prompt,
  index: image.index,
  // Relative to the page, so that it works behind a proxy with a path prefix.
  url: image.url.replace(/^\//, ""),
  infotext: image.infotext,
  seed: toJson(image.seed),
  subseed: toJson(image.subseed),
  width: image.width,
  height: image.height,
  format: image.format,
  complete: image.complete,
  name: nameOf(prompt, asked && cellOf(asked, image.index)?.label),
  isPlot: false
})

const nameOf = (prompt: string, label = ""): string =>
  [prompt === "" ? "An image without a prompt" : prompt, label].filter((part) => part !== "").join(", ")

// The image of a plot as a whole.
const plotOf = ({ id, request, status }: api.Run): ReadonlyArray<GalleryImage> => {
  const [first] = "images" in status ? status.images : []
  const grid = status._tag === "Done" ? status.extras.find(({ kind }) => kind === "grid") : undefined
  return first === undefined || grid === undefined || firstAxis(request) === undefined ? [] : [{
    ...imageOf(id, request.prompt)(first),
    key: `${id}/plot`,
    index: -1,
    url: grid.url.replace(/^\//, ""),
    format: grid.format,
    width: 0,
    height: 0,
    name: nameOf(`Plot: ${request.prompt}`),
    isPlot: true
  }]
}

// Finished images of runs that go on.
const live = signal<Readonly<Record<string, ReadonlyArray<GalleryImage>>>>({})
export const liveOf = (id: string): ReadonlyArray<GalleryImage> => live.value[id] ?? []

/** Shows an image of a run that goes on. */
export const addLive = (id: string, prompt: string, image: RunImage) => {
  const known = liveOf(id).filter(({ index }) => index !== image.index)
  live.value = { ...live.value, [id]: [...known, imageOf(id, prompt)(image)].toSorted((a, b) => a.index - b.index) }
}

export const endLive = (id: string) => {
  live.value = Object.fromEntries(Object.entries(live.value).filter(([known]) => known !== id))
}

const imagesOf = (run: api.Run): ReadonlyArray<GalleryImage> =>
  "images" in run.status
    ? [...plotOf(run), ...run.status.images.map(imageOf(run.id, run.request.prompt, run.request))]
    : liveOf(run.id)

const tilesOf = (run: api.Run): ReadonlyArray<Tile> => [
  ...imagesOf(run).map((image) => ({ key: image.key, run, image })),
  ...run.status._tag === "Failed" ? [{ key: `${run.id}/failed`, run, image: undefined }] : []
]

/** Newest run first, the images of each in their order. */
export const tiles = computed(() => runs.value.filter(({ id }) => !removed.value.has(id)).flatMap(tilesOf))
const images = computed(() => tiles.value.flatMap(({ image }) => image === undefined ? [] : [image]))

export const stagedImages = computed(() => {
  const run = staged.value
  return run === undefined || removed.value.has(run.id) ? [] : imagesOf(run)
})

/** The newest image, preferably of this browser tab. */
export const newest = computed(() => [...stagedImages.value, ...images.value].find(({ isPlot }) => !isPlot))

/** Tags of the runs that were loaded. */
export const knownTags = computed(() => [...new Set(runs.value.flatMap(({ tags }) => tags))].toSorted())

/** Puts a run's images on the stage. */
export const stage = async (id: string) => {
  try {
    staged.value = await api.getRun(id)
    stagedId.value = id
  } catch (error) {
    if (error instanceof ApiFailure && error.tag === "RunNotFound") stagedId.value = ""
  }
}

/** Loads the gallery and the stage, and drops the copies of images that earlier versions kept in the browser. */
export const begin = () => {
  forget(["images", "shelf", "staged", "runs", "modelSizes"])
  void blobs.sweep("image/", () => false)
  if (stagedId.value !== "") void stage(stagedId.value)
  return refresh()
}

/** The viewer: whose images it goes through, and the key of the one shown. */
const viewing = signal<{ readonly of: "gallery" | "stage"; readonly key: string } | undefined>(undefined)

/** The image in the viewer, its run, and those around it. */
export const viewed = computed(() => {
  const now = viewing.value
  if (now === undefined) return undefined
  const own = now.of === "stage" ? stagedImages.value : images.value
  // An image on the stage may be of a run that goes on, or of the one that has just ended.
  const all = own.some(({ key }) => key === now.key) ? own : images.value
  const at = all.findIndex(({ key }) => key === now.key)
  const image = all[at]
  if (image === undefined) return undefined
  const run = runs.value.find(({ id }) => id === image.run) ?? staged.value
  return run === undefined ? undefined : { all, at, image, run, hasMore: now.of === "gallery" && hasMore.value }
})

export const view = (image: GalleryImage, of: "gallery" | "stage") => {
  viewing.value = { of, key: image.key }
}

/** Shows the image so many places further on. */
export const step = (by: number) => {
  const now = viewed.value
  const of = viewing.value?.of
  if (now === undefined || of === undefined) return
  if (of === "gallery" && now.at + by > now.all.length - 3) void more()
  const image = now.all[now.at + by]
  if (image !== undefined) viewing.value = { of, key: image.key }
}

export const closeViewer = () => {
  viewing.value = undefined
}

const replace = (run: api.Run) => {
  runs.value = runs.value.map((known) => known.id === run.id ? run : known)
  if (staged.value?.id === run.id) staged.value = run
}

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const mark = async (run: api.Run, patch: { readonly starred?: boolean; readonly tags?: ReadonlyArray<string> }) => {
  replace({ ...run, ...patch })
  try {
    replace(await api.updateRun(run.id, patch))
  } catch (error) {
    replace(run)
    complain(messageOf(error))
  }
}

/** Stars a run, or takes its star away. A starred run is kept until someone removes it. */
export const star = (run: api.Run) => mark(run, { starred: !run.starred })
export const addTag = (run: api.Run, tag: string) => mark(run, { tags: [...new Set([...run.tags, tag])] })
export const removeTag = (run: api.Run, tag: string) => mark(run, { tags: run.tags.filter((known) => known !== tag) })

const without = (ids: ReadonlySet<string>) => {
  removed.value = new Set([...removed.value].filter((id) => !ids.has(id)))
}

const endRemoval = async (ids: ReadonlySet<string>) => {
  try {
    await api.removeRuns([...ids])
    runs.value = runs.value.filter(({ id }) => !ids.has(id))
    if (staged.value !== undefined && ids.has(staged.value.id)) staged.value = undefined
  } catch (error) {
    complain(messageOf(error))
  }
  without(ids)
}

const imageCount = (count: number): string => count === 1 ? "The image is" : `${count} images are`

/** Removes runs with their images. Until the offer to undo it is gone, the server keeps them. */
export const remove = (gone: ReadonlyArray<api.Run>) => {
  const ids = new Set(gone.map(({ id }) => id))
  const now = viewed.value
  if (now !== undefined && ids.has(now.run.id)) {
    const others = (image: GalleryImage) => !ids.has(image.run)
    const neighbour = now.all.slice(now.at).find(others) ?? now.all.slice(0, now.at).findLast(others)
    const of = viewing.value?.of
    viewing.value = neighbour === undefined || of === undefined ? undefined : { of, key: neighbour.key }
  }
  // The removal before is final now, unless it is undone first.
  endToast()
  removed.value = new Set([...removed.value, ...ids])
  clearSelection()
  const count = gone.flatMap(imagesOf).length
  offerUndo(
    count === 0 ? "The run is removed." : `${imageCount(count)} removed.`,
    () => without(ids),
    () => void endRemoval(ids)
  )
}

/** Keys of the tiles that are selected. */
export const selected = signal<ReadonlySet<string>>(new Set())
// Where a selection of several begins.
let anchor: string | undefined

export const clearSelection = () => {
  selected.value = new Set()
}

/** Selects a tile, or no longer. */
export const select = (key: string) => {
  anchor = key
  const known = selected.value
  selected.value = new Set(known.has(key) ? [...known].filter((other) => other !== key) : [...known, key])
}

/** Selects all tiles from the one that was selected last to this one. */
export const selectTo = (key: string) => {
  const keys = tiles.value.map((tile) => tile.key)
  const from = anchor === undefined ? -1 : keys.indexOf(anchor)
  const to = keys.indexOf(key)
  if (from === -1) return select(key)
  selected.value = new Set([...selected.value, ...keys.slice(Math.min(from, to), Math.max(from, to) + 1)])
}

export const selectAll = () => {
  selected.value = new Set(tiles.value.map(({ key }) => key))
}

/** The selected tiles, their images, and their runs. */
export const selection = computed(() => {
  const chosen = tiles.value.filter(({ key }) => selected.value.has(key))
  return {
    images: chosen.flatMap(({ image }) => image === undefined ? [] : [image]),
    runs: [...new Map(chosen.map(({ run }) => [run.id, run])).values()]
  }
})

/** Stars all of the runs, or takes the stars away if all have one. */
export const starAll = async (all: ReadonlyArray<api.Run>) => {
  const starred = !all.every((run) => run.starred)
  for (const run of all) if (run.starred !== starred) await star(run)
}

export const tagAll = async (all: ReadonlyArray<api.Run>, tag: string) => {
  for (const run of all) await addTag(run, tag)
}

/** Removes what waits to be removed, as the page is being left. */
export const leave = () => {
  if (removed.value.size > 0) api.removeRunsLeaving([...removed.value])
}

/** The type of data that a dragged image of the gallery carries: its key. */
export const draggedImage = "application/x-serena-image"

/** What lets an element be dragged as an image. */
export const dragging = (image: GalleryImage) => ({
  draggable: true,
  onDragStart: (event: DragEvent) => event.dataTransfer?.setData(draggedImage, image.key)
})

/** An image that was loaded, by its key. */
export const imageByKey = (key: string): GalleryImage | undefined =>
  [...stagedImages.value, ...images.value].find((image) => image.key === key)

/** An image's file; undefined if the server no longer has it. */
export const fileOf = async (image: GalleryImage): Promise<Blob | undefined> => {
  const response = await fetch(image.url).catch(() => undefined)
  return response?.ok === true ? response.blob() : undefined
}
