/**
 * The problems of the form: a sentence for each field, and an alert for the rest.
 */
import { signal } from "@preact/signals"
import type { ApiFailure, Problem } from "../api.ts"
import { announcement } from "./ui.ts"

export const problems = signal<Readonly<Record<string, string>>>({})

/** The alert: problems without a field on the page. */
export const alert = signal<string | undefined>(undefined)

// Fields of the API that have another name in the form.
const formName = (path: string, kind: string): string => {
  const [name = ""] = path.split(".")
  if (name === "control_units") return path
  if (name === "mask_blur_x" || name === "mask_blur_y") return "mask_blur"
  if (name === "denoising_strength" && kind === "txt2img") return "hr_denoising_strength"
  return name
}

/** A message with a capital letter and a full stop. */
export const sentence = (text: string): string => {
  const trimmed = text.trim()
  const begun = trimmed.slice(0, 1).toUpperCase() + trimmed.slice(1)
  return /[.!?]$/.test(begun) ? begun : `${begun}.`
}

export const clearProblems = (names: ReadonlyArray<string>) => {
  if (!names.some((name) => name in problems.value)) return
  problems.value = Object.fromEntries(Object.entries(problems.value).filter(([name]) => !names.includes(name)))
  if (Object.keys(problems.value).length === 0) alert.value = undefined
}

export const clearAll = () => {
  problems.value = {}
  alert.value = undefined
}

/** Shows problems next to their fields, and those without a field on this page in the alert. */
export const showProblems = (found: ReadonlyArray<Problem>, kind: string, otherwise = "") => {
  problems.value = Object.fromEntries(found.map(({ message, path }) => [formName(path, kind), sentence(message)]))
  alert.value = found.length === 0 ? otherwise : undefined
  announcement.value = found.map(({ message }) => sentence(message)).join(" ")
  requestAnimationFrame(() => {
    const shown = new Set(
      Array.from(document.querySelectorAll("[data-problem]"), (node) => node.getAttribute("data-problem"))
    )
    const unplaced = found.filter(({ path }) => !shown.has(formName(path, kind)))
    if (unplaced.length > 0) {
      alert.value = unplaced.map(({ message, path }) => sentence(path === "" ? message : `${path}: ${message}`)).join(
        " "
      )
    }
    document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus({ preventScroll: true })
    document.querySelector("[data-problem]:not([hidden])")?.scrollIntoView({ block: "nearest" })
  })
}

export const showFailure = (failure: ApiFailure, kind: string) => showProblems(failure.problems, kind, failure.message)
