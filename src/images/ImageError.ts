/**
 * Errors of reading, enlarging, writing and saving images.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import { didYouMean } from "../core/Text.ts"

/** No upscaler of that name, or one that is not of the kind that is needed there. */
export class UnknownUpscaler extends Schema.TaggedError<UnknownUpscaler>()("UnknownUpscaler", {
  upscaler: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `No upscaler is named "${this.upscaler}". ${didYouMean(this.upscaler, this.known)}`
  }
}

/** Pixels that could not be written as an image, or bytes that are not one. */
export class ImageCodecError extends Schema.TaggedError<ImageCodecError>()("ImageCodecError", {
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The image cannot be read or written: ${this.reason}. Check that it is a whole image file.`
  }
}

/** An image that was made but could not be saved: no permission, a full disk. No partial file is left behind. */
export class SaveError extends Schema.TaggedError<SaveError>()("SaveError", {
  path: Schema.String,
  reason: Schema.String,
  /** Images of the same run that were saved before. */
  saved: Schema.optionalKey(Schema.Array(Schema.String))
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const { path, reason, saved = [] } = this
    const before = saved.length === 0
      ? ""
      : ` ${saved.length} ${saved.length === 1 ? "image of this run is" : "images of this run are"} saved.`
    return `The image was not saved in ${path}: ${reason}.${before} Choose another folder with --outdir, or make this one writable, with space left.`
  }
}
