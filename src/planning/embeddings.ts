/**
 * Embeddings that prompts name and that do not load: their names are read as words.
 */
import type { PassPlan } from "./RunPlan.ts"

// ComfyUI's way to name one; the webui's is the bare name.
const named = /(?<![\p{L}\p{N}_])embedding:\s{0,4}([\p{L}\p{N}_.-]{1,100})/giu

const isPartOfName = (character: string | undefined): boolean =>
  character !== undefined && /[\p{L}\p{N}_-]/u.test(character)

// Names are compared as tokens, which have no case, and a name within a longer word is none.
const occurs = (text: string, name: string): boolean => {
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
    if (!isPartOfName(text[at - 1]) && !isPartOfName(text[at + name.length])) return true
  }
  return false
}

/** A warning that names the embeddings in the prompts of a run; none if there are none. */
export const embeddingWarnings = (
  passes: ReadonlyArray<Pick<PassPlan, "negativePrompt" | "prompt"> | undefined>,
  there: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const texts = passes.flatMap((pass) => pass === undefined ? [] : [pass.prompt, pass.negativePrompt])
    .map((text) => text.toLowerCase())
  const found = new Map<string, string>()
  for (const name of there) {
    if (name !== "" && texts.some((text) => occurs(text, name.toLowerCase()))) found.set(name.toLowerCase(), name)
  }
  for (const [, name = ""] of texts.flatMap((text) => Array.from(text.matchAll(named)))) {
    if (![...found.keys()].some((known) => name.startsWith(known))) found.set(name, name)
  }
  const names = [...found.values()].slice(0, 10).join(", ")
  return found.size === 0
    ? []
    : [`Embeddings are not loaded: ${names} in the prompts ${found.size === 1 ? "is" : "are"} read as words.`]
}
