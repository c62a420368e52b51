/**
 * The ControlNets of the form: their units, the images that they follow, and the maps that preprocessors make of them.
 *
 * Files are kept in the browser under the id of their unit.
 */
import { signal } from "@preact/signals"
import { ControlUnit, mostUnits } from "../../processing/ControlUnit.ts"
import * as api from "../api.ts"
import * as blobs from "./blobs.ts"
import { selectedModel } from "./catalogue.ts"
import { form, revived } from "./form.ts"
import { fileOf, newest } from "./gallery.ts"
import { complain, offerUndo } from "./notices.ts"
import { kept } from "./persist.ts"
import { clearProblems, problems, showFailure } from "./problems.ts"
import { fileOfSource, read, type Source, source } from "./source.ts"
import { isKind, tab } from "./ui.ts"

/** A unit as the form has it; a number is null where the preprocessor's own acts, or none was entered. */
export interface Unit {
  /** Its own in this browser. */
  readonly id: string
  readonly enabled: boolean
  readonly model: string
  readonly module: string
  readonly weight: number | null
  readonly guidance_start: number | null
  readonly guidance_end: number | null
  readonly control_mode: string
  readonly resize_mode: string
  readonly pixel_perfect: boolean
  readonly processor_res: number | null
  readonly threshold_a: number | null
  readonly threshold_b: number | null
}

const { image: _image, low_vram: _low_vram, mask: _mask, ...initial } = ControlUnit.make({})
const defaults: Unit = { id: "", ...initial, processor_res: null, threshold_a: null, threshold_b: null }

const newId = (): string => Math.random().toString(36).slice(2)

export const units = kept("units", (value): ReadonlyArray<Unit> =>
  Array.isArray(value)
    ? value.slice(0, mostUnits).map((unit) => revived(defaults, unit)).filter(({ id }) => id !== "")
    : [])

/** The images that units follow, by the unit's id. */
export const images = signal<Readonly<Record<string, Source>>>({})

/** What a preprocessor made of an image: its URL, or undefined while it works. */
export const maps = signal<Readonly<Record<string, { readonly url: string | undefined }>>>({})

export const preprocessors = signal<ReadonlyArray<api.Preprocessor>>([])
/** ControlNets of the models folders; undefined until they are loaded. */
export const controlNets = signal<ReadonlyArray<api.ModelFile> | undefined>(undefined)
/** Why the lists could not be loaded. */
export const failure = signal("")

/** Loads both lists; new files are found each time. */
export const loadControlNets = async () => {
  try {
    const [all, files] = await Promise.all([api.preprocessors(), api.modelFiles("controlnet")])
    preprocessors.value = all
    controlNets.value = files.filter(({ problem }) => problem === null)
    failure.value = ""
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error)
  }
}

/** Names of the ControlNets; those of other families than the chosen model's say so. */
export const choicesOfModel = () => {
  const own = selectedModel.value?.family ?? null
  const files = controlNets.value ?? []
  const isOther = ({ family }: api.ModelFile) => own !== null && family !== null && family !== own
  return [
    { value: "", label: "Choose a ControlNet" },
    ...[...files.filter((file) => !isOther(file)), ...files.filter(isOther)].map((file) => ({
      value: file.name,
      label: isOther(file) ? `${file.name} (for ${file.family})` : file.name
    }))
  ]
}

export const placeOf = (id: string): number => units.value.findIndex((unit) => unit.id === id)

export const add = () => {
  const [first, ...others] = controlNets.value ?? []
  const model = first !== undefined && others.length === 0 ? first.name : ""
  units.value = [...units.value, { ...defaults, id: newId(), model }]
}

const without = <A>(entries: Readonly<Record<string, A>>, id: string): Readonly<Record<string, A>> =>
  Object.fromEntries(Object.entries(entries).filter(([key]) => key !== id))

const dropMap = (id: string) => {
  const url = maps.value[id]?.url
  if (url !== undefined) URL.revokeObjectURL(url)
  if (id in maps.value) maps.value = without(maps.value, id)
}

// Takes its image from a unit, whose URL stays for the undoing of that.
const loseImage = (id: string) => {
  images.value = without(images.value, id)
  dropMap(id)
  void blobs.remove(`unit/${id}`)
}

const keepImage = ({ blob, name }: Source, id: string) =>
  void blobs.put(`unit/${id}`, new File([blob], name, { type: blob.type }))

/** What undoing brings back. */
export const stateOfUnits = () => ({ units: units.value, images: images.value })

export const putUnits = (before: ReturnType<typeof stateOfUnits>) => {
  clearUnits()
  for (const { id } of units.value) dropMap(id)
  for (const id of Object.keys(images.value)) if (!(id in before.images)) void blobs.remove(`unit/${id}`)
  for (const [id, image] of Object.entries(before.images)) keepImage(image, id)
  units.value = before.units
  images.value = before.images
}

// Acts, and offers to undo that if an image or a unit was lost by it.
const undoably = (text: string, act: () => void) => {
  const before = stateOfUnits()
  act()
  offerUndo(text, () => putUnits(before), () => {
    const kept = new Set(Object.values(images.value).map(({ url }) => url))
    for (const { url } of Object.values(before.images)) if (!kept.has(url)) URL.revokeObjectURL(url)
  })
}

/** Takes its image from a unit. */
export const dropImage = (id: string) => undoably("The image is removed from the ControlNet.", () => loseImage(id))

// Problems are named by places, which change when a unit goes.
const clearUnits = () => clearProblems(Object.keys(problems.value).filter((name) => name.startsWith("control_units")))

