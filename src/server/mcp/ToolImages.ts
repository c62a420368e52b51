/**
 * Images of tools: those that come with a call, and those that go back with its result.
 *
 * An image comes as base64, or by the address of an image that this server made, or, where the client runs on this
 * machine, by the path of a file. It goes back as content, at most `mostBytes` for all of a call, because clients
 * refuse larger results: images over that are sent smaller, as JPEG, and whole by their addresses.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { fileURLToPath } from "node:url"
import type { Raster } from "../../core/Raster.ts"
import * as FileSignature from "../../images/FileSignature.ts"
import { ImageDecoder } from "../../images/ImageDecoder.ts"
import { ImageEncoder } from "../../images/ImageEncoder.ts"
import type { ImageCodecError } from "../../images/ImageError.ts"
import { resizing } from "../../images/Resample.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import * as ImageBytes from "../../processing/ImageBytes.ts"
import { RunQueue } from "../host/RunQueue.ts"
import { ToolError } from "./ToolError.ts"

/** An image file with its media type. */
export interface ImageFile {
  readonly bytes: Uint8Array
  readonly mimeType: string
}

/** Most bytes of all images of a result, before base64: clients take about a megabyte. */
export const mostBytes = 700_000

/** Most results of tools that are no runs, and most of their bytes, that keep their addresses. The oldest go first. */
const kept = { results: 20, bytes: 256 * 2 ** 20 }

export class ToolImages extends Context.Service<ToolImages, {
  /** The file that an argument stands for; `name` is the argument's. */
  readonly read: (name: string, given: unknown) => Effect.Effect<Uint8Array, ToolError>
  /** The file at an address that a result had. */
  readonly at: (uri: string) => Effect.Effect<ImageFile, ToolError>
  /** Keeps a file that is no image of a run, and gives its address. */
  readonly keep: (bytes: Uint8Array) => Effect.Effect<string>
  /** Files as they go into one result, each within its share of `mostBytes`. */
  readonly fitted: (files: ReadonlyArray<ImageFile>) => Effect.Effect<ReadonlyArray<ImageFile>, ImageCodecError>
}>()("serena/server/mcp/ToolImages") {
  /** @param files Whether an argument may be the path of a file on this machine. */
  static readonly layer = (
    { files }: { readonly files: boolean }
  ): Layer.Layer<
    ToolImages,
    never,
    CommandOptions | FileSystem.FileSystem | ImageDecoder | ImageEncoder | RunQueue
  > => Layer.effect(ToolImages, make(files))
}

/** The address of an image of a run. */
export const uriOf = (run: string, index: number): string => `serena://runs/${run}/images/${index}`

const refuse = (reason: string) => Effect.fail(new ToolError({ reason }))

const make = Effect.fnUntraced(function*(files: boolean) {
  const fs = yield* FileSystem.FileSystem
  const { limits } = yield* CommandOptions
  const { decode } = yield* ImageDecoder
  const { encode } = yield* ImageEncoder
  const queue = yield* RunQueue
  const results = new Map<string, Uint8Array>()
  let count = 0

  const keep = (bytes: Uint8Array) =>
    Effect.sync(() => {
      const uri = `serena://results/${++count}`
      results.set(uri, bytes)
      let total = [...results.values()].reduce((sum, { length }) => sum + length, 0)
      for (const [oldest, { length }] of results) {
        if (oldest === uri || (results.size <= kept.results && total <= kept.bytes)) break
        results.delete(oldest)
        total -= length
      }
      return uri
    })

  const at = Effect.fnUntraced(function*(uri: string) {
    const gone = refuse(`There is no image at ${uri.slice(0, 200)}: the server no longer has it, or never had.`)
    const [, id, index] = /^serena:\/\/runs\/([^/]+)\/images\/(\d+)$/.exec(uri) ?? []
    const bytes = id === undefined
      ? Option.fromUndefinedOr(results.get(uri))
      : yield* Effect.gen(function*() {
        const image = (yield* queue.images(id)).find((image) => image.index === Number(index))
        return image === undefined ? Option.none() : yield* queue.file(image.blob)
      }).pipe(Effect.mapError(({ message }) => new ToolError({ reason: message })))
    return Option.isNone(bytes) ? yield* gone : { bytes: bytes.value, mimeType: mimeTypeOf(bytes.value) }
  })

  const readFile = Effect.fnUntraced(function*(name: string, path: string) {
    const unread = ({ message }: Error) => new ToolError({ reason: `${name}: ${path} cannot be read: ${message}.` })
    const { size } = yield* Effect.mapError(fs.stat(path), unread)
    if (Number(size) > limits.max_image_bytes) {
      return yield* refuse(`${name}: ${ImageBytes.tooLarge(Number(size), limits)}.`)
    }
    return yield* Effect.mapError(fs.readFile(path), unread)
  })

  const read = Effect.fnUntraced(function*(name: string, given: unknown) {
    if (typeof given !== "string" || given === "") {
      return yield* refuse(`${name}: an image is needed, ${files ? "the path of a file, " : ""}base64 or an address.`)
    }
    if (given.startsWith("serena://")) return (yield* at(given)).bytes
    if (given.startsWith("file://")) {
      return yield* files && URL.canParse(given)
        ? readFile(name, fileURLToPath(given))
        : refuse(`${name}: this server reads no files of its machine. Send the image as base64.`)
    }
    // Base64 of a JPEG file begins with a slash too.
    if (files && isPath(given) && (yield* Effect.orElseSucceed(fs.exists(given), () => false))) {
      return yield* readFile(name, given)
    }
    const decoded = ImageBytes.fromBase64(given, limits.max_image_bytes)
    if (Result.isSuccess(decoded)) return decoded.success
    const { failure } = decoded
    return yield* refuse(
      failure._tag === "TooLarge"
        ? `${name}: ${ImageBytes.tooLarge(failure.bytes, limits)}.`
        : files && isPath(given)
        ? `${name}: there is no file ${given.slice(0, 200)}.`
        : `${name}: it is neither base64 of an image file nor the address of an image, such as ${uriOf("...", 0)}.`
    )
  })

  const asJpeg = Effect.fnUntraced(function*(raster: Raster, most: number) {
    for (let side = 1024;; side /= 2) {
      const scale = Math.min(1, side / Math.max(raster.width, raster.height))
      const width = Math.max(1, Math.round(raster.width * scale))
      const height = Math.max(1, Math.round(raster.height * scale))
      const small = scale === 1 ? raster : yield* resizing(raster, width, height, "lanczos")
      const bytes = yield* encode({ raster: small, infotext: "" }, { format: "jpg", quality: 85, lossless: false })
      const file: ImageFile = { bytes, mimeType: "image/jpeg" }
      if (bytes.length <= most || side <= 64) return file
    }
  })

  return ToolImages.of({
    read,
    at,
    keep,
    fitted: (files) =>
      Effect.forEach(files, (file) => {
        const most = mostBytes / files.length
        return file.bytes.length <= most
          ? Effect.succeed(file)
          : Effect.flatMap(decode(file.bytes, limits), (raster) => asJpeg(raster, most))
      })
  })
})

const isPath = (text: string): boolean => text.length <= 1024 && /^(?:[\\/]|[a-z]:[\\/])/i.test(text)

const mimeTypeOf = (bytes: Uint8Array): string => `image/${FileSignature.sniff(bytes) ?? "png"}`
