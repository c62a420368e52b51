/**
 * What earlier attempts at a run have finished, as a run takes it that goes on.
 */
import * as Effect from "effect/Effect"
import * as Raster from "../core/Raster.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import type { ExtraImage, GeneratedImage, ImageFile } from "../runner/Processed.ts"
import { BlobStore } from "./BlobStore.ts"
import type { RunRecord, StoredExtra, StoredImage } from "./RunRecord.ts"

/** The file of an image. */
export const fileOf = Effect.fnUntraced(function*({ blob, format, path }: StoredExtra | StoredImage) {
  const { get } = yield* BlobStore
  const file: ImageFile = { bytes: yield* get(blob), format, path: path ?? undefined }
  return file
})

/** A grid, a mask or a composite, with its file. */
export const extraOf = ({ index, infotext, kind, ...stored }: StoredExtra) =>
  Effect.map(fileOf({ index, infotext, kind, ...stored }), (file): ExtraImage => ({
    ...file,
    kind,
    infotext,
    index: index ?? undefined
  }))

const imageOf = Effect.fnUntraced(function*(stored: StoredImage, extras: ReadonlyArray<StoredExtra>) {
  const { decode } = yield* ImageDecoder
  const { blob: _, bytes: __, format: ___, path: ____, ...image } = stored
  const file = yield* fileOf(stored)
  const limits = { max_image_bytes: stored.bytes, max_image_pixels: stored.width * stored.height }
  const raster = yield* decode(file.bytes, limits)
  const made: GeneratedImage = {
    ...image,
    pixels: Raster.toRgb(raster).data,
    extras: [],
    written: { file, extraImages: yield* Effect.forEach(extras, extraOf) }
  }
  return made
})

/**
 * The complete images of a run, with their files and the pixels in them: `finished` of `processImages`. Pixels of a
 * format that loses some, such as JPEG, are those that are left. An image whose file cannot be read is left out, so
 * that it is made again.
 */
export const finishedOf: (
  run: Pick<RunRecord, "extras" | "id" | "images">
) => Effect.Effect<ReadonlyArray<GeneratedImage>, never, BlobStore | ImageDecoder> = Effect.fnUntraced(
  function*({ extras, id, images }) {
    const read = yield* Effect.forEach(
      images.filter(({ complete }) => complete),
      (stored) =>
        Effect.matchEffect(imageOf(stored, extras.filter(({ index }) => index === stored.index)), {
          onFailure: ({ message }) =>
            Effect.as(
              Effect.logWarning(`Image ${stored.index} is made again.`, message).pipe(
                Effect.annotateLogs({ "run.id": id })
              ),
              []
            ),
          onSuccess: (image) => Effect.succeed([image])
        })
    )
    return read.flat()
  }
)
