/**
 * Authentication with HTTP Basic.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { createHash, timingSafeEqual } from "node:crypto"
import { readableError } from "../../core/readableError.ts"
import { ServerOptions } from "./ServerOptions.ts"

/** The request carries no valid credentials. Each API renders this as a 401 in its own shape. */
export class NotAuthenticated extends Schema.TaggedError<NotAuthenticated>()("NotAuthenticated", {
  reason: Schema.Literals(["Not authenticated", "Invalid authentication credentials", "Incorrect username or password"])
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.reason}. Sign in with a user name and password of this server.`
  }
}

export class Authentication extends Context.Service<Authentication, {
  /** Checks the `Authorization` header of a request. */
  readonly check: (header: string | undefined) => Effect.Effect<void, NotAuthenticated>
}>()("serena/server/host/Authentication") {
  /** Accepts the users named by the server options, or everyone when they name none. */
  static readonly layer: Layer.Layer<Authentication, never, ServerOptions> = Layer.effect(
    Authentication,
    Effect.map(ServerOptions, ({ api_auth }) => Authentication.of({ check: make(api_auth) }))
  )
}

const digest = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest()

/**
 * Makes a check of the `Authorization` header against `user:password` pairs. Without pairs, every header is accepted.
 *
 * It takes the same time whichever pair matches and whichever part is wrong.
 */
const make = (credentials: ReadonlyArray<string>) => {
  const known = credentials.map(digest)
  return (header: string | undefined): Effect.Effect<void, NotAuthenticated> =>
    Effect.suspend(() => {
      if (known.length === 0) return Effect.void
      const [, scheme, given] = /^(\S+)\s+(.*)$/s.exec(header ?? "") ?? []
      if (scheme?.toLowerCase() !== "basic" || given === undefined) {
        return Effect.fail(new NotAuthenticated({ reason: "Not authenticated" }))
      }
      const decoded = Buffer.from(given, "base64")
      const text = decoded.toString("utf8")
      if (!/^[A-Za-z0-9+/]+={0,2}$/.test(given.trim()) || !text.includes(":")) {
        return Effect.fail(new NotAuthenticated({ reason: "Invalid authentication credentials" }))
      }
      const sent = digest(text)
      let matches = 0
      for (const one of known) matches |= Number(timingSafeEqual(one, sent))
      return matches === 1
        ? Effect.void
        : Effect.fail(new NotAuthenticated({ reason: "Incorrect username or password" }))
    })
}
