/**
 * What the caret in a prompt asks for, and what taking a suggestion writes there.
 */
import type { Suggestion } from "../../contract/Prompts.ts"

/** What stands before the caret: words, the name in a LoRA's tag, or that of a wildcard. */
export interface Asked {
  /** Where it begins; it ends at the caret. */
  readonly from: number
  readonly query: string
  readonly kind?: "lora" | "wildcard" | undefined
}

const longestQuery = 200
const fewest = 2

/** What a caret in a prompt asks for; undefined where nothing is to be suggested. LoRAs act in the prompt alone. */
export const askedAt = (text: string, caret: number, hasLoras: boolean): Asked | undefined => {
  const before = text.slice(0, caret)
  // In the middle of a word nothing is suggested.
  if (/^[\p{L}\p{N}_]/u.test(text.slice(caret))) return undefined
  const tag = /<(?:lora|lyco):([^<>:\n]*)$/i.exec(before)
  if (tag !== null) return hasLoras ? { from: tag.index, query: tag[1] ?? "", kind: "lora" } : undefined
  const line = before.slice(before.lastIndexOf("\n") + 1)
  const pieces = line.split("__")
  const name = pieces.at(-1) ?? ""
  if (pieces.length % 2 === 0 && /^[\p{L}\p{N}_./-]*$/u.test(name)) {
    return { from: caret - name.length - 2, query: name, kind: "wildcard" }
  }
  if (/<[^<>]*$/.test(line)) return undefined
  const words = (/[^,()[\]{}|:<>\n]*$/.exec(before)?.[0] ?? "").trimStart()
  if (words.length < fewest || words.length > longestQuery || /\s$|^[\d.]+$/.test(words)) return undefined
  return { from: caret - words.length, query: words }
}

/** What is written in place of the text from a place to the caret. A word that is the last one gets a comma. */
export const writtenFor = ({ kind, text }: Pick<Suggestion, "kind" | "text">, after: string): string =>
  (kind === "tag" || kind === "embedding") && /^(?:\n|$)/.test(after) ? `${text}, ` : text
