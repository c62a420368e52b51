/**
 * Upscaling of images, and reading their metadata.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Raster } from "../../core/Raster.ts"
import * as FileSignature from "../../images/FileSignature.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import { formatOf, ImageEncoder } from "../../images/ImageEncoder.ts"
import { readMetadata } from "../../images/Metadata.ts"
import * as Png from "../../images/Png.ts"
import * as RasterWork from "../../images/RasterWork.ts"
import { Upscalers } from "../../images/Upscalers.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import * as Infotext from "../../processing/Infotext.ts"
import * as InfotextWarnings from "../../processing/InfotextWarnings.ts"
import { Options } from "../../processing/Options.ts"
import { StyleBook } from "../../processing/StyleBook.ts"
import { knownNames } from "../../runner/knownNames.ts"
import { RunQueue } from "../host/RunQueue.ts"
import { type ApiError, fromRun, problem } from "./ApiError.ts"
import { bounded, decoder, Flag, FloatNumber, ImageText, Int, oneOf, otherwise, Text } from "./Fields.ts"
import { Float } from "./PythonJson.ts"
import { RequestImages } from "./RequestImages.ts"

const share = { ge: 0, le: 1 }

const options = {
  resize_mode: otherwise(oneOf(0, 1), 0),
  show_extras_results: otherwise(Flag.required, true),
  gfpgan_visibility: otherwise(bounded(FloatNumber.required, share), new Float(0)),
  codeformer_visibility: otherwise(bounded(FloatNumber.required, share), new Float(0)),
  codeformer_weight: otherwise(bounded(FloatNumber.required, share), new Float(0)),
  upscaling_resize: otherwise(bounded(FloatNumber.required, { gt: 0 }), new Float(2)),
  upscaling_resize_w: otherwise(bounded(Int.required, { ge: 1 }), 512),
  upscaling_resize_h: otherwise(bounded(Int.required, { ge: 1 }), 512),
  upscaling_crop: otherwise(Flag.required, true),
  upscaler_1: otherwise(Text.required, "None"),
  upscaler_2: otherwise(Text.required, "None"),
  extras_upscaler_2_visibility: otherwise(bounded(FloatNumber.required, share), new Float(0)),
  upscale_first: otherwise(Flag.required, false)
}

const SingleRequest = Schema.Struct({ ...options, image: otherwise(ImageText.required, "") })
const FileData = Schema.Struct({ data: ImageText.required, name: Text.required })
const BatchRequest = Schema.Struct({ ...options, imageList: Schema.Array(FileData) })
const PngInfoRequest = Schema.Struct({ image: ImageText.required })

type ExtrasOptions = Omit<typeof SingleRequest.Type, "image">

const decodeSingle = decoder(SingleRequest)
const decodeBatch = decoder(BatchRequest)
const decodePngInfo = decoder(PngInfoRequest)

/** Largest number of images of one batch. */
const maxImages = 1000

/** `POST /sdapi/v1/extra-single-image`. */
export const single = Effect.fn("sdapi.extraSingleImage")(function*(body: unknown) {
  const { image, ...options } = yield* decodeSingle(body)
  return yield* inQueue(processed(image, options))
})

/** `POST /sdapi/v1/extra-batch-images`. */
export const batch = Effect.fn("sdapi.extraBatchImages")(function*(body: unknown) {
  const { imageList, ...options } = yield* decodeBatch(body)
  if (imageList.length > maxImages) {
    return yield* problem(["body", "imageList"], `at most ${maxImages} images are accepted`)
  }
  const all = yield* inQueue(Effect.forEach(imageList, ({ data }) => processed(data, options)))
  return { html_info: all.at(-1)?.html_info ?? "", images: all.map(({ image }) => image) }
})

// Upscaling takes memory and processors as a run does, and so a run's place.
const inQueue = Effect.fnUntraced(function*<A, R>(work: Effect.Effect<A, ApiError, R>) {
  const { occupy } = yield* RunQueue
  return yield* Effect.mapError(
    occupy(work),
    (error) =>
      error._tag === "QueueFull" || error._tag === "RunsUnavailable" || error._tag === "ShuttingDown"
        ? fromRun(error)
        : error
  )
})

