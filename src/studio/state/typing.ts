/**
 * Texts that the page writes into the prompts, as if they were typed: Ctrl+Z in the prompt takes them back.
 */
import { change } from "./form.ts"
import { rendered } from "./ui.ts"

export type Prompts = { readonly prompt: string; readonly negative_prompt: string }

const names = ["prompt", "negative_prompt"] as const

/** Writes a text over a part of a field, from and to a place in it. False where the browser does not do it. */
export const typeOver = (node: HTMLTextAreaElement, [from, to]: readonly [number, number], text: string): boolean => {
  node.focus({ preventScroll: true })
  if (document.activeElement !== node) return false
  node.setSelectionRange(from, to)
  // Only a command leaves the browser its own history of a field.
  return document.execCommand(text === "" ? "delete" : "insertText", false, text)
}

/** Replaces the prompts. The focus is then in the prompt, except where that would open a keyboard over the page. */
export const type = async (texts: Prompts) => {
  await rendered()
  for (const name of names.toReversed()) {
    const node = document.getElementById(`field-${name}`)
    if (!(node instanceof HTMLTextAreaElement) || node.value === texts[name]) continue
    if (!typeOver(node, [0, node.value.length], texts[name]) || node.value !== texts[name]) {
      change({ [name]: texts[name] })
    }
    if (matchMedia("(pointer: coarse)").matches) node.blur()
  }
  change(texts)
}
