/**
 * Attention by keys: more or less weight for what is selected in a prompt, as stable-diffusion-webui's page does it.
 */

/** A text with a selection: `to` is the place after its last character. */
export interface Selected {
  readonly text: string
  readonly from: number
  readonly to: number
}

/** What is replaced by what, and what is selected afterwards. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly by: string
  readonly selected: readonly [from: number, to: number]
}

/** Change of the weight of a text, and of an extra network such as a LoRA. */
const steps = { text: 0.1, network: 0.05 }

// What ends a word.
const delimiter = /[\s.,\\/!?%^*;:{}=`~()[\]<>|]/

const number = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*$/

const isEscaped = (text: string, at: number): boolean => {
  let backslashes = 0
  while (text[at - 1 - backslashes] === "\\") backslashes++
  return backslashes % 2 === 1
}

interface Group {
  readonly open: number
  readonly close: number
}

// The innermost round brackets around a selection.
const bracketsAround = ({ from, text, to }: Selected): Group | undefined => {
  const opened: Array<number> = []
  for (let i = 0; i < text.length; i++) {
    if (isEscaped(text, i)) continue
    if (text[i] === "(") opened.push(i)
    else if (text[i] === ")") {
      const open = opened.pop()
      if (open !== undefined && open <= from && to <= i + 1) return { open, close: i }
    }
  }
  return undefined
}

const tagAround = ({ from, text, to }: Selected): Group | undefined => {
  for (const { 0: tag, index } of text.matchAll(/<[^<>:]+:[^<>]*>/g)) {
    if (index <= from && to <= index + tag.length) return { open: index, close: index + tag.length - 1 }
  }
  return undefined
}

const written = (weight: number): string => String(Number(weight.toFixed(3)))

/**
 * The change of a prompt when a key asks for more or less attention: for the brackets or the tag around the selection,
 * else for the selection, else for the word at the caret. Undefined where there is nothing of that kind.
 */
export const adjusted = (selection: Selected, more: boolean): Edit | undefined => {
  const { text } = selection
  const direction = more ? 1 : -1
  const tag = tagAround(selection)
  if (tag !== undefined) {
    const parts = text.slice(tag.open + 1, tag.close).split(":")
    // `<lora:name>` has the weight 1.
    const given = parts.slice(2).findIndex((part) => number.test(part))
    const weight = given === -1 ? 1 : Number(parts[given + 2])
    const next = written(weight + direction * steps.network)
    const changed = given === -1 ? [...parts.slice(0, 2), next, ...parts.slice(2)] : parts.with(given + 2, next)
    const by = `<${changed.join(":")}>`
    return { from: tag.open, to: tag.close + 1, by, selected: [tag.open, tag.open + by.length] }
  }
  const group = bracketsAround(selection)
  if (group !== undefined) {
    const inside = text.slice(group.open + 1, group.close)
    const colon = inside.lastIndexOf(":")
    const isWeighted = colon !== -1 && number.test(inside.slice(colon + 1))
    const content = isWeighted ? inside.slice(0, colon) : inside
    // Brackets alone stand for 1.1.
    const weight = Number(written((isWeighted ? Number(inside.slice(colon + 1)) : 1.1) + direction * steps.text))
    const [by, start] = weight === 1 ? [content, group.open] : [`(${content}:${written(weight)})`, group.open + 1]
    return { from: group.open, to: group.close + 1, by, selected: [start, start + content.length] }
  }
  let { from, to } = selection
  if (from === to) {
    while (from > 0 && !delimiter.test(text[from - 1] ?? " ")) from--
    while (to < text.length && !delimiter.test(text[to] ?? " ")) to++
  }
  while (from < to && /\s/.test(text[from] ?? "")) from++
  while (to > from && /\s/.test(text[to - 1] ?? "")) to--
  if (from === to) return undefined
  const content = text.slice(from, to)
  const by = `(${content}:${written(1 + direction * steps.text)})`
  return { from, to, by, selected: [from + 1, from + 1 + content.length] }
}
