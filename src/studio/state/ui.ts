/**
 * The state of the page: the tab, the theme, short messages.
 */
import { effect, signal } from "@preact/signals"
import { kept } from "./persist.ts"

export const tabs = [
  { id: "txt2img", label: "Text to image" },
  { id: "img2img", label: "Image to image" },
  { id: "inpaint", label: "Inpaint" },
  { id: "upscale", label: "Upscale" },
  { id: "models", label: "Models" },
  { id: "info", label: "PNG info" },
  { id: "settings", label: "Settings" }
] as const
export type Tab = (typeof tabs)[number]["id"]
/** The tabs that generate images. */
export type Kind = "txt2img" | "img2img" | "inpaint"

export const tab = kept<Tab>("tab", (value) => tabs.find(({ id }) => id === value)?.id ?? "txt2img")

export const isKind = (name: Tab): name is Kind => name === "txt2img" || name === "img2img" || name === "inpaint"

// How far each tab is scrolled: the page, and its form.
const scrolled = new Map<Tab, { readonly page: number; readonly form: number }>()

const formBox = () => document.querySelector(".panel-scroll")

/** Waits until the page shows what its state says. */
export const rendered = () => new Promise<void>((resolve) => setTimeout(resolve))

/** Shows a tab as far scrolled as it was left. */
export const go = (name: Tab) => {
  if (name === tab.value) return
  scrolled.set(tab.value, { page: scrollY, form: formBox()?.scrollTop ?? 0 })
  tab.value = name
  const { form, page } = scrolled.get(name) ?? { form: 0, page: 0 }
  const scroll = () => {
    scrollTo({ top: page, behavior: "instant" })
    formBox()?.scrollTo({ top: form, behavior: "instant" })
  }
  void rendered().then(scroll)
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

/** The announcement of a run's start and end to screen readers. */
export const announcement = signal("")
