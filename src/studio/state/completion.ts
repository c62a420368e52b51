/**
 * Suggestions while a prompt is typed.
 */
import { signal } from "@preact/signals"
import type { Suggestion } from "../../contract/Prompts.ts"
import * as api from "../api.ts"
import { type Asked, askedAt, writtenFor } from "./caret.ts"
import { type Prompts, typeOver } from "./typing.ts"

export interface Popup {
  readonly field: keyof Prompts
  readonly suggestions: ReadonlyArray<Suggestion>
  /** The place of the one that a key takes. */
  readonly active: number
  /** What they take the place of begins there, and ends at the caret. */
  readonly from: number
  readonly caret: number
}

/** The suggestions that are shown. */
export const popup = signal<Popup | undefined>(undefined)

/** Milliseconds without a key before suggestions are asked for. */
const pause = 120

let asking: ReturnType<typeof setTimeout> | undefined

export const closePopup = () => {
  clearTimeout(asking)
  popup.value = undefined
}

/** Looks for suggestions for what was typed last. */
export const complete = (node: HTMLTextAreaElement, field: keyof Prompts) => {
  clearTimeout(asking)
  const { selectionEnd: caret, selectionStart, value } = node
  const asked = selectionStart === caret ? askedAt(value, caret, field === "prompt") : undefined
  popup.value = asked && popup.value && stillFitting(popup.value, { field, value, caret, ...asked })
  if (asked === undefined) return
  asking = setTimeout(async () => {
    const { query, suggestions } = await find(asked)
    if (node.value !== value || node.selectionEnd !== caret || document.activeElement !== node) return
    const from = asked.kind === undefined ? caret - query.length : asked.from
    const typed = value.slice(from, caret)
    const isWritten = suggestions.length === 1 && suggestions[0]?.text === typed
    popup.value = suggestions.length === 0 || isWritten ? undefined : { field, suggestions, active: 0, from, caret }
  }, pause)
}

// What of the shown suggestions still fits, until those for the new text are there.
const stillFitting = (
  shown: Popup,
  { caret, field, from, kind, query, value }: Asked & {
    readonly field: keyof Prompts
    readonly value: string
    readonly caret: number
  }
): Popup | undefined => {
  if (shown.field !== field || shown.from < from || shown.from >= caret) return undefined
  const wanted = plain(kind === undefined ? value.slice(shown.from, caret) : query)
  const suggestions = shown.suggestions.filter(({ alias, name, text }) =>
    [alias ?? "", name, text].some((each) => plain(each).includes(wanted))
  )
  return suggestions.length === 0 ? undefined : { ...shown, suggestions, active: 0, caret }
}

const plain = (text: string): string => text.toLowerCase().replaceAll("_", " ")

const find = async ({ kind, query }: Asked) => {
  try {
    return await api.suggestions({ query, ...(kind !== undefined && { kind }) })
  } catch {
    // Typing goes on without them.
    return { query, suggestions: [] }
  }
}

/** Writes a suggestion into its field. Ctrl+Z takes it back. */
export const take = (node: HTMLTextAreaElement, place: number) => {
  const shown = popup.value
  const suggestion = shown?.suggestions[place]
  closePopup()
  if (shown === undefined || suggestion === undefined) return
  const { caret, from } = shown
  const typed = node.value.slice(from, caret)
  const written = writtenFor(suggestion, node.value.slice(caret))
  // What is replaced is selected again when it is taken back: of a text that goes on, only the rest is written.
  const isRest = written.startsWith(typed)
  typeOver(node, [isRest ? caret : from, caret], isRest ? written.slice(typed.length) : written)
  closePopup()
}

/** Acts on a key while suggestions are shown; whether it did. */
export const onPopupKey = (event: KeyboardEvent, node: HTMLTextAreaElement, field: keyof Prompts): boolean => {
  const shown = popup.value
  if (shown?.field !== field || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return false
  const { active, suggestions: { length } } = shown
  const move = (by: number) => {
    popup.value = { ...shown, active: (active + by + length) % length }
  }
  switch (event.key) {
    case "ArrowDown": {
      move(1)
      break
    }
    case "ArrowUp": {
      move(-1)
      break
    }
    case "Enter":
    case "Tab": {
      if (event.shiftKey) return false
      take(node, active)
      break
    }
    case "Escape": {
      closePopup()
      break
    }
    default: {
      if (/^(?:Arrow|Home|End|Page)/.test(event.key)) closePopup()
      return false
    }
  }
  event.preventDefault()
  event.stopPropagation()
  return true
}
