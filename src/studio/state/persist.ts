/**
 * Signals stored in the browser, which persist across reloads.
 */
import { effect, type Signal, signal } from "@preact/signals"
import { complain } from "./notices.ts"

// A browser may refuse its storage altogether: then even its name throws.
const read = (storage: () => Storage, key: string): unknown => {
  try {
    return JSON.parse(storage().getItem(`serena.${key}`) ?? "null")
  } catch {
    return null
  }
}

export const isFull = (error: unknown): boolean => error instanceof DOMException && error.name === "QuotaExceededError"

let isSaid = false
/** Says once that the browser keeps no more. */
export const sayFull = () => {
  if (isSaid) return
  isSaid = true
  complain(
    "The browser's storage for this page is full: what you type is kept only until the page is closed. Free some of it " +
      "in the browser's settings. Finished images are safe on the server."
  )
}

// Without storage (a private window, a full disk) the values last until the page is closed.
const write = (storage: () => Storage, key: string, value: unknown) => {
  try {
    storage().setItem(`serena.${key}`, JSON.stringify(value))
  } catch (error) {
    if (isFull(error)) sayFull()
  }
}

const keptIn = (storage: () => Storage) => <A>(key: string, revive: (value: unknown) => A): Signal<A> => {
  const value = signal(revive(read(storage, key)))
  effect(() => write(storage, key, value.value))
  return value
}

/** A signal whose initial value is what `revive` reads from storage. */
export const kept = keptIn(() => localStorage)

/** The same for this browser tab alone: other tabs have a value of their own. */
export const keptInTab = keptIn(() => sessionStorage)

/** Forgets values of earlier versions. */
export const forget = (keys: ReadonlyArray<string>) => {
  try {
    for (const key of keys) localStorage.removeItem(`serena.${key}`)
  } catch {
    return
  }
}
