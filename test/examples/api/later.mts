// later.mts
import { Console, Effect, Option, Stream } from "effect"
import { Client, Txt2Img } from "serena-runtime/client"

const program = Effect.gen(function*() {
  const client = yield* Client.make({ url: process.env["SERENA_URL"] ?? "http://127.0.0.1:7860" })
  const stars = Txt2Img.make({ prompt: "a yellow star", steps: 50, n_iter: 50 })
  yield* client.submit(stars, { taskId: "stars" })

  // The first reader sees the run start, and disconnects.
  const isStep = ({ event }: Client.NumberedEvent) => event._tag === "Step"
  const seen = Option.getOrThrow(yield* Stream.runHead(Stream.filter(client.events("stars"), isStep)))
  yield* Console.log("disconnected after a step")

  // The second reader resumes after the last event that the first one saw.
  const reader = client.events("stars", { lastEventId: seen.id }).pipe(
    Stream.tap(({ event }) => event._tag === "Step" ? Effect.ignore(client.interrupt("stars")) : Effect.void),
    Stream.runLast
  )
  const last = Option.getOrThrow(yield* reader)
  yield* Console.log(last.event._tag === "Done" ? `ended early: ${last.event.interrupted}` : last.event._tag)
})

await Effect.runPromise(program)
