/**
 * Embeddings that prompts name, and what is to be said of those that do not act.
 */
import { type Embedding, fits, widthsOf } from "../model/Embedding.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"

// Names are compared as tokens, which know neither case nor white space.
const plain = (text: string): string => text.normalize("NFC").toLowerCase().replaceAll(/\s+/g, "")

/** Those of some names that may stand in a text: the text has their letters, if not as a word of its own. */
export const occurring = <A extends { readonly name: string }>(
  texts: ReadonlyArray<string>,
  known: ReadonlyArray<A>
): ReadonlyArray<A> => {
  const all = texts.map(plain)
  return known.filter(({ name }) => {
    const wanted = plain(name)
    return wanted !== "" && all.some((text) => text.includes(wanted))
  })
}

// ComfyUI's way to name one.
const marked = /(?<![\p{L}\p{N}_])embedding:\s{0,4}([\p{L}\p{N}_.-]{1,100})/giu

/** Warns of names after `embedding:` that no embedding has. */
export const missingEmbeddings = (
  texts: ReadonlyArray<string>,
  known: ReadonlyArray<{ readonly name: string }>
): ReadonlyArray<string> => {
  const names = known.map(({ name }) => name.toLowerCase())
  const written = texts.flatMap((text) => Array.from(text.matchAll(marked), ([, name = ""]) => name.toLowerCase()))
  const missing = [...new Set(written)].filter((name) => !names.some((own) => name.startsWith(own)))
  return missing.length === 0
    ? []
    : [`No embedding is named ${listed(missing)}: the prompts' words are read as such.`]
}

const listed = (names: ReadonlyArray<string>): string => names.slice(0, 10).join(", ")

/** Warns of embeddings that a model does not take. */
export const unfitEmbeddings = (
  { name, textEncoders }: Pick<LoadedModel, "name" | "textEncoders">,
  embeddings: ReadonlyArray<Embedding>
): ReadonlyArray<string> => {
  const unfit = embeddings.filter((embedding) => !fits(embedding, textEncoders))
  if (unfit.length === 0) return []
  if (!textEncoders.some(({ takesEmbeddings }) => takesEmbeddings)) {
    const names = listed(unfit.map((embedding) => embedding.name))
    const are = unfit.length === 1 ? "is" : "are"
    return [`${name} takes no embeddings, as its networks are exported: ${names} in the prompts ${are} read as words.`]
  }
  const own = textEncoders.map(({ width }) => width).join(" and ")
  return unfit.map((embedding) =>
    `The embedding ${embedding.name} does not fit ${name}: its vectors have ${
      widthsOf(embedding).join(" and ")
    } numbers, and those of the model ${own}. Its name is read as words.`
  )
}
