/**
 * The title of the browser's tab: the progress of the run, and what has ended while the page was not looked at.
 */
import { computed, effect } from "@preact/signals"
import { unseen } from "./alerts.ts"
import { current } from "./runs.ts"

const title = computed(() => {
  const name = "Serena studio"
  const run = current.value
  if (run !== undefined) {
    return run.position !== undefined
      ? `Waiting - ${name}`
      : `${Math.round(100 * (run.progress?.fraction ?? 0))} % - ${name}`
  }
  return unseen.value === undefined ? name : `${unseen.value} - ${name}`
})

/** Keeps the title of the browser's tab up to date. */
export const beginTitle = () =>
  effect(() => {
    document.title = title.value
  })
