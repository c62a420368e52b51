/**
 * Small copies of images, for lists of many.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { ImageCodecError } from "./ImageError.ts"

/** The longer side of a thumbnail, in pixels. A smaller image keeps its size. */
export const side = 320

// One at a time: a list that is scrolled through must not take the processors from a run.
const turn = Semaphore.makeUnsafe(1)

/** A file of an image that this server has written, as a WebP file of at most `side` pixels, without metadata. */
export const thumbnail = Effect.fn("Thumbnail.thumbnail")(function*(bytes: Uint8Array) {
  const made = yield* Effect.tryPromise({
    try: async () => {
      const { default: sharp } = await import("sharp")
      return sharp(bytes)
        .resize({ width: side, height: side, fit: "inside", withoutEnlargement: true })
        .webp({ quality: 80, effort: 2 })
        .toBuffer()
    },
    catch: (cause) => new ImageCodecError({ reason: cause instanceof Error ? cause.message : String(cause) })
    // sharp cannot be stopped, so an interruption waits until it is done.
  }).pipe(Effect.uninterruptible, turn.withPermits(1))
  return new Uint8Array(made.buffer, made.byteOffset, made.length)
})
