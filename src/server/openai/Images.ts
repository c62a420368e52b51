/**
 * The replies of OpenAI's image API: from a request that was read to its images, all at once or as they are made.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Sse from "effect/encoding/Sse"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import type { ImageEncoder } from "../../images/ImageEncoder.ts"
import * as Masks from "../../images/Masks.ts"
import { parametersOf, readMetadata } from "../../images/Metadata.ts"
import * as ImageBytes from "../../processing/ImageBytes.ts"
import * as Infotext from "../../processing/Infotext.ts"
import type { Limits } from "../../processing/Limits.ts"
import type { Preview } from "../../runner/RunState.ts"
import type { StoredImage } from "../../runs/RunRecord.ts"
import { jsonStream } from "../host/jsonStream.ts"
import { type QueuedRun, RunQueue, type StoredResult } from "../host/RunQueue.ts"
import { previewPng } from "../v1/EventStream.ts"
import { Submission } from "../v1/Submission.ts"
import { failed, invalid, ofSubmission, shown } from "./ImagesError.ts"
import { type Asked, paramOf, type ReplyOptions } from "./ImagesRequest.ts"

/** Where the images of a run are served, without the image's index. */
export type UrlOf = (id: string) => string

/**
 * Runs a request and replies with its images. A client that disconnects cancels its run.
 *
 * @param urlOf Addresses for clients that ask for them.
 */
export const reply = Effect.fn("openai.images")(function*(asked: Asked, limits: Limits, urlOf: UrlOf) {
  const { submitFields } = yield* Submission
  const queue = yield* RunQueue
  const created = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const fields = yield* withMask(asked, limits)
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const run = yield* Effect.mapError(restore(submitFields(fields)), (error) => ofSubmission(error, paramOf))
      if (asked.reply.stream) return yield* streamed(run, asked.reply, created)
      const result = yield* Effect.onInterrupt(restore(resultOf(run.id)), () => Effect.ignore(queue.cancel(run.id)))
      const images = yield* asked.reply.inline
        ? Effect.forEach(result.images, withBytes)
        : Effect.succeed(result.images)
      return jsonStream(pieces({ ...result, images }, asked.reply, { created, run: run.id, url: urlOf(run.id) }))
    })
  )
})

const gone = Effect.fail(failed(new Error("The server no longer holds the images of the run. Run it again.")))

const resultOf = Effect.fnUntraced(function*(id: string) {
  const result = yield* Effect.flatMap(RunQueue, (queue) => queue.result(id)).pipe(
    Effect.mapError((error) =>
      error._tag === "RunCancelled" || error._tag === "RunsUnavailable" || error._tag === "ShuttingDown"
        ? ofSubmission(error, paramOf)
        : failed(error)
    )
  )
  return yield* Option.match(result, {
    onNone: () => gone,
    onSome: Effect.succeed
  })
})

/**
 * The fields with the mask as Serena reads one. OpenAI's masks are transparent where the image is made anew; a mask's
 * alpha is white there where it is opaque, so it is inverted.
 */
const withMask = Effect.fnUntraced(function*({ fields, mask }: Asked, limits: Limits) {
  if (mask === undefined) return fields
  const wrong = (message: string) => invalid([{ path: "mask", message }])
  const bytes = typeof mask !== "string" ? mask : yield* Effect.mapError(
    Effect.fromResult(ImageBytes.fromBase64(mask, limits.max_image_bytes)),
    () => wrong("it is no base64 of a file within the limits")
  )
  const raster = yield* Effect.mapError(
    Effect.flatMap(ImageDecoder, ({ decode }) => decode(bytes, limits)),
    ({ reason }) => wrong(reason)
  )
  if (!Masks.isTranslucent(raster)) {
    return yield* wrong("it has no transparent pixels, and those are the ones that are made anew")
  }
  return { inpainting_fill: 1, inpaint_full_res: false, ...fields, mask: bytes, inpainting_mask_invert: 1 }
})

/** The prompt in an image's own infotext; empty for an image without one. */
export const promptOf = (bytes: Uint8Array): Effect.Effect<string> =>
  readMetadata(bytes).pipe(
    Effect.map(parametersOf),
    Effect.flatMap((infotext) =>
      infotext === undefined ? Effect.succeed("") : Effect.map(
        Infotext.parsing(infotext),
        ({ fields }) => String(fields["Prompt"] ?? "")
      )
    ),
    Effect.orElseSucceed(() => "")
  )

/** An image with its file. */
interface ReadImage extends StoredImage {
  readonly file: Uint8Array
}

const withBytes = Effect.fnUntraced(function*(image: StoredImage) {
  const file = yield* Effect.mapError(
    Effect.flatMap(RunQueue, (queue) => queue.file(image.blob)),
    (error) => ofSubmission(error, paramOf)
  )
  if (Option.isNone(file)) return yield* gone
  const read: ReadImage = { ...image, file: file.value }
  return read
})

