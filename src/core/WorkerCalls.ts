/**
 * Calls on a worker thread of this process: each request has a number, and one reply with the same number.
 *
 * Only calls in flight keep the process alive. When the thread dies, so does every call on it.
 */
import * as Effect from "effect/Effect"
import type { Worker } from "node:worker_threads"

/** What pairs a reply with its request. */
interface Numbered {
  readonly id: number
}

export interface WorkerCalls<in Request extends Numbered, out E> {
  readonly isAlive: () => boolean
  /**
   * Sends the request that `write` makes for a number, and awaits its reply. Interruption calls `interrupted`. Memory
   * in `handedOver` becomes the thread's.
   */
  readonly ask: <Reply extends Numbered>(
    write: (id: number) => Request,
    interrupted?: () => void,
    handedOver?: ReadonlyArray<ArrayBuffer>
  ) => Effect.Effect<Reply, E>
  /** Ends the thread. */
  readonly end: Effect.Effect<void>
}

/** Calls on a thread that has just been started. `died` is how calls end when it dies. */
export const make = <Request extends Numbered, E>(
  worker: Worker,
  died: (reason: string) => Effect.Effect<never, E>
): WorkerCalls<Request, E> => {
  const waiting = new Map<number, (reply: Effect.Effect<never, E>) => void>()
  let asked = 0
  let death: string | undefined
  const die = (reason: string) => {
    death ??= reason
    for (const resume of waiting.values()) resume(died(death))
    waiting.clear()
  }
  const settled = (id: number) => {
    waiting.delete(id)
    if (waiting.size === 0) worker.unref()
  }
  // Each call in flight listens for its own reply.
  worker.setMaxListeners(0)
  worker.on("error", (error) => die(error instanceof Error ? error.message : String(error)))
  worker.on("exit", (code) => die(`it exited with code ${code}`))
  worker.unref()
  return {
    isAlive: () => death === undefined,
    ask: <Reply extends Numbered>(
      write: (id: number) => Request,
      interrupted?: () => void,
      handedOver: ReadonlyArray<ArrayBuffer> = []
    ) =>
      Effect.callback<Reply, E>((resume) => {
        if (death !== undefined) return resume(died(death))
        const id = ++asked
        const listen = (reply: Reply) => {
          if (reply.id !== id) return
          worker.off("message", listen)
          settled(id)
          resume(Effect.succeed(reply))
        }
        waiting.set(id, resume)
        worker.ref()
        worker.on("message", listen)
        worker.postMessage(write(id), handedOver)
        return Effect.sync(() => {
          worker.off("message", listen)
          settled(id)
          interrupted?.()
        })
      }),
    end: Effect.promise(() => worker.terminate())
  }
}
