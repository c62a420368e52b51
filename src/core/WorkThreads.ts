/**
 * Long work in threads of this process.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import { inTurns, joining, type Lane, type Work, WorkPlace } from "./Work.ts"
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
          const copies: Array<ArrayBuffer> = []
          const sent: Array<unknown> = []
          for (const arg of args) sent.push(yield* copied(arg, copies))
          return yield* threadOf(lane).ask<A>({ module, name: parts.name, args: sent }, copies)
        })
    }
  })
)

interface Thread {
  readonly isAlive: () => boolean
  readonly ask: <A>(
    request: Pick<Request, "args" | "module" | "name">,
    handedOver: ReadonlyArray<ArrayBuffer>
  ) => Effect.Effect<A>
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
    ask: <A>(request: Pick<Request, "args" | "module" | "name">, handedOver: ReadonlyArray<ArrayBuffer>) =>
      Effect.suspend(() => {
        const cancelled = new Int32Array(new SharedArrayBuffer(4))
        return Effect.flatMap(
          calls.ask<Answer<A>>(
            (id) => ({ id, cancelled, ...request }),
            () => void Atomics.store(cancelled, 0, 1),
            handedOver
          ),
          (answer) => "failure" in answer ? Effect.die(new Error(answer.failure)) : Effect.succeed(answer.value)
        )
      })
  }
}

/** Bytes from which on an array is copied in turns: a message would copy it without a pause. */
const large = 2 ** 20

// Large arrays of bytes and of single numbers are copied in turns, and the copies handed over. Others, and what both
// threads see, are left to the message.
const copied = (value: unknown, copies: Array<ArrayBuffer>): Effect.Effect<unknown> =>
  value instanceof Uint8Array || value instanceof Float32Array
    ? value.byteLength < large || value.buffer instanceof SharedArrayBuffer
      ? Effect.succeed(value)
      : Effect.map(inTurns(() => joining([bytesOf(value)])), ({ buffer }) => {
        copies.push(buffer)
        return value instanceof Float32Array ? new Float32Array(buffer) : new Uint8Array(buffer)
      })
    : Array.isArray(value)
    ? Effect.forEach(value, (item) => copied(item, copies))
    : typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Effect.map(
      Effect.forEach(
        Object.entries(value),
        ([key, field]) => Effect.map(copied(field, copies), (sent) => [key, sent] as const)
      ),
      (fields) => Object.fromEntries(fields)
    )
    : Effect.succeed(value)

const bytesOf = ({ buffer, byteLength, byteOffset }: Float32Array | Uint8Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)
