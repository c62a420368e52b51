/**
 * Signals stored in the browser's local storage, which persist across reloads.
 */
import { effect, type Signal, signal } from "@preact/signals"

const read = (key: string): unknown => {
  try {
    return JSON.parse(localStorage.getItem(`serena.${key}`) ?? "null")
  } catch {
    return null
  }
}

// Without storage (a private window, a full disk) the values last until the page is closed.
const write = (key: string, value: unknown) => {
  try {
    localStorage.setItem(`serena.${key}`, JSON.stringify(value))
  } catch {
    return
  }
}

/** A signal whose initial value is what `revive` reads from storage. */
export const kept = <A>(key: string, revive: (value: unknown) => A): Signal<A> => {
  const value = signal(revive(read(key)))
  effect(() => write(key, value.value))
  return value
}
