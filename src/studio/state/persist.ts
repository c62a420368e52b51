/**
 * Signals that outlive a reload, in the browser's local storage.
 */
import { effect, type Signal, signal } from "@preact/signals"

const read = (key: string): unknown => {
  try {
    return JSON.parse(localStorage.getItem(`serena.${key}`) ?? "null")
  } catch {
    return null
  }
}

// Without storage (a private window, a full disk) the page works all the same, until it is closed.
const write = (key: string, value: unknown) => {
  try {
    localStorage.setItem(`serena.${key}`, JSON.stringify(value))
  } catch {
    return
  }
}

/** A signal that begins with what was kept, as `revive` understands it. */
export const kept = <A>(key: string, revive: (value: unknown) => A): Signal<A> => {
  const value = signal(revive(read(key)))
  effect(() => write(key, value.value))
  return value
}
