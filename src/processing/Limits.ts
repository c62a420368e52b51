/**
 * How much one request may ask for.
 *
 * Limits protect the machine, not the model: they are checked before any memory is taken, by every door and again by the
 * run itself, and belong to whoever starts the process (`CommandOptions`), never to the request.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const limit = (value: number) =>
  Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)).pipe(
    Schema.withConstructorDefault(Effect.succeed(value)),
    Schema.withDecodingDefault(Effect.succeed(value))
  )

export const Limits = Schema.Struct({
  /** Largest width, in pixels. */
  max_width: limit(2048),
  /** Largest height, in pixels. */
  max_height: limit(2048),
  /** Most pictures sampled at once. */
  max_batch_size: limit(16),
  /** Most rounds of one request. */
  max_n_iter: limit(100),
  /** Most pixels of all pictures of one request together: they are held in memory until it ends. */
  max_total_pixels: limit(2 ** 28),
  /** Most sampling steps. */
  max_steps: limit(150),
  /** Largest file of one picture that comes with a request, in bytes, and most pixels in it. */
  max_image_bytes: limit(64 * 2 ** 20),
  max_image_pixels: limit(2 ** 26),
  /** Longest prompt, in bytes of UTF-8. */
  max_prompt_bytes: limit(100_000)
}).annotate({ identifier: "Limits" })
export type Limits = typeof Limits.Type
