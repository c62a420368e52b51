/**
 * The errors of `/v1` that are not errors of a run.
 *
 * Each has an HTTP status, crosses the wire with its class, and says what to do. This file depends on nothing of Node,
 * so that browsers can use it.
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import { Problem } from "../core/Problem.ts"
import { readableError } from "../core/readableError.ts"
import * as Saving from "../processing/NotSaved.ts"
import * as Errors from "../runner/ProcessingError.ts"

/** The request has no valid credentials. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  reason: Schema.String
}, { httpApiStatus: 401 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The server requires sign-in (${this.reason}). Use a user name and password of its --api-auth.`
  }
}

/** A path, query or body that the endpoint does not accept. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  problems: Schema.Array(Problem)
}, { httpApiStatus: 400 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    const list = this.problems.map(({ message, path }) => path === "" ? message : `${path}: ${message}`)
    return `The request is invalid: ${list.join("; ")}.`
  }
}

/** A page of another origin asks for something that changes the server. */
export class ForeignOrigin extends Schema.TaggedError<ForeignOrigin>()("ForeignOrigin", {
  origin: Schema.String
}, { httpApiStatus: 403 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The server refuses requests from pages of ${
      this.origin === "" ? "other origins" : this.origin
    }. Allow the origin with --cors-allow-origins.`
  }
}

/** A server without users was asked under a name that is not its own. */
export class UnknownHost extends Schema.TaggedError<UnknownHost>()("UnknownHost", {
  host: Schema.String
}, { httpApiStatus: 421 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `Without users, the server answers only under its own names, and "${this.host}" is none of them. Name this host with --allowed-hosts.`
  }
}

/** The API has no such path. */
export class PathNotFound extends Schema.TaggedError<PathNotFound>()("PathNotFound", {
  path: Schema.String
}, { httpApiStatus: 404 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The API has no path ${this.path}. GET /docs lists the paths.`
  }
}

/** The path exists, but not for this method. */
export class MethodNotAllowed extends Schema.TaggedError<MethodNotAllowed>()("MethodNotAllowed", {
  method: Schema.String,
  /** The methods of the path, as in the header `Allow`. */
  allowed: Schema.Array(Schema.String)
}, { httpApiStatus: 405 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The path does not accept ${this.method}. Use ${this.allowed.join(" or ")}.`
  }
}

/** No run has this id, or it ended so long ago that the server has discarded it. */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  id: Schema.String
}, { httpApiStatus: 404 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `No run has the id "${this.id}". The server discards runs some time after they end; GET /v1/runs lists the present ones.`
  }
}

/** The run has no such image: not yet, not any more, or never. */
export class ImageNotFound extends Schema.TaggedError<ImageNotFound>()("ImageNotFound", {
  id: Schema.String,
  /** `images/0`, `extras/1` or `preview`. */
  image: Schema.String
}, { httpApiStatus: 404 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The run "${this.id}" has no ${this.image}. Images are available once they are finished, for a limited time; the events of the run and its result list them.`
  }
}

/** No file in the models folders has this id, or it has no preview. */
export class PreviewNotFound extends Schema.TaggedError<PreviewNotFound>()("PreviewNotFound", {
  id: Schema.String
}, { httpApiStatus: 404 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The file "${this.id}" has no preview, or is there no more. List the files again.`
  }
}

/** The server downloads nothing for clients. */
export class DownloadsRefused extends Schema.TaggedError<DownloadsRefused>()("DownloadsRefused", {
  reason: Schema.String
}, { httpApiStatus: 403 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The server downloads no models: ${this.reason}.`
  }
}

