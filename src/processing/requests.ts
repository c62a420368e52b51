/**
 * The kinds of requests with their conversion from an infotext: `Txt2Img.fromInfotext(text)`.
 */
import * as Effect from "effect/Effect"
import * as InfotextRequest from "./InfotextRequest.ts"
import { InvalidProcessing } from "./InvalidProcessing.ts"
import * as Processing from "./Processing.ts"

type Given = Readonly<Record<string, unknown>>

const otherKind = (_tag: string) =>
  Effect.fail(
    new InvalidProcessing({ problems: [{ path: "_tag", message: `the request is of another kind: ${_tag}` }] })
  )

/** Text-to-image. */
export const Txt2Img = Object.assign(Processing.Txt2Img, {
  /**
   * The request for the same image, from its infotext. Values of `given` take precedence over the text. Fails with
   * every field whose value is invalid.
   */
  fromInfotext: (
    text: string,
    given: Given = {},
    options?: InfotextRequest.FromInfotextOptions
  ): Effect.Effect<Txt2Img, InvalidProcessing> =>
    Effect.flatMap(
      InfotextRequest.fromInfotext(text, given, options),
      (request) => request._tag === "Txt2Img" ? Effect.succeed(request) : otherKind(request._tag)
    )
})
export interface Txt2Img extends Processing.Txt2Img {}

/** Image-to-image, and inpainting with a mask. */
export const Img2Img = Object.assign(Processing.Img2Img, {
  /** The same for an image generated from others: `given` holds its `init_images`, as bytes. */
  fromInfotext: (
    text: string,
    given: Given,
    options?: InfotextRequest.FromInfotextOptions
  ): Effect.Effect<Img2Img, InvalidProcessing> =>
    Effect.flatMap(
      InfotextRequest.fromInfotext(text, { ...given, _tag: "Img2Img" }, options),
      (request) => request._tag === "Img2Img" ? Effect.succeed(request) : otherKind(request._tag)
    )
})
export interface Img2Img extends Processing.Img2Img {}
