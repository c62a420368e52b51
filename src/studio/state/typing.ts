/**
 * Texts that the page writes into the prompts, as if they were typed: Ctrl+Z in the prompt takes them back.
 */
import { change } from "./form.ts"
import { rendered } from "./ui.ts"

export type Prompts = { readonly prompt: string; readonly negative_prompt: string }

const names = ["prompt", "negative_prompt"] as const

// Only a command leaves the browser its own history of a field.
const insert = (node: HTMLTextAreaElement, text: string): boolean => {
  node.focus({ preventScroll: true })
  if (document.activeElement !== node) return false
  node.select()
  return document.execCommand(text === "" ? "delete" : "insertText", false, text)
}

/** Replaces the prompts. The focus is then in the prompt, except where that would open a keyboard over the page. */
export const type = async (texts: Prompts) => {
  await rendered()
  for (const name of names.toReversed()) {
    const node = document.getElementById(`field-${name}`)
    if (!(node instanceof HTMLTextAreaElement) || node.value === texts[name]) continue
    if (!insert(node, texts[name]) || node.value !== texts[name]) change({ [name]: texts[name] })
    if (matchMedia("(pointer: coarse)").matches) node.blur()
  }
  change(texts)
}
