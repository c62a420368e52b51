/**
 * Files of models: checkpoints to choose, LoRAs and embeddings for the prompt.
 */
import { computed, signal } from "@preact/signals"
import * as api from "../api.ts"
import { selectedModel, setOptions } from "./catalogue.ts"
import { change, form } from "./form.ts"
import { say } from "./notices.ts"

/** The kinds that the page lists, as the server names them. */
export const networkKinds = [
  { kind: "checkpoint", label: "Models" },
  { kind: "lora", label: "LoRAs" },
  { kind: "embedding", label: "Embeddings" }
] as const
export type NetworkKind = (typeof networkKinds)[number]["kind"]

/** All files of the models folders; undefined until they are loaded. */
export const files = signal<ReadonlyArray<api.ModelFile> | undefined>(undefined)
export const networkKind = signal<NetworkKind>("checkpoint")
export const search = signal("")
/** Why the list could not be loaded. */
export const failure = signal("")

/** Most files that are shown at once. */
const mostShown = 60

/** Whether a file has a text in its name or its trained words. */
export const isFound = ({ name, trained_words }: api.ModelFile, text: string): boolean => {
  const wanted = text.trim().toLowerCase()
  return [name, ...trained_words].some((text) => text.toLowerCase().includes(wanted))
}

const found = computed(() =>
  files.value?.filter((file) => file.kind === networkKind.value && file.problem === null && isFound(file, search.value))
)

/** The files to show, and how many more there are; undefined until they are loaded. */
export const shown = computed(() =>
  found.value && { files: found.value.slice(0, mostShown), more: Math.max(0, found.value.length - mostShown) }
)

/** Loads the list; new files are found each time. */
export const loadFiles = async () => {
  try {
    files.value = await api.modelFiles()
    failure.value = ""
  } catch (error) {
    failure.value = error instanceof Error ? error.message : String(error)
  }
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** The prompt that was written in last: a word goes there. */
let field: "prompt" | "negative_prompt" = "prompt"
addEventListener("focusin", ({ target }) => {
  if (!(target instanceof HTMLTextAreaElement)) return
  if (target.id === "field-prompt") field = "prompt"
  if (target.id === "field-negative_prompt") field = "negative_prompt"
})

// What the prompt has of a file: a tag with any weight, or the name as words of their own.
const patternOf = ({ kind, name, tag }: api.ModelFile): RegExp =>
  kind === "lora"
    ? new RegExp(`\\s*<(?:lora|lyco):(?:${escaped(name)}|${escaped(tag ?? name)})(?::[^>]*)?>`, "gi")
    : new RegExp(`(?:^|,)\\s*${escaped(name)}(?=\\s*(?:,|$))`, "gi")

/** Whether a file is in use: the chosen model, a LoRA or embedding of the prompts. */
export const isUsed = (file: api.ModelFile): boolean =>
  file.kind === "checkpoint"
    ? selectedModel.value?.name === file.name
    : file.kind === "lora"
    ? form.value.prompt.search(patternOf(file)) !== -1
    : [form.value.prompt, form.value.negative_prompt].some((text) => text.search(patternOf(file)) !== -1)

const append = (text: string, added: string, separator: string): string =>
  text.trim() === "" ? added : `${text.trimEnd().replace(/,$/, "")}${separator}${added}`

/** Puts a trained word into the prompt, unless it is there. */
export const addWord = (word: string) => {
  const { prompt } = form.value
  const isThere = prompt.split(",").some((part) => part.trim().toLowerCase() === word.toLowerCase())
  if (!isThere) change({ prompt: append(prompt, word, ", ") })
  say(`"${word}" is in the prompt.`)
}

/** Chooses a model, puts a LoRA's tag or an embedding's name into the prompt, or takes it out again. */
export const use = async (file: api.ModelFile) => {
  const { prompt, negative_prompt } = form.value
  const without = (text: string) => text.replaceAll(patternOf(file), "").replace(/^\s*,?\s*/, "")
  if (file.kind === "checkpoint") {
    try {
      await setOptions({ sd_model_checkpoint: file.name })
      say(`${file.name} is used from now on.`)
    } catch (error) {
      failure.value = error instanceof Error ? error.message : String(error)
    }
  } else if (isUsed(file)) {
    change(
      file.kind === "lora"
        ? { prompt: without(prompt) }
        : { prompt: without(prompt), negative_prompt: without(negative_prompt) }
    )
  } else if (file.kind === "lora") change({ prompt: append(prompt, `<lora:${file.tag ?? file.name}:1>`, " ") })
  else change({ [field]: append(form.value[field], file.name, ", ") })
}