const processed = Effect.fnUntraced(function*(image: string | Uint8Array, options: ExtrasOptions) {
  const { read } = yield* RequestImages
  const { limits } = yield* CommandOptions
  const decoder = yield* ImageDecoder
  const encoder = yield* ImageEncoder
  const bytes = yield* read(image)
  const settings = yield* (yield* Options).snapshot
  return yield* Effect.gen(function*() {
    const raster = yield* decoder.decode(bytes, limits)
    const metadata = yield* Effect.orElseSucceed(readMetadata(bytes), () => undefined)
    const { params, raster: result } = yield* upscaled(raster, options)
    const line = params.map(([key, value]) => `${key}: ${Infotext.quote(value)}`).join(", ")
    const written = yield* encoder.encode({ raster: result, infotext: metadata?.infotext ?? "" }, formatOf(settings))
    // The image keeps its own text entries; the parameters of this upscaling are added to them.
    const texts = { ...metadata?.items, ...(line === "" ? {} : { postprocessing: line }) }
    const file = FileSignature.sniff(written) === "png" ? yield* Png.addingTexts(written, texts) : written
    return { html_info: line === "" ? "" : `<p>${escaped(line)}</p>`, image: file }
  }).pipe(Effect.mapError((error) => error._tag === "Unprocessable" ? error : fromRun(error)))
})

const upscaled = Effect.fnUntraced(function*(raster: Raster, options: ExtrasOptions) {
  const isNone = (name: string) => name === "" || name.toLowerCase() === "none"
  const { max_image_pixels } = (yield* CommandOptions).limits
  const upscalers = yield* Upscalers
  const { ESRGAN_tile: tile, ESRGAN_tile_overlap: overlap } = yield* (yield* Options).snapshot
  // The second upscaler has an effect only together with the first.
  const first = isNone(options.upscaler_1) ? "None" : options.upscaler_1
  const second = isNone(options.upscaler_2) ? "None" : options.upscaler_2
  const weight = options.extras_upscaler_2_visibility.value
  if (first === "None") return { raster, params: [] }

  const [width, height] = [options.upscaling_resize_w, options.upscaling_resize_h]
  const factor = options.resize_mode === 0
    ? options.upscaling_resize.value
    : Math.max(width / raster.width, height / raster.height)
  const pixels = raster.width * raster.height * factor ** 2
  if (!(pixels <= max_image_pixels) || width * height > max_image_pixels) {
    return yield* problem(
      ["body", options.resize_mode === 0 ? "upscaling_resize" : "upscaling_resize_w"],
      `the result is over the limit of ${max_image_pixels} pixels (max_image_pixels)`
    )
  }
  const scale = (name: string) => upscalers.scaleBy(name, raster, factor, { tile, overlap })
  const large = yield* scale(first)
  const mixed = second === "None" || weight === 0
    ? large
    : yield* RasterWork.blending(large, yield* scale(second), weight)
  const result = options.resize_mode === 1 && options.upscaling_crop
    ? yield* RasterWork.centring(mixed, width, height)
    : mixed
  const params: ReadonlyArray<readonly [string, string]> = [
    ...(options.resize_mode === 0
      ? [["Postprocess upscale by", String(options.upscaling_resize.value)] as const]
      : [
        ["Postprocess upscale to", `${width}x${height}`] as const,
        ...(options.upscaling_crop ? [["Postprocess crop to", `${width}x${height}`] as const] : [])
      ]),
    ["Postprocess upscaler", first],
    ...(second === "None" || weight === 0 ? [] : [
      ["Postprocess upscaler 2", second] as const,
      ["Postprocess upscaler 2 visibility", String(weight)] as const
    ])
  ]
  return { raster: result, params }
})

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** `POST /sdapi/v1/png-info`. */
export const pngInfo = Effect.fn("sdapi.pngInfo")(function*(body: unknown) {
  const { image } = yield* decodePngInfo(body)
  const { read } = yield* RequestImages
  const { styles } = yield* (yield* StyleBook).read
  const bytes = yield* read(image)
  const { infotext = "", items } = yield* Effect.mapError(readMetadata(bytes), fromRun)
  const parsed = yield* Infotext.parsing(infotext, { styles })
  const warnings = infotext === ""
    ? []
    : InfotextWarnings.warningsOf({ parsed, kind: "Txt2Img", isKnown: yield* knownNames })
  return {
    info: infotext,
    items,
    parameters: Infotext.withDefaults(parsed),
    ...(warnings.length > 0 && { warnings })
  }
})
