/**
 * Messages over the page.
 */
import { signal } from "@preact/signals"

/** A message over the page. */
export interface Notice {
  readonly text: string
  readonly action?: { readonly label: string; readonly act: () => void } | undefined
}

/** The message that goes by itself. */
export const toast = signal<Notice | undefined>(undefined)
/** The message that stays until it is closed. */
export const trouble = signal<Notice | undefined>(undefined)

let forgetting: ReturnType<typeof setTimeout> | undefined
let whenGone: (() => void) | undefined

/** Takes the toast away. */
export const endToast = () => {
  clearTimeout(forgetting)
  toast.value = undefined
  const then = whenGone
  whenGone = undefined
  then?.()
}

const showToast = (notice: Notice, milliseconds: number, then?: () => void) => {
  endToast()
  toast.value = notice
  whenGone = then
  forgetting = setTimeout(endToast, milliseconds)
}

/** Shows a message for a few seconds. */
export const say = (text: string) => showToast({ text }, 4000)

/** Shows that an action failed, or was refused, until the message is closed. */
export const complain = (text: string, action?: Notice["action"]) => {
  trouble.value = { text, action }
}

/** The same after the message that is shown already, if there is one. */
export const complainToo = (text: string) =>
  complain(trouble.value === undefined ? text : `${trouble.value.text} ${text}`)

/** Shows a message with a button that acts. */
export const offer = (text: string, label: string, act: () => void) =>
  showToast({
    text,
    action: {
      label,
      act: () => {
        endToast()
        act()
      }
    }
  }, 20_000)

/** Shows what was done, with a button that undoes it; `commit` is called once it can no longer be undone. */
export const offerUndo = (text: string, undo: () => void, commit?: () => void) => {
  const act = () => {
    whenGone = undefined
    endToast()
    undo()
  }
  showToast({ text, action: { label: "Undo", act } }, 20_000, commit)
}
