/**
 * What can go wrong between a client and `/v1`, beside what can go wrong with a run.
 *
 * Each error has its HTTP status, survives the wire, and says what to do. Nothing here knows of a server or of Node, so
 * that clients in browsers can use it.
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import { Problem } from "../core/Problem.ts"
import * as Errors from "../runner/ProcessingError.ts"

/** The server does not know the user. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  reason: Schema.String
}, { httpApiStatus: 401 }) {
  override get message(): string {
    return `The server wants to know who asks (${this.reason}). Sign in with the user and password of its --api-auth.`
  }
}

/** A path, query or body that is not what the endpoint takes. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  problems: Schema.Array(Problem)
}, { httpApiStatus: 400 }) {
  override get message(): string {
    const list = this.problems.map(({ message, path }) => `${path === "" ? "the whole" : path}: ${message}`)
    return `The request cannot be read. Correct ${list.join("; ")}.`
  }
}

/** No run has this id, or it ended so long ago that it was forgotten. */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  id: Schema.String
}, { httpApiStatus: 404 }) {
  override get message(): string {
    return `No run with the id "${this.id}" is known. Runs are remembered for a while after their end: ask for the list.`
  }
}

/** The run has no such picture: not yet, not any more, or never. */
export class ImageNotFound extends Schema.TaggedError<ImageNotFound>()("ImageNotFound", {
  id: Schema.String,
  /** `images/0`, `extras/1` or `preview`. */
  image: Schema.String
}, { httpApiStatus: 404 }) {
  override get message(): string {
    return `The run "${this.id}" has no ${this.image} to give. Pictures are there when a run is done, and kept for a while: ask for the run.`
  }
}

/** As many runs wait as may. */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  waiting: Schema.Int,
  /** Seconds after which it is worth to ask again. */
  retryAfter: Schema.Int
}, { httpApiStatus: 429 }) {
  override get message(): string {
    return `${this.waiting} requests wait already, and no more may. Ask again in ${this.retryAfter} seconds.`
  }
}

/** No run is begun any more. */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>()("ShuttingDown", {}, { httpApiStatus: 503 }) {
  override get message(): string {
    return "The server is shutting down and begins nothing new. Ask again when it is back."
  }
}

/** A body, a part of a form or a picture that is larger than the server takes. */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", {
  what: Schema.String,
  limit: Schema.Int
}, { httpApiStatus: 413 }) {
  override get message(): string {
    return `${this.what} is over the limit of ${this.limit} bytes. Send less of it.`
  }
}

/** A mistake of the server's own. Its log tells more. */
export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", {}, { httpApiStatus: 500 }) {
  override get message(): string {
    return "The server made a mistake. Its log says more; try again, or report it with what the log says."
  }
}

/** Somebody cancelled the run before it had a result. */
export class RunCancelled extends Schema.TaggedError<RunCancelled>()("RunCancelled", {
  id: Schema.String
}, { httpApiStatus: 409 }) {
  override get message(): string {
    return `The run ${this.id} was cancelled. Send the request again if its pictures are still wanted.`
  }
}

/** What a run can end with in place of pictures. */
export const RunError = Schema.Union([Errors.ProcessingError, InternalError]).annotate({ identifier: "RunError" })
export type RunError = typeof RunError.Type

/** Errors of requests, with the statuses that `/v1` gives them. */
export const InvalidProcessing = Errors.InvalidProcessing.pipe(HttpApiSchema.status(422))
export const InvalidOptions = Errors.InvalidOptions.pipe(HttpApiSchema.status(422))
export const ImageCodecError = Errors.ImageCodecError.pipe(HttpApiSchema.status(422))
export const ModelNotFound = Errors.ModelNotFound.pipe(HttpApiSchema.status(404))
export const SaveError = Errors.SaveError.pipe(HttpApiSchema.status(500))