/** Too many downloads wait for their turn. */
export class TooManyDownloads extends Schema.TaggedError<TooManyDownloads>()("TooManyDownloads", {
  waiting: Schema.Int
}, { httpApiStatus: 429 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.waiting} downloads wait already. Try again when some of them are done, or cancel one.`
  }
}

/** No download has this id. */
export class DownloadNotFound extends Schema.TaggedError<DownloadNotFound>()("DownloadNotFound", {
  id: Schema.String
}, { httpApiStatus: 404 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `No download has the id "${this.id}". Try GET /v1/downloads, which lists those since the start of the server.`
  }
}

/** The queue is full. */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  waiting: Schema.Int,
  /** Seconds after which to retry. */
  retryAfter: Schema.Int
}, { httpApiStatus: 429 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The queue is full (${this.waiting} waiting). Retry in ${this.retryAfter} ${
      this.retryAfter === 1 ? "second" : "seconds"
    }.`
  }
}

/** The server no longer accepts runs. */
export class ShuttingDown extends Schema.TaggedError<ShuttingDown>()("ShuttingDown", {}, { httpApiStatus: 503 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return "The server is shutting down and accepts no new runs. Retry once it is back."
  }
}

/** Changed settings could not be saved, so none of them changed. The server's log has the path. */
export class SettingsNotSaved extends Schema.TaggedError<SettingsNotSaved>()("SettingsNotSaved", {
  /** Name of the settings file, without its folder. */
  file: Schema.String,
  reason: Schema.String
}, { httpApiStatus: 500 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The settings were not saved in ${this.file}: ${this.reason}. None has changed. Correct that and send them again, or start the server with another --data-dir or --options-file.`
  }
}

/** Runs cannot be kept or read at the moment. The server's log has the details. */
export class RunsUnavailable extends Schema.TaggedError<RunsUnavailable>()("RunsUnavailable", {
  reason: Schema.String
}, { httpApiStatus: 503 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The server cannot keep or read runs at the moment: ${this.reason} Nothing was accepted; retry later.`
  }
}

/** A body, a part of a form or an image over the server's size limit. */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", {
  what: Schema.String,
  limit: Schema.Int
}, { httpApiStatus: 413 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.what} exceeds the limit of ${this.limit} bytes. Send a smaller one.`
  }
}

/** A bug in the server. Its log has the details. */
export class InternalError extends Schema.TaggedError<InternalError>()("InternalError", {}, { httpApiStatus: 500 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return "The server failed with an internal error. Its log has the details; retry, or report the bug with them."
  }
}

/** The run was cancelled before it had a result. */
export class RunCancelled extends Schema.TaggedError<RunCancelled>()("RunCancelled", {
  id: Schema.String
}, { httpApiStatus: 409 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The run ${this.id} was cancelled. Submit the request again if its images are still needed.`
  }
}

/** The process that executed the run died with it, again and again. */
export class WorkerLost extends Schema.TaggedError<WorkerLost>()("WorkerLost", {
  /** The last one. */
  worker: Schema.String,
  times: Schema.Int
}, { httpApiStatus: 500 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The process that executed the run ended ${this.times} times without finishing a batch of it, last ${this.worker}. Its log may say why; memory is the usual reason: ask for a smaller size or batch, then retry the run.`
  }
}

/** The images that came with the request of a run cannot be read any more. */
export class RequestLost extends Schema.TaggedError<RequestLost>()("RequestLost", {
  reason: Schema.String
}, { httpApiStatus: 500 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The images of the request cannot be read: ${this.reason} Submit the request again.`
  }
}

/** How a run can fail. */
export const RunError = Schema.Union([Errors.ProcessingError, InternalError, RequestLost, WorkerLost]).annotate({
  identifier: "RunError"
})
export type RunError = typeof RunError.Type

/** Errors of requests with their statuses in `/v1`. */
export const InvalidProcessing = Errors.InvalidProcessing.pipe(HttpApiSchema.status(422))
export const NotSaved = Saving.NotSaved.pipe(HttpApiSchema.status(500))
export const InvalidOptions = Errors.InvalidOptions.pipe(HttpApiSchema.status(422))
export const ImageCodecError = Errors.ImageCodecError.pipe(HttpApiSchema.status(422))
export const ModelNotFound = Errors.ModelNotFound.pipe(HttpApiSchema.status(404))