/** Nothing is charged for, so nothing is counted. */
const usage = {
  total_tokens: 0,
  input_tokens: 0,
  output_tokens: 0,
  input_tokens_details: { text_tokens: 0, image_tokens: 0 }
}

const about = ({ format, quality }: ReplyOptions, image: { readonly width: number; readonly height: number }) => ({
  background: "opaque",
  output_format: format,
  quality,
  size: `${image.width}x${image.height}`
})

/** Bytes that are written as base64 at once; three bytes are four characters. */
const bytesAtOnce = 3 * 2 ** 14

// The reply's JSON, piece by piece: images of many megabytes would hold up other requests.
function* pieces(
  { images, warnings }: Omit<StoredResult, "images"> & { readonly images: ReadonlyArray<StoredImage | ReadImage> },
  options: ReplyOptions,
  { created, run, url }: { readonly created: number; readonly run: string; readonly url: string }
): Generator<string> {
  const [first] = images
  const facts = first === undefined ? {} : about(options, first)
  yield `{"created":${created},"data":[`
  for (const [i, image] of images.entries()) {
    if (i > 0) yield ","
    yield `{"serena":${JSON.stringify(ofSerena(image))},`
    if ("file" in image) {
      yield `"b64_json":"`
      for (let at = 0; at < image.file.length; at += bytesAtOnce) {
        yield Base64.encode(image.file.subarray(at, at + bytesAtOnce))
      }
      yield `"}`
    } else yield `"url":${JSON.stringify(`${url}/${image.index}`)}}`
  }
  yield `],${JSON.stringify({ ...facts, usage, serena: { run, warnings } }).slice(1)}`
}

// Seeds of more than 53 bits are written as text, as everywhere in Serena's JSON.
const ofSerena = ({ infotext, seed }: StoredImage) => ({
  seed: typeof seed === "bigint" ? String(seed) : seed,
  infotext
})

const utf8 = new TextEncoder()

const event = (type: string, data: Readonly<Record<string, unknown>>): Uint8Array =>
  utf8.encode(
    Sse.encoder.write({ _tag: "Event", id: undefined, event: type, data: JSON.stringify({ type, ...data }) })
  )

// Previews and images as they are made, then the images that were not yet sent, or why there are none.
const streamed = Effect.fnUntraced(function*(run: QueuedRun, options: ReplyOptions, created: number) {
  const queue = yield* RunQueue
  const services = yield* Effect.context<ImageEncoder | RunQueue>()
  const name = options.kind === "edit" ? "image_edit" : "image_generation"
  const sent: { images: number; partial: number; preview: Preview | undefined } = {
    images: 0,
    partial: 0,
    preview: undefined
  }

  const completed = (image: StoredImage) =>
    Effect.map(withBytes(image), ({ file }) =>
      event(`${name}.completed`, {
        b64_json: Base64.encode(file),
        created_at: created,
        ...about(options, image),
        usage,
        serena: ofSerena(image)
      }))
  const newImages = Effect.fnUntraced(function*(images: ReadonlyArray<StoredImage>) {
    const fresh = yield* Effect.forEach(images.slice(sent.images), completed)
    if (fresh.length > 0) Object.assign(sent, { images: images.length, partial: 0 })
    return fresh
  })
  const lines = Effect.fnUntraced(function*({ record: { images }, status }: QueuedRun) {
    if (status._tag !== "Running" || status.progress === undefined) return []
    const { preview } = status.progress
    const lines = yield* newImages(images)
    // The last preview of a batch stays until the next batch has one.
    const isOld = preview === undefined || lines.length > 0 || preview.pixels === sent.preview?.pixels
    sent.preview = preview
    if (isOld || sent.partial >= options.partialImages) return lines
    const png = yield* Effect.option(previewPng(preview))
    return Option.isNone(png) ? [] : [
      event(`${name}.partial_image`, {
        b64_json: Base64.encode(png.value),
        partial_image_index: sent.partial++,
        created_at: created,
        ...about({ ...options, format: "png" }, preview)
      })
    ]
  })
  const rest = Effect.flatMap(resultOf(run.id), ({ images }) => newImages(images))
  const replies = Stream.concat(
    queue.watch(run.id).pipe(
      Stream.mapEffect(lines),
      Stream.mapError((error) => error._tag === "RunsUnavailable" ? ofSubmission(error, paramOf) : error)
    ),
    Stream.fromEffect(rest)
  ).pipe(
    Stream.catch((error) => Stream.succeed([event("error", { error: shown(error) })])),
    Stream.flattenIterable,
    Stream.ensuring(Effect.ignore(queue.cancel(run.id))),
    Stream.provideContext(services)
  )
  return HttpServerResponse.stream(replies, {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" }
  })
})

/** The request's own address as the client wrote it, for the addresses of images. */
export const originOf = ({ headers }: HttpServerRequest.HttpServerRequest, secure: boolean): string =>
  `${secure ? "https" : "http"}://${headers["host"] ?? "127.0.0.1"}`