export const remove = (id: string) =>
  undoably("The ControlNet is removed.", () => {
    clearUnits()
    loseImage(id)
    units.value = units.value.filter((unit) => unit.id !== id)
  })

const ofMap = new Set(["module", "pixel_perfect", "processor_res", "threshold_a", "threshold_b"])

/** Changes some fields of a unit; another preprocessor has numbers of its own. */
export const changeUnit = (id: string, patch: Partial<Unit>) => {
  clearProblems(Object.keys(patch).map((name) => `control_units.${placeOf(id)}.${name}`))
  const own = patch.module === undefined ? {} : { processor_res: null, threshold_a: null, threshold_b: null }
  units.value = units.value.map((unit) => unit.id === id ? { ...unit, ...own, ...patch } : unit)
  if (Object.keys(patch).some((name) => ofMap.has(name))) dropMap(id)
}

/** Gives a unit its image. */
export const follow = async (id: string, blob: Blob, name: string) => {
  const next = await read(blob, name)
  if (next === undefined) return
  clearProblems([`control_units.${placeOf(id)}.image`])
  const put = () => {
    dropMap(id)
    images.value = { ...images.value, [id]: next }
    keepImage(next, id)
  }
  if (id in images.value) undoably("The image of the ControlNet is replaced.", put)
  else put()
}

/** Gives a unit the newest image. */
export const followLast = async (id: string) => {
  const last = newest.value
  const file = last === undefined ? undefined : await fileOf(last)
  if (file === undefined) return complain("There is no image yet, or the server has it no more.")
  await follow(id, file, "the last image")
}

/** Restores the images after a reload. */
export const restoreUnits = async () => {
  const known = new Set(units.value.map(({ id }) => `unit/${id}`))
  await blobs.sweep("unit/", (key) => known.has(key))
  for (const { id } of units.value) {
    const found = await blobs.getBlob(`unit/${id}`)
    const image = found && await read(found, found instanceof File ? found.name : "image")
    if (image !== undefined && !(id in images.value)) images.value = { ...images.value, [id]: image }
  }
}

const bytesOf = async (blob: Blob): Promise<Uint8Array> => new Uint8Array(await blob.arrayBuffer())

const numbers = ["weight", "guidance_start", "guidance_end"] as const

// A unit as requests have it, without what is not set.
const asked = async ({ id, ...unit }: Unit): Promise<Readonly<Record<string, unknown>>> => {
  const image = images.value[id]
  return {
    ...Object.fromEntries(Object.entries(unit).filter(([, value]) => value !== null)),
    ...(image !== undefined && { image: await bytesOf(image.blob) })
  }
}

/** The units of a request, and the problems that can be found before it is sent; none if none is enabled. */
export const askedUnits = async (hasInitImage: boolean) => {
  const problems = units.value.flatMap((unit, i): ReadonlyArray<api.Problem> => {
    const at = (name: keyof Unit | "image", message: string) => ({ path: `control_units.${i}.${name}`, message })
    if (!unit.enabled) return []
    return [
      ...(!hasInitImage && !(unit.id in images.value) ? [at("image", "Choose the image to follow.")] : []),
      ...(unit.model === "" ? [at("model", "Choose a ControlNet.")] : []),
      ...numbers.flatMap((name) => unit[name] === null ? [at(name, "Enter a number.")] : [])
    ]
  })
  if (!units.value.some(({ enabled }) => enabled)) return { request: {}, problems }
  const control_units = await Promise.all(
    units.value.map((unit) => unit.enabled ? asked(unit) : Promise.resolve({ enabled: false }))
  )
  return { request: { control_units }, problems }
}

/** Puts the units of a request in place of the form's; images stay with the units of their places. */
export const applyUnits = (given: api.AskedRequest["control_units"]) => {
  clearUnits()
  for (const { id } of units.value.slice(given.length)) loseImage(id)
  units.value = given.map((unit, i) => {
    const id = units.value[i]?.id ?? newId()
    dropMap(id)
    // Infotexts name a file with its hash.
    return { ...revived(defaults, unit), id, model: unit.model.replace(/ \[[0-9a-f]+\]$/, "") }
  })
}

/** Whether an enabled unit has no image. */
export const isLackingImage = (): boolean => units.value.some(({ enabled, id }) => enabled && !(id in images.value))

/** Shows what the preprocessor of a unit makes of its image. */
export const preprocess = async (id: string) => {
  const place = placeOf(id)
  const unit = units.value[place]
  const start = source.value
  const image = images.value[id]?.blob ??
    (start === undefined || !isKind(tab.value) ? undefined : await fileOfSource(tab.value, start))
  if (unit === undefined || image === undefined) return
  const { module, pixel_perfect, processor_res, threshold_a, threshold_b } = unit
  dropMap(id)
  maps.value = { ...maps.value, [id]: { url: undefined } }
  try {
    const bytes = await api.preprocess({
      module,
      pixel_perfect,
      image: await bytesOf(image),
      processor_res: processor_res ?? undefined,
      threshold_a: threshold_a ?? undefined,
      threshold_b: threshold_b ?? undefined,
      width: form.value.width ?? undefined,
      height: form.value.height ?? undefined
    })
    const url = URL.createObjectURL(new Blob([Uint8Array.from(bytes)], { type: "image/png" }))
    if (id in maps.value) maps.value = { ...maps.value, [id]: { url } }
  } catch (error) {
    dropMap(id)
    const { message, problems, tag } = api.failureOf(error)
    const ofUnit = problems.map(({ message, path }) => ({ message, path: `control_units.${place}.${path}` }))
    showFailure(new api.ApiFailure(tag, message, ofUnit), "")
  }
}
