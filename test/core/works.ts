/** Work for the thread of long work. */
import type { Parts } from "../../src/core/Work.ts"

export function* nothing(): Parts<undefined> {
  yield
  return undefined
}

export function* endless(): Parts<never> {
  for (;;) yield
}

export function* failing(): Parts<never> {
  yield
  throw new Error("no such luck")
}
