/** Servers and workers as processes of their own, which share a database and a folder. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Options, start } from "../cli/process.ts"

const RunReply = Schema.Struct({
  id: Schema.String,
  attempts: Schema.Int,
  status: Schema.Struct({
    _tag: Schema.String,
    images: Schema.optional(Schema.Array(Schema.Struct({ url: Schema.String, infotext: Schema.String }))),
    message: Schema.optional(Schema.String)
  })
})
type RunReply = typeof RunReply.Type

const decodeRun = Schema.decodeUnknownEffect(RunReply)

const decodeQueue = Schema.decodeUnknownEffect(Schema.Struct({ queued: Schema.Int, running: Schema.Int }))

const decodeRuns = Schema.decodeUnknownEffect(Schema.Struct({ runs: Schema.Array(RunReply) }))

const headers = { "content-type": "application/json" }

/** A server's replies to what a client of `/v1` asks. */
export const clientOf = (url: string) => {
  const request = (method: string, path: string, body?: object) =>
    Effect.promise((signal) =>
      fetch(url + path, { method, signal, ...(body !== undefined && { headers, body: JSON.stringify(body) }) })
    )
  const runOf = (reply: Response) => Effect.flatMap(Effect.promise(() => reply.json()), decodeRun)
  const get = (id: string) => Effect.flatMap(request("GET", `/v1/runs/${id}`), runOf)
  const eventsUntil = (id: string, pattern: RegExp) =>
    Effect.promise(async (signal) => {
      const { body } = await fetch(`${url}/v1/runs/${id}/events?previews=true`, { signal })
      let text = ""
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk
        if (pattern.test(text)) return text
      }
      throw new Error(`the events ended without ${pattern}:\n${text}`)
    })
  return {
    request,
    submit: (fields: object) => Effect.flatMap(request("POST", "/v1/runs", fields), runOf),
    get,
    /** The state of the queue. */
    queue: Effect.flatMap(
      request("GET", "/v1/queue"),
      (reply) => Effect.flatMap(Effect.promise(() => reply.json()), decodeQueue)
    ),
    /** The newest runs. */
    runs: Effect.flatMap(request("GET", "/v1/runs"), (reply) =>
      Effect.map(
        Effect.flatMap(Effect.promise(() => reply.json()), decodeRuns),
        ({ runs }) => runs
      )),
    /** Waits until the events of a run have said something that fits, and gives them. */
    eventsUntil,
    /** Waits for the end of a run. */
    end: (id: string) => Effect.andThen(eventsUntil(id, /^event: (?:done|failed|cancelled)$/m), get(id)),
    /** The bytes of the images of a run that is done. */
    images: ({ status: { images = [] } }: RunReply) =>
      Effect.forEach(
        images,
        ({ url: path }) =>
          Effect.flatMap(request("GET", path), (reply) =>
            Effect.promise(async () => Buffer.from(await reply.arrayBuffer()).toString("base64")))
      )
  }
}

/** Where the processes of a cluster meet. */
export interface Places {
  readonly database: string
  readonly blobs: string
}

// Of one thread each: threads that wait for work would keep the processors from the other processes.
const flagsOf = ({ blobs, database }: Places) => ["--database", database, "--blobs", blobs, "--threads", "1"]

/** `serena worker`, once it takes runs. */
export const worker = Effect.fnUntraced(function*(
  places: Places,
  flags: ReadonlyArray<string> = [],
  options?: Options
) {
  const running = yield* start(["worker", ...flagsOf(places), ...flags], options)
  yield* running.printed(/^Worker .* takes runs from /m)
  return running
})

/** `serena serve` on a port of its own. */
export const server = Effect.fnUntraced(function*(
  places: Places,
  flags: ReadonlyArray<string> = [],
  options?: Options
) {
  const running = yield* start(["serve", "--port", "0", ...flagsOf(places), ...flags], options)
  return { ...running, ...clientOf(yield* running.printed(/http:\S+/)) }
})
