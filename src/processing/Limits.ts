/**
 * The limits of one request.
 *
 * Limits protect the machine, not the model: `Processing` checks them before any memory is allocated, when a request is
 * decoded and when its run begins. Planning checks what a request leaves open. They are set when the process starts
 * (`CommandOptions`), never by a request.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { field } from "../core/Field.ts"
import type { NamedStruct } from "../core/Schemas.ts"
import type * as FieldTypes from "./FieldTypes.ts"

const limit = (value: number) =>
  Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)).pipe(
    Schema.withConstructorDefault(Effect.succeed(value)),
    Schema.withDecodingDefault(Effect.succeed(value))
  )

const limits = Schema.Struct({
  max_width: limit(2048).pipe(
    field({
      title: "Largest width",
      description: "Largest width of an image.",
      group: "Limits",
      unit: "pixels",
      flag: "max-width",
      value: "integer"
    })
  ),
  max_height: limit(2048).pipe(
    field({
      title: "Largest height",
      description: "Largest height of an image.",
      group: "Limits",
      unit: "pixels",
      flag: "max-height",
      value: "integer"
    })
  ),
  max_batch_size: limit(16).pipe(
    field({
      title: "Largest batch size",
      description: "Most images that are sampled together.",
      group: "Limits",
      flag: "max-batch-size",
      value: "integer"
    })
  ),
  max_n_iter: limit(100).pipe(
    field({
      title: "Largest batch count",
      description: "Most batches of one request.",
      group: "Limits",
      flag: "max-n-iter",
      value: "integer"
    })
  ),
  max_total_pixels: limit(2 ** 28).pipe(
    field({
      title: "Most pixels",
      description: "Most pixels of all images of one request together.",
      group: "Limits",
      unit: "pixels",
      flag: "max-total-pixels",
      value: "integer"
    })
  ),
  max_rows: limit(128).pipe(
    field({
      title: "Most rows",
      description:
        "Most rows of one call of the denoiser: for each image, its parts of the prompt (AND) and the negative prompt.",
      group: "Limits",
      flag: "max-rows",
      value: "integer"
    })
  ),
  max_row_pixels: limit(2 ** 27).pipe(
    field({
      title: "Most pixels of all rows",
      description: "Most pixels of one call of the denoiser: its rows, times the pixels of an image.",
      group: "Limits",
      unit: "pixels",
      flag: "max-row-pixels",
      value: "integer"
    })
  ),
  max_steps: limit(150).pipe(
    field({
      title: "Most steps",
      description: "Most sampling steps.",
      group: "Limits",
      flag: "max-steps",
      value: "integer"
    })
  ),
  max_image_bytes: limit(64 * 2 ** 20).pipe(
    field({
      title: "Largest image file",
      description: "Largest file of one init image or mask.",
      group: "Limits",
      unit: "bytes",
      flag: "max-image-bytes",
      value: "integer"
    })
  ),
  max_image_pixels: limit(2 ** 26).pipe(
    field({
      title: "Largest image",
      description: "Most pixels of one init image or mask.",
      group: "Limits",
      unit: "pixels",
      flag: "max-image-pixels",
      value: "integer"
    })
  ),
  max_prompt_bytes: limit(100_000).pipe(
    field({
      title: "Longest prompt",
      description: "Longest prompt in UTF-8.",
      group: "Limits",
      unit: "bytes",
      flag: "max-prompt-bytes",
      value: "integer"
    })
  ),
  max_prompt_chunks: limit(2048).pipe(
    field({
      title: "Most chunks of a prompt",
      description: "Most chunks of 77 tokens that all texts of a prompt take together: prompt editing and AND make " +
        "several texts of one, each as long as the longest.",
      group: "Limits",
      flag: "max-prompt-chunks",
      value: "integer"
    })
  )
}).annotate({ identifier: "Limits" })

export const Limits: NamedStruct<typeof limits.fields, Limits, FieldTypes.LimitsInput> = limits
export interface Limits extends FieldTypes.Limits {}
