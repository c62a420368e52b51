// fetch.mts
import { Effect, Fiber, ManagedRuntime, Stream } from "effect"
import { processImages, Processing, Runs, RunState, Serena } from "serena-runtime"

export const runtime = ManagedRuntime.make(Serena.layer({ options: { samples_save: false } }))

const event = (name: string, data: unknown) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

const events = Effect.fnUntraced(function*(body: unknown) {
  const processing = yield* Processing.decode(body)
  const { watch } = yield* Runs
  const runId = crypto.randomUUID()
  const run = yield* Effect.forkScoped(processImages(processing, { runId }))
  const progress = watch(runId).pipe(
    Stream.interruptWhen(Fiber.await(run)),
    Stream.map((state) => event("progress", RunState.fraction(state)))
  )
  const result = Stream.fromEffect(Fiber.join(run)).pipe(
    Stream.map(({ images }) => event("images", images.map(({ bytes }) => Buffer.from(bytes).toString("base64"))))
  )
  return Stream.concat(progress, result)
}, Stream.unwrap)

/** Streams the progress of a run, and then its images. A client that disconnects ends the run. */
export const POST = async (request: Request): Promise<Response> => {
  const stream = Stream.fromEffect(Effect.promise(() => request.json())).pipe(
    Stream.flatMap(events),
    Stream.catch(({ message }) => Stream.succeed(event("failed", message))),
    Stream.encodeText,
    Stream.toReadableStreamEffect()
  )
  return new Response(await runtime.runPromise(stream), { headers: { "content-type": "text/event-stream" } })
}
