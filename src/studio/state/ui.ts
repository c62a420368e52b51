/**
 * The state of the page: the tab, the theme, short messages.
 */
import { effect, signal } from "@preact/signals"
import { kept } from "./persist.ts"

export const tabs = [
  { id: "txt2img", label: "Text to image" },
  { id: "img2img", label: "Image to image" },
  { id: "inpaint", label: "Inpaint" },
  { id: "info", label: "PNG info" },
  { id: "settings", label: "Settings" }
] as const
export type Tab = (typeof tabs)[number]["id"]
/** The tabs that generate images. */
export type Kind = "txt2img" | "img2img" | "inpaint"

export const tab = kept<Tab>("tab", (value) => tabs.find(({ id }) => id === value)?.id ?? "txt2img")

export const isKind = (name: Tab): name is Kind => name === "txt2img" || name === "img2img" || name === "inpaint"

/** Shows a tab, scrolled to its top. */
export const go = (name: Tab) => {
  tab.value = name
  scrollTo({ top: 0 })
}

export type Theme = "system" | "light" | "dark"
export const theme = kept<Theme>("theme", (value) => value === "light" || value === "dark" ? value : "system")

effect(() => {
  if (theme.value === "system") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = theme.value
})

const prefersDark = matchMedia("(prefers-color-scheme: dark)")
const systemIsDark = signal(prefersDark.matches)
prefersDark.addEventListener("change", ({ matches }) => {
  systemIsDark.value = matches
})

export const isDark = () => theme.value === "dark" || (theme.value === "system" && systemIsDark.value)

/** Switches the theme; if that is the system's theme, the page follows the system again. */
export const toggleTheme = () => {
  const wanted = isDark() ? "light" : "dark"
  theme.value = (wanted === "dark") === systemIsDark.value ? "system" : wanted
}

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

/** Shows what was done, with a button that undoes it; `commit` is called once it can no longer be undone. */
export const offerUndo = (text: string, undo: () => void, commit: () => void) => {
  const act = () => {
    whenGone = undefined
    endToast()
    undo()
  }
  showToast({ text, action: { label: "Undo", act } }, 8000, commit)
}

/** The announcement of a run's start and end to screen readers. */
export const announcement = signal("")
