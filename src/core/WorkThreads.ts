/**
 * Long work in threads of this process.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import { inTurns, type Lane, type Parts, type Work, WorkPlace } from "./Work.ts"
import * as WorkerCalls from "./WorkerCalls.ts"

/** To the thread: call a function of a module. */
export interface Request {
  readonly id: number
  readonly module: string
  readonly name: string
  readonly args: ReadonlyArray<unknown>
  /** Its first number becomes 1 when the result is no longer awaited. */
  readonly cancelled: Int32Array
}

/** From the thread. `failure` is a stack: works do not fail, so it is a defect. */
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: string }

const threadUrl = new URL(import.meta.url.endsWith(".ts") ? "./workThread.ts" : "./workThread.js", import.meta.url)

/**
 * `WorkPlace` as threads of this process, one for each lane. A thread starts with its first work and ends with the
 * scope; if it dies, what it was doing is a defect, and the next work starts another.
 */
export const layer: Layer.Layer<never> = Layer.effect(
  WorkPlace,
  Effect.gen(function*() {
    const threads = new Map<Lane, Thread>()
    yield* Effect.addFinalizer(() => Effect.forEach(threads.values(), ({ end }) => end, { discard: true }))
    const threadOf = (lane: Lane): Thread => {
      const known = threads.get(lane)
      if (known?.isAlive() === true) return known
      const thread = startThread()
      threads.set(lane, thread)
      return thread
    }
    return {
      run: <Args extends ReadonlyArray<unknown>, A>(
        { lane = "pixels", module, parts }: Work<Args, A>,
        args: Args
      ): Effect.Effect<A> =>
        Effect.gen(function*() {
          const sent: Array<unknown> = []
          for (const arg of args) sent.push(yield* shareable(arg))
          return yield* threadOf(lane).ask<A>({ module, name: parts.name, args: sent })
        })
    }
  })
)

interface Thread {
  readonly isAlive: () => boolean
  readonly ask: <A>(request: Pick<Request, "args" | "module" | "name">) => Effect.Effect<A>
  readonly end: Effect.Effect<void>
}

type Answer<A> = { readonly id: number; readonly value: A } | { readonly id: number; readonly failure: string }

const startThread = (): Thread => {
  const calls = WorkerCalls.make<Request, never>(
    new Worker(threadUrl, { execArgv: [] }),
    (reason) => Effect.die(new Error(`the thread for long work died: ${reason}`))
  )
  return {
    isAlive: calls.isAlive,
    end: calls.end,
    ask: <A>(request: Pick<Request, "args" | "module" | "name">) =>
      Effect.suspend(() => {
        const cancelled = new Int32Array(new SharedArrayBuffer(4))
        return Effect.flatMap(
          calls.ask<Answer<A>>((id) => ({ id, cancelled, ...request }), () => void Atomics.store(cancelled, 0, 1)),
          (answer) => "failure" in answer ? Effect.die(new Error(answer.failure)) : Effect.succeed(answer.value)
        )
      })
  }
}

/** Bytes that are copied at a time, in about a millisecond. */
const copiedAtOnce = 4 * 2 ** 20

// Large arrays of bytes and of single numbers move to memory that both threads see, in turns; a message would copy them
// without a pause.
const shareable = (value: unknown): Effect.Effect<unknown> =>
  value instanceof Uint8Array || value instanceof Float32Array
    ? value.byteLength <= copiedAtOnce || value.buffer instanceof SharedArrayBuffer
      ? Effect.succeed(value)
      : inTurns(() => sharing(value))
    : Array.isArray(value)
    ? Effect.forEach(value, shareable)
    : typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Effect.map(
      Effect.forEach(
        Object.entries(value),
        ([key, field]) => Effect.map(shareable(field), (sent) => [key, sent] as const)
      ),
      (fields) => Object.fromEntries(fields)
    )
    : Effect.succeed(value)

function* sharing(values: Float32Array | Uint8Array): Parts<Float32Array | Uint8Array> {
  const shared = new SharedArrayBuffer(values.byteLength)
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const copy = new Uint8Array(shared)
  for (let from = 0; from < bytes.length; from += copiedAtOnce) {
    copy.set(bytes.subarray(from, from + copiedAtOnce), from)
    yield
  }
  return values instanceof Float32Array ? new Float32Array(shared) : copy
}
