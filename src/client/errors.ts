/**
 * What can go wrong on the way to a server. What the server itself tells is in its own errors.
 */
import * as Schema from "effect/Schema"

/** The server was not reached, or the connection broke. */
export class ConnectionError extends Schema.TaggedError<ConnectionError>()("ConnectionError", {
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The server at ${this.url} does not answer: ${this.reason}. Check the address, and that the server runs.`
  }
}

/** A reply that is none of this API: of another program, of a proxy, or of another version. */
export class UnexpectedReply extends Schema.TaggedError<UnexpectedReply>()("UnexpectedReply", {
  url: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The reply of ${this.url} is not one of Serena's API: ${this.reason}. Check the address, and that client and server are of one version.`
  }
}
