// thread.mts
import { Effect, ManagedRuntime } from "effect"
import { type MessagePort, parentPort } from "node:worker_threads"
import { processImages, Processing, Serena } from "serena-runtime"

/** A request with the port for its reply, or the command to end. */
export type Message = { readonly request: unknown; readonly reply: MessagePort } | "end"
export type Answer = { readonly pngs: ReadonlyArray<Uint8Array<ArrayBuffer>> } | { readonly error: string }

const runtime = ManagedRuntime.make(Serena.layer({ options: { samples_save: false } }))

const answer = (request: unknown) =>
  Effect.flatMap(Processing.decode(request), (processing) => processImages(processing)).pipe(
    Effect.match({
      onSuccess: ({ images }) => ({ pngs: images.map(({ bytes }) => new Uint8Array(bytes)) }),
      onFailure: ({ message }) => ({ error: message })
    })
  )

parentPort?.on("message", async (message: Message) => {
  if (message === "end") {
    await runtime.dispose()
    parentPort?.close()
  } else {
    const answered: Answer = await runtime.runPromise(answer(message.request))
    // The bytes are transferred, not copied.
    message.reply.postMessage(answered, "pngs" in answered ? answered.pngs.map(({ buffer }) => buffer) : [])
    message.reply.close()
  }
})
