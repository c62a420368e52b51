/**
 * The models tab: which files it shows, and downloads of models by the server.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"
import { ApiFailure } from "../api.ts"
import { loadModels } from "./catalogue.ts"
import { files, isFound, isUsed, loadFiles, use } from "./networks.ts"
import { complain, say } from "./notices.ts"
import { sentence } from "./problems.ts"
import { tab } from "./ui.ts"

/** What the tab calls the kinds of files, and the kinds of the server in each. */
export const groups = [
  { label: "Checkpoints", one: "checkpoint", kinds: ["checkpoint", "unet", "diffusion-transformer"] },
  { label: "LoRAs", one: "LoRA", kinds: ["lora"] },
  { label: "Embeddings", one: "embedding", kinds: ["embedding"] },
  { label: "ControlNets", one: "ControlNet", kinds: ["controlnet", "t2i-adapter"] },
  { label: "VAEs", one: "VAE", kinds: ["vae", "taesd"] },
  { label: "Upscalers", one: "upscaler", kinds: ["upscaler"] },
  { label: "Others", one: "file of another kind", kinds: ["text-encoder", "other"] }
] as const
export type Group = (typeof groups)[number]["label"]

/** The group that is shown; undefined for all. */
export const group = signal<Group | undefined>(undefined)
export const search = signal("")

/** Files that are shown before more are asked for, and each time. */
const pageLength = 60
const most = signal(pageLength)

/** Shows the files with a text, or of a group. */
export const show = (what: { readonly text: string } | { readonly group: Group | undefined }) => {
  if ("text" in what) search.value = what.text
  else group.value = what.group
  most.value = pageLength
}

export const showMore = () => {
  most.value += pageLength
}

/** What a file is, in the words of the page. */
export const groupOf = ({ kind }: Pick<api.ModelFile, "kind">) =>
  groups.find(({ kinds }) => kinds.some((own) => own === kind)) ?? groups[6]

const families: Readonly<Record<string, string>> = {
  "sd1": "SD 1",
  "sd2": "SD 2",
  "sdxl": "SDXL",
  "sdxl-refiner": "SDXL refiner"
}

/** What a family is called. */
export const familyOf = ({ family }: api.ModelFile): string => family === null ? "" : families[family] ?? family

const found = computed(() => files.value?.filter((file) => isFound(file, search.value)))

/** How many files with the text each group has. */
export const counts = computed(() => {
  const all = Map.groupBy(found.value ?? [], (file) => groupOf(file).label)
  return new Map(groups.map(({ label }) => [label, all.get(label)?.length ?? 0]))
})

/** The files to show, and how many more there are; undefined until they are loaded. */
export const shown = computed(() => {
  const all = found.value?.filter((file) => group.value === undefined || groupOf(file).label === group.value)
  return all && { files: all.slice(0, most.value), more: Math.max(0, all.length - most.value) }
})

/** Chooses a model, or puts what belongs to the file into the prompt or out of it, and says so. */
export const useFile = async (file: api.ModelFile) => {
  await use(file)
  if (file.kind === "checkpoint") return
  say(isUsed(file) ? `${file.name} is in the prompt.` : `${file.name} is no longer in the prompt.`)
}

/** What the server downloads; undefined until it has answered. */
export const downloads = signal<api.DownloadList | undefined>(undefined)
export const source = signal("")
export const name = signal("")
export const folder = signal("")
/** Why the last download did not start. */
export const refusal = signal("")
export const isStarting = signal(false)

export const isActive = ({ state }: api.Download): boolean => state === "waiting" || state === "running"

// When the page first saw the bytes of a download, for its speed.
const begun = new Map<string, { readonly at: number; readonly received: number }>()

/** Bytes for each second since the page first saw some; undefined while that is too short. */
export const speedOf = ({ id, received, state }: api.Download): number | undefined => {
  const first = begun.get(id)
  if (first === undefined || state !== "running") return undefined
  const seconds = (Date.now() - first.at) / 1000
  return seconds < 1 ? undefined : (received - first.received) / seconds
}

/** Milliseconds between two questions while something is downloaded. */
const pace = 1000

let asking: ReturnType<typeof setTimeout> | undefined

/** Asks for the downloads, and again while there are some. */
export const pollDownloads = async (): Promise<void> => {
  clearTimeout(asking)
  const before = downloads.value?.downloads.filter(isActive) ?? []
  try {
    const now = await api.downloads()
    downloads.value = now
    for (const download of now.downloads) {
      if (download.state === "running" && !begun.has(download.id)) {
        begun.set(download.id, { at: Date.now(), received: download.received })
      }
    }
    const ended = now.downloads.filter((download) => !isActive(download) && before.some(({ id }) => id === download.id))
    for (const { name, problem, source, state } of ended) {
      if (state === "done") say(`${name ?? source} is there.`)
      // The tab itself shows it.
      if (state === "failed" && tab.value !== "models") complain(`${source} was not downloaded: ${problem}.`)
    }
    if (ended.some(({ state }) => state === "done")) await Promise.all([loadFiles(), loadModels()])
  } catch (error) {
    if (before.length === 0) refusal.value = error instanceof Error ? error.message : String(error)
  }
  if (downloads.value?.downloads.some(isActive) === true) asking = setTimeout(() => void pollDownloads(), pace)
}

/** Shows what is there now. */
export const openModels = () => {
  void loadFiles()
  void pollDownloads()
}

interface Asked {
  readonly source: string
  readonly name?: string
  readonly folder?: string
}

// What this page asked for: the server shows addresses without their queries.
const asked = new Map<string, Asked>()

const start = async (request: Asked) => {
  isStarting.value = true
  refusal.value = ""
  try {
    const { id } = await api.startDownload(request)
    asked.set(id, request)
    await pollDownloads()
    return true
  } catch (error) {
    const problems = error instanceof ApiFailure ? error.problems : []
    refusal.value = problems.length > 0
      ? problems.map(({ message }) => sentence(message)).join(" ")
      : error instanceof Error
      ? error.message
      : String(error)
    return false
  } finally {
    isStarting.value = false
  }
}

/** Asks again for what did not arrive. */
export const again = ({ id, source }: api.Download) => void start(asked.get(id) ?? { source })

/** Starts the download of the form. */
export const download = async () => {
  const typed = { source: source.value.trim(), name: name.value.trim(), folder: folder.value.trim() }
  if (typed.source === "") {
    refusal.value = "Enter an address, or a repository of the hub."
    return
  }
  if (isStarting.value) return
  const isStarted = await start({
    source: typed.source,
    ...(typed.name !== "" && { name: typed.name }),
    ...(typed.folder !== "" && { folder: typed.folder })
  })
  if (!isStarted) return
  source.value = ""
  name.value = ""
}

const act = async (send: () => Promise<unknown>) => {
  try {
    await send()
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
  }
  await pollDownloads()
}

export const cancelDownload = ({ id }: api.Download) => act(() => api.cancelDownload(id))
export const removeDownload = ({ id }: api.Download) => act(() => api.removeDownload(id))
