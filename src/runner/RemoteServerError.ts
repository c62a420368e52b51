/**
 * Errors of a pipeline that runs on another server.
 */
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"

/** The remote server cannot be reached, refuses the request, or fails. */
export class RemoteServerError extends Schema.TaggedError<RemoteServerError>()("RemoteServerError", {
  url: Schema.String,
  kind: Schema.Literals(["unreachable", "unauthorized", "refused", "busy", "failed", "unreadable"]),
  /** The HTTP status; null without a reply. */
  status: Schema.NullOr(Schema.Int),
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    const { kind, reason, status, url } = this
    switch (kind) {
      case "unreachable":
        return `The server at ${url} does not answer: ${reason}. Check the address, and that the server runs with its API enabled.`
      case "unauthorized":
        return `The server at ${url} requires authentication (${reason}). Provide a valid user name and password.`
      case "refused":
        return `The server at ${url} refused the request (${status}): ${reason}. Correct the request.`
      case "busy":
        return `The server at ${url} is busy (${status}): ${reason}. Try again later.`
      case "failed":
        return `The server at ${url} failed (${status}): ${reason}. See the log of that server.`
      case "unreadable":
        return `The reply from ${url} is not a reply of stable-diffusion-webui's API: ${reason}. Check the address.`
    }
  }
}
