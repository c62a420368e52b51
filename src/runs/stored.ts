/**
 * Requests and images between a run that executes and its record: bytes go to the `BlobStore` and come back.
 */
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import type { AskedRequest } from "../contract/Run.ts"
import * as Raster from "../core/Raster.ts"
import { ImageDecoder } from "../images/ImageDecoder.ts"
import { ImageEncoder } from "../images/ImageEncoder.ts"
import * as ControlUnit from "../processing/ControlUnit.ts"
import type { Processing } from "../processing/Processing.ts"
import type { ExtraImage, ImageFile } from "../runner/Processed.ts"
import type { Preview, RunProgress } from "../runner/RunState.ts"
import { BlobStore, type PutOptions } from "./BlobStore.ts"
import type { BlobHash, Moment, RunRecord, SentImages, StoredExtra, StoredImage, StoredMap } from "./RunRecord.ts"
import type { ResultImage, ResultMap } from "./RunResult.ts"
import type { StoredPreview } from "./RunStore.ts"

/** A request without its images. */
export const withoutImages = (processing: Processing): AskedRequest => {
  const control_units = processing.control_units.map(ControlUnit.withoutImages)
  return processing._tag === "Txt2Img"
    ? { ...processing, control_units }
    : { ...Struct.omit(processing, ["init_images", "mask"]), control_units }
}

const putOr = (bytes: Uint8Array | undefined, options: PutOptions) =>
  bytes === undefined ? Effect.succeed(null) : Effect.flatMap(BlobStore, ({ put }) => put(bytes, options))

/** Keeps the images of a request. */
export const keepSent = Effect.fnUntraced(function*(processing: Processing, options: PutOptions) {
  const { put } = yield* BlobStore
  const isImg2Img = processing._tag === "Img2Img"
  const sent: SentImages = {
    init_images: yield* Effect.forEach(isImg2Img ? processing.init_images : [], (bytes) => put(bytes, options)),
    mask: yield* putOr(isImg2Img ? processing.mask : undefined, options),
    control_units: yield* Effect.forEach(
      processing.control_units,
      ({ image, mask }) => Effect.all({ image: putOr(image, options), mask: putOr(mask, options) })
    )
  }
  return sent
})

const getOr = (hash: BlobHash | null | undefined) =>
  hash === null || hash === undefined ? Effect.undefined : Effect.flatMap(BlobStore, ({ get }) => get(hash))

/** The request of a run, with its images and its seeds. */
export const processingOf = Effect.fnUntraced(function*(
  { request: asked, seeds, sent }: Pick<RunRecord, "request" | "seeds" | "sent">
) {
  const request = { ...asked, ...seeds }
  const { get } = yield* BlobStore
  const control_units = yield* Effect.forEach(request.control_units, (unit, i) =>
    Effect.gen(function*() {
      const image = yield* getOr(sent.control_units[i]?.image)
      const mask = yield* getOr(sent.control_units[i]?.mask)
      return { ...unit, ...(image !== undefined && { image }), ...(mask !== undefined && { mask }) }
    }))
  if (request._tag === "Txt2Img") {
    const processing: Processing = { ...request, control_units }
    return processing
  }
  const [first, ...others] = yield* Effect.forEach(sent.init_images, get)
  // A request with none was refused when it was submitted.
  if (first === undefined) return yield* Effect.die(new Error("An Img2Img run has no init images."))
  const mask = yield* getOr(sent.mask)
  const processing: Processing = {
    ...request,
    control_units,
    init_images: [first, ...others],
    ...(mask !== undefined && { mask })
  }
  return processing
})

const keepFile = Effect.fnUntraced(function*(
  { bytes, format, path }: Omit<ImageFile, "path"> & { readonly path?: string | undefined },
  options: PutOptions
) {
  const { put } = yield* BlobStore
  return { blob: yield* put(bytes, options), bytes: bytes.length, format, path: path ?? null }
})

/** Keeps images that are finished. */
export const keepImages = (images: ReadonlyArray<ResultImage>, options: PutOptions) =>
  Effect.forEach(images, (image) =>
    Effect.map(keepFile(image, options), (file): StoredImage => ({
      ...Struct.pick(image, [
        "index",
        "seed",
        "subseed",
        "prompt",
        "negativePrompt",
        "infotext",
        "width",
        "height",
        "complete"
      ]),
      ...file
    })))

/** Keeps grids, masks and composites. */
export const keepExtras = (extras: ReadonlyArray<ExtraImage>, options: PutOptions) =>
  Effect.forEach(extras, (extra) =>
    Effect.map(keepFile(extra, options), (file): StoredExtra => ({
      kind: extra.kind,
      index: extra.index ?? null,
      infotext: extra.infotext,
      ...file
    })))

/** Keeps what ControlNets followed. */
export const keepMaps = (maps: ReadonlyArray<ResultMap>, options: PutOptions) =>
  Effect.forEach(maps, (map) => Effect.map(keepFile(map, options), (file): StoredMap => ({ unit: map.unit, ...file })))

/** A preview as a PNG file, to be shown by other processes. */
export const keptPreview = Effect.fnUntraced(function*({ height, pixels, step, width }: Preview) {
  const { encode } = yield* ImageEncoder
  const raster: Raster.Raster = { width, height, channels: 3, data: pixels }
  const png = yield* encode({ raster, infotext: "" }, { format: "png", quality: 100, lossless: true })
  const kept: StoredPreview = { step, width, height, png }
  return kept
})

/** The preview of such a file. */
export const previewOf = Effect.fnUntraced(function*({ height, png, step, width }: StoredPreview) {
  const { decode } = yield* ImageDecoder
  const limits = { max_image_bytes: png.length, max_image_pixels: width * height }
  const preview: Preview = { step, width, height, pixels: Raster.toRgb(yield* decode(png, limits)).data }
  return preview
})

/** A moment of a run without its images and pixels. */
export const momentOf = (progress: RunProgress): Moment => ({
  ...Struct.omit(progress, ["ended", "extraImages", "images", "preview", "runId"]),
  previewStep: progress.preview?.step ?? null
})
