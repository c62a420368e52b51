/**
 * Replies of JSON that is made piece by piece while it is sent, in turns with other requests.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"

/** Characters, and pieces, that are sent together: about a millisecond's work. */
const charactersAtOnce = 2 ** 16
const piecesAtOnce = 2 ** 10

/** Joins small pieces into larger ones. */
export function* gathered(pieces: Iterable<string>): Generator<string> {
  let joined = ""
  let count = 0
  for (const piece of pieces) {
    joined += piece
    if (++count % piecesAtOnce !== 0 && joined.length < charactersAtOnce) continue
    yield joined
    joined = ""
  }
  if (joined !== "") yield joined
}

/** A reply from the pieces of its JSON, which are asked for one after the other. */
export const jsonStream = (pieces: Iterable<string>): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(
    Stream.fromIterable(gathered(pieces), { chunkSize: 1 }).pipe(
      Stream.tap(() => Effect.yieldNow),
      Stream.encodeText
    ),
    { contentType: "application/json" }
  )

/** The pieces of a list whose items are small. */
export function* listPieces<A>(items: Iterable<A>, encode: (item: A) => unknown): Generator<string> {
  let before = "["
  for (const item of items) {
    yield before + JSON.stringify(encode(item))
    before = ","
  }
  yield before === "[" ? "[]" : "]"
}
