/**
 * Composition: `AND` splits a prompt into parts that guide together, each with a weight (stable-diffusion-webui 1.10.1;
 * Liu et al., arXiv:2206.01714).
 */
import { placesOfWord, trim, trimEnd } from "./Characters.ts"

/** A part of a prompt, before its schedules are read. */
export interface WeightedText {
  readonly text: string
  readonly weight: number
}

const word = "AND"

/**
 * The parts of a prompt; one at least.
 *
 * A colon and a number at the end of a part are its weight, also where there is no `AND` at all: `at ratio 16:9` is the
 * text `at ratio 16` of weight 9.
 */
export const split = (prompt: string): ReadonlyArray<WeightedText> => {
  const parts: Array<WeightedText> = []
  let from = 0
  for (const at of placesOfWord(prompt, word)) {
    parts.push(weighted(prompt.slice(from, at)))
    from = at + word.length
  }
  parts.push(weighted(prompt.slice(from)))
  return parts
}

const weightText = /^[+-]?(?:\d+\.?|\d*\.\d+)$/

const weighted = (part: string): WeightedText => {
  const colon = part.lastIndexOf(":")
  const weight = colon === -1 ? "" : trim(part.slice(colon + 1))
  return weightText.test(weight)
    ? { text: trimEnd(part.slice(0, colon)), weight: Number(weight) }
    : { text: trimEnd(part), weight: 1 }
}
