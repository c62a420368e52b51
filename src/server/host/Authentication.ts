/**
 * Authentication: users by HTTP Basic, programs by a key as a bearer token.
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
  reason: Schema.Literals([
    "Not authenticated",
    "Invalid authentication credentials",
    "Incorrect username or password",
    "Incorrect API key"
  ])
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `${this.reason}. Sign in with a user name and password of this server, or send one of its keys as a bearer token.`
  }
}

export class Authentication extends Context.Service<Authentication, {
  /** Checks the `Authorization` header of a request. */
  readonly check: (header: string | undefined) => Effect.Effect<void, NotAuthenticated>
}>()("serena/server/host/Authentication") {
  /** Accepts the users and keys named by the server options, or everyone when they name none. */
  static readonly layer: Layer.Layer<Authentication, never, ServerOptions> = Layer.effect(
    Authentication,
    Effect.map(ServerOptions, ({ api_auth, api_keys }) => Authentication.of({ check: make(api_auth, api_keys) }))
  )
}

const digest = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest()

/**
 * Makes a check of the `Authorization` header against `user:password` pairs and keys. Without either, every header is
 * accepted.
 *
 * It takes the same time whichever pair or key matches and whichever part is wrong.
 */
const make = (credentials: ReadonlyArray<string>, keys: ReadonlyArray<string>) => {
  const users = credentials.map(digest)
  const bearers = keys.map(digest)
  if (users.length + bearers.length === 0) return () => Effect.void
  return (header: string | undefined): Effect.Effect<void, NotAuthenticated> =>
    Effect.suspend(() => {
      const [, scheme = "", given = ""] = /^(\S+)\s+(.*)$/s.exec(header ?? "") ?? []
      switch (scheme.toLowerCase()) {
        case "basic":
          return checkUser(given, users)
        case "bearer":
          return isAmong(given.trim(), bearers)
            ? Effect.void
            : refused(bearers.length === 0 ? "Not authenticated" : "Incorrect API key")
        default:
          return refused("Not authenticated")
      }
    })
}

const refused = (reason: NotAuthenticated["reason"]) => Effect.fail(new NotAuthenticated({ reason }))

const checkUser = (given: string, users: ReadonlyArray<Buffer>) => {
  const text = Buffer.from(given, "base64").toString("utf8")
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(given.trim()) || !text.includes(":")) {
    return refused("Invalid authentication credentials")
  }
  return isAmong(text, users) ? Effect.void : refused("Incorrect username or password")
}

const isAmong = (text: string, known: ReadonlyArray<Buffer>): boolean => {
  const sent = digest(text)
  let matches = 0
  for (const one of known) matches |= Number(timingSafeEqual(one, sent))
  return matches === 1
}
