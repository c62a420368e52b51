/**
 * The thread for long work: it calls functions that modules export and answers with what they return. It is started by
 * `WorkThreads` only.
 */
import { parentPort } from "node:worker_threads"
import type { Reply, Request } from "./WorkThreads.ts"

// The result, or undefined once it is no longer awaited.
const perform = async (
  { args, cancelled, module, name }: Request
): Promise<{ readonly value: unknown } | undefined> => {
  const loaded: Readonly<Record<string, unknown>> = await import(module)
  const work = loaded[name]
  if (typeof work !== "function") throw new Error(`${module} does not export ${name}`)
  const parts: Generator<void, unknown, void> = Reflect.apply(work, undefined, args)
  while (Atomics.load(cancelled, 0) === 0) {
    const part = parts.next()
    if (part.done === true) return { value: part.value }
  }
  return undefined
}

const messageOf = (error: unknown): string => error instanceof Error ? error.stack ?? error.message : String(error)

// Memory that the result has to itself is handed over and not copied; what lies in shared memory is copied here.
const handedOver = (value: unknown, buffers: Set<ArrayBuffer>): unknown => {
  if (value instanceof Uint8Array) {
    const { buffer } = value
    const own = buffer instanceof ArrayBuffer && buffer.byteLength === value.byteLength ? value : new Uint8Array(value)
    if (own.buffer instanceof ArrayBuffer) buffers.add(own.buffer)
    return own
  }
  if ((value instanceof Float32Array || value instanceof Int32Array) && value.buffer instanceof ArrayBuffer) {
    buffers.add(value.buffer)
  }
  if (Array.isArray(value)) return value.map((item) => handedOver(item, buffers))
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.fromEntries(Object.entries(value).map(([key, field]) => [key, handedOver(field, buffers)]))
    : value
}

const answer = async (request: Request): Promise<void> => {
  const { id } = request
  try {
    const result = await perform(request)
    if (result === undefined) return
    const buffers = new Set<ArrayBuffer>()
    const value = handedOver(result.value, buffers)
    parentPort?.postMessage({ id, value } satisfies Reply, [...buffers])
  } catch (error) {
    parentPort?.postMessage({ id, failure: messageOf(error) } satisfies Reply)
  }
}

let last = Promise.resolve()
parentPort?.on("message", (request: Request) => {
  last = last.then(() => answer(request))
})
