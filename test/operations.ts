import * as Effect from "effect/Effect"
import { type Profiler, Session } from "node:inspector"

/**
 * Counts what a program does, instead of the seconds it takes: the count is the same on a busy machine.
 *
 * It is the number of times that blocks of JavaScript ran, as V8's precise coverage counts them, plus the characters
 * that `String`'s and the elements that `Array`'s own searching, splitting and joining went through. Coverage is reset
 * for the whole process: count in the project `process`, where nothing else collects it.
 */
export const operations = (run: () => unknown): number => {
  const counter = start()
  try {
    run()
    return counter.taken()
  } finally {
    counter.stop()
  }
}

/** The operations of an effect, and of Effect's own runtime while it runs. */
export const operationsOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(start),
    (counter) => Effect.map(effect, counter.taken),
    (counter) => Effect.sync(counter.stop)
  )

// Functions compiled before the start have no counters in their blocks. Most are compiled when they are called first.
const session = new Session()
session.connect()
session.post("Profiler.enable")
session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true })

const start = () => {
  const builtIns = watchBuiltIns()
  takeBlocks()
  return { taken: () => builtIns.stop() + takeBlocks(), stop: builtIns.stop }
}

/** Blocks that have run since the last time. The session answers before `post` returns. */
const takeBlocks = (): number => {
  const scripts: Array<Profiler.ScriptCoverage> = []
  session.post("Profiler.takePreciseCoverage", (error, { result }) => {
    if (error !== null) throw error
    scripts.push(...result)
  })
  let sum = 0
  for (const { functions, url } of scripts) {
    if (url.startsWith("node:") || url.endsWith("/operations.ts")) continue
    for (const { ranges } of functions) for (const { count } of ranges) sum += count
  }
  return sum
}

const builtIns: ReadonlyArray<readonly [owner: object, names: ReadonlyArray<string>]> = [
  [String.prototype, ["indexOf", "lastIndexOf", "includes", "split", "replace", "replaceAll"]],
  [Array.prototype, ["indexOf", "includes", "join", "splice", "shift", "unshift"]]
]

/** Wraps the built-in functions until it is stopped, which gives how far they went. */
const watchBuiltIns = () => {
  let steps = 0
  const replaced: Array<readonly [owner: object, name: string, original: PropertyDescriptor]> = []
  for (const [owner, names] of builtIns) {
    for (const name of names) {
      const original = Object.getOwnPropertyDescriptor(owner, name)
      if (original === undefined) continue
      replaced.push([owner, name, original])
      Object.defineProperty(owner, name, {
        ...original,
        value: new Proxy(original.value, {
          apply: (call, self: string | ReadonlyArray<unknown>, args: ReadonlyArray<unknown>) => {
            const { length } = self
            const found: unknown = Reflect.apply(call, self, args)
            steps += distance(name, length, args, found)
            return found
          }
        })
      })
    }
  }
  return {
    stop: () => {
      for (const [owner, name, original] of replaced.splice(0)) Object.defineProperty(owner, name, original)
      return steps
    }
  }
}

/** How far a search went; all the way for a function that visits everything. */
const distance = (name: string, length: number, [, given]: ReadonlyArray<unknown>, found: unknown): number => {
  if (name === "join") return typeof found === "string" ? found.length : length
  if (typeof found !== "number") return length
  const from = typeof given === "number" ? given : name === "lastIndexOf" ? length : 0
  const to = found === -1 ? (name === "lastIndexOf" ? 0 : length) : found
  return Math.abs(to - from) + 1
}
