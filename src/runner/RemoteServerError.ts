/**
 * Errors of a pipeline whose work happens on another server.
 */
import * as Schema from "effect/Schema"

/** A server that runs in this process's place cannot be asked, refuses, or fails. */
export class RemoteServerError extends Schema.TaggedError<RemoteServerError>()("RemoteServerError", {
  url: Schema.String,
  kind: Schema.Literals(["unreachable", "unauthorized", "refused", "busy", "failed", "unreadable"]),
  /** The HTTP status; null without a reply. */
  status: Schema.NullOr(Schema.Int),
  reason: Schema.String
}) {
  override get message(): string {
    const { kind, reason, status, url } = this
    switch (kind) {
      case "unreachable":
        return `The server at ${url} does not answer: ${reason}. Check the address, and that it runs with its API on.`
      case "unauthorized":
        return `The server at ${url} wants to know who asks (${reason}). Name a user and password that it knows.`
      case "refused":
        return `The server at ${url} does not take the request (${status}): ${reason}. Correct the request.`
      case "busy":
        return `The server at ${url} takes no requests now (${status}): ${reason}. Ask again later.`
      case "failed":
        return `The server at ${url} failed (${status}): ${reason}. Its own log says more.`
      case "unreadable":
        return `The reply of ${url} is not one of stable-diffusion-webui's API: ${reason}. Check the address.`
    }
  }
}
