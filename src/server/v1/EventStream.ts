/**
 * The events of a run as a reply of server-sent events, with a comment as heartbeat when nothing happens.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Sse from "effect/encoding/Sse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type RunEvent, SentEvent } from "../../contract/Run.ts"
import { ImageEncoder } from "../../images/ImageEncoder.ts"
import type * as RunState from "../../runner/RunState.ts"
import type { Entry } from "./RunLog.ts"

/** Interval of the heartbeat. */
const heartbeat = "15 seconds"

const encode = Schema.encodeEffect(SentEvent)

/** A preview as a PNG file. Each preview is encoded once for all readers. */
export const previewPng = Effect.fnUntraced(function*({ height, pixels, width }: RunState.Preview) {
  const known = written.get(pixels)
  if (known !== undefined) return known
  const { encode } = yield* ImageEncoder
  const raster = { width, height, channels: 3, data: pixels } as const
  const png = yield* encode({ raster, infotext: "" }, { format: "png", quality: 80, lossless: false })
  written.set(pixels, png)
  return png
})

const written = new WeakMap<Uint8Array, Uint8Array>()

const withPreview = Effect.fnUntraced(function*({ event, preview }: Entry): Effect.fn.Return<
  RunEvent,
  never,
  ImageEncoder
> {
  if (event._tag !== "Step" || preview === undefined) return event
  // A preview that cannot be encoded is left out.
  const png = yield* Effect.option(previewPng(preview))
  const { height, step, width } = preview
  return Option.isNone(png) ? event : { ...event, preview: { step, width, height, png: Base64.encode(png.value) } }
})

const utf8 = new TextEncoder()

const write = Effect.fnUntraced(function*(logged: Entry, previews: boolean) {
  const event = previews ? yield* withPreview(logged) : logged.event
  const sent = yield* Effect.orDie(encode({ id: String(logged.id), event: event._tag.toLowerCase(), data: event }))
  return utf8.encode(Sse.encoder.write({ _tag: "Event", id: sent.id, event: sent.event, data: sent.data }))
})

const stillAlive = utf8.encode(": alive\n\n")

/** Lines of events that have readers, with their previews and without. */
const lines = {
  plain: new WeakMap<Entry, Effect.Effect<Uint8Array, never, ImageEncoder>>(),
  previews: new WeakMap<Entry, Effect.Effect<Uint8Array, never, ImageEncoder>>()
}

// An event is written once for all of its readers, who share the bytes. One who leaves does not end it for the others.
const lineOf = Effect.fnUntraced(function*(logged: Entry, previews: boolean) {
  const known = lines[previews ? "previews" : "plain"]
  const found = known.get(logged)
  if (found !== undefined) return yield* found
  const line = yield* Effect.cached(Effect.uninterruptible(write(logged, previews)))
  known.set(logged, line)
  return yield* line
})

// An event wakes all of its readers at the same moment: so many go on before other fibers get their turn.
const readersAtOnce = Semaphore.makeUnsafe(32)

/** The reply. `previews` includes previews in the steps. */
export const eventStream = Effect.fnUntraced(
  function*(events: Stream.Stream<Entry>, { previews }: { readonly previews: boolean }) {
    const services = yield* Effect.context<ImageEncoder>()
    const written = Stream.mapEffect(
      events,
      (logged) => Effect.tap(lineOf(logged, previews), () => readersAtOnce.withPermits(1)(Effect.yieldNow))
    )
    const alive = Stream.map(Stream.fromSchedule(Schedule.spaced(heartbeat)), () => stillAlive)
    return HttpServerResponse.stream(
      Stream.merge(written, alive, { haltStrategy: "left" }).pipe(Stream.provideContext(services)),
      // Proxies must not cache, compress or buffer the stream.
      {
        contentType: "text/event-stream",
        headers: { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" }
      }
    )
  }
)
