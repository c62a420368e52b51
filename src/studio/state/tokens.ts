/**
 * The tokens of the prompts, counted by the server a moment after the last change.
 */
import { computed, effect, signal } from "@preact/signals"
import { fromText } from "../../core/Seed.ts"
import * as api from "../api.ts"
import { selectedModel } from "./catalogue.ts"
import { form } from "./form.ts"

/** Milliseconds without a change before the prompts are counted. */
const pause = 300

/** The counts, or why there are none; undefined before the first. */
export const tokens = signal<api.TokenCounts | { readonly reason: string } | undefined>(undefined)

// What the counts depend on.
const asked = computed(() => {
  const { negative_prompt, prompt, seed, styles } = form.value
  return JSON.stringify([selectedModel.value?.name, prompt, negative_prompt, styles, seed])
})

const count = async (): Promise<typeof tokens.value> => {
  const { negative_prompt, prompt, seed, styles } = form.value
  const drawn = fromText(String(seed ?? ""))
  try {
    return await api.countTokens({ prompt, negative_prompt, styles, ...(drawn !== undefined && { seed: drawn }) })
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) }
  }
}

let isFirst = true

/** Keeps the counts up to date. */
export const beginTokens = () =>
  effect(() => {
    const wanted = asked.value
    if (selectedModel.value === undefined) return
    const counting = setTimeout(async () => {
      const counted = await count()
      if (asked.peek() === wanted) tokens.value = counted
    }, isFirst ? 0 : pause)
    isFirst = false
    return () => clearTimeout(counting)
  })

/** The count of a prompt as the page shows it, and a sentence about it. */
export const shownCount = (name: "prompt" | "negative_prompt"): { readonly text: string; readonly about: string } => {
  const counts = tokens.value
  if (counts === undefined) return { text: "", about: "" }
  if ("reason" in counts) return { text: "–", about: `The tokens are not counted: ${counts.reason}` }
  const { capacity, chunks, dynamic, tokens: used } = counts[name]
  const each = chunks.length === 1 ? "" : ` In ${chunks.length} chunks of 75: ${chunks.join(", ")}.`
  return {
    text: `${dynamic ? "≈" : ""}${used}/${capacity}`,
    about: `Tokens of the prompt with its styles, as ${counts.model} reads them.${each}${
      dynamic ? " It is one of the texts that the prompt becomes." : ""
    }`
  }
}
