/**
 * Pictures as files.
 *
 * The live layer has sharp compress the pixels, off the main thread. The same picture gives the same bytes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ImageCodecError } from "../processing/errors.ts"
import * as Png from "./Png.ts"

/** What is to be written. */
export interface Image {
  /** 8-bit RGB, `[height, width, 3]`. */
  readonly pixels: Uint8Array
  readonly width: number
  readonly height: number
  /** Stored in the file; an empty text is not stored. */
  readonly infotext: string
}

export class ImageEncoder extends Context.Service<ImageEncoder, {
  /** A PNG file with the infotext in its `parameters` chunk. */
  readonly encode: (image: Image) => Effect.Effect<Uint8Array, ImageCodecError>
  /** Loads what `encode` needs, ahead of its first use. */
  readonly warm: Effect.Effect<void>
}>()("serena/images/ImageEncoder") {
  /** Files written by sharp. */
  static readonly layer: Layer.Layer<ImageEncoder> = Layer.sync(ImageEncoder, () =>
    ImageEncoder.of({
      encode: Effect.fnUntraced(function*({ height, infotext, pixels, width }) {
        const png = yield* Effect.tryPromise({
          try: async () => {
            const { default: sharp } = await loadSharp()
            return await sharp(pixels, { raw: { width, height, channels: 3 } }).png().toBuffer()
          },
          catch: (cause) => new ImageCodecError({ reason: cause instanceof Error ? cause.message : String(cause) })
          // What sharp has begun it finishes: whoever is interrupted here waits, so that nothing goes on behind his back.
        }).pipe(Effect.uninterruptible)
        return Png.withInfotext(new Uint8Array(png), infotext)
      }),
      warm: Effect.ignore(Effect.tryPromise(loadSharp))
    }))
}

// Sharp brings a native library, so it is loaded when the first picture is written and not before.
const loadSharp = () => import("sharp")
