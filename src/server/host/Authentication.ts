/**
 * Signing in with HTTP Basic.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createHash, timingSafeEqual } from "node:crypto"
import { refuse, type Refused } from "../sdapi/ApiError.ts"
import { ServerOptions } from "./ServerOptions.ts"

export class Authentication extends Context.Service<Authentication, {
  /** Lets a request through by its `Authorization` header. Fails with a 401. */
  readonly check: (header: string | undefined) => Effect.Effect<void, Refused>
}>()("serena/server/host/Authentication") {
  /** The users that the server's options name; everybody when they name none. */
  static readonly layer: Layer.Layer<Authentication, never, ServerOptions> = Layer.effect(
    Authentication,
    Effect.map(ServerOptions, ({ api_auth }) => Authentication.of({ check: make(api_auth) }))
  )
}

const unauthorized = (detail: string) => refuse(401, detail, { headers: { "www-authenticate": "Basic" } })

const digest = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest()

/**
 * A check of an `Authorization` header against `user:password` pairs. Without any pair every header is right.
 *
 * It takes the same time whichever pair it is, and whatever part of it is wrong.
 */
const make = (credentials: ReadonlyArray<string>) => {
  const known = credentials.map(digest)
  return (header: string | undefined): Effect.Effect<void, Refused> =>
    Effect.suspend(() => {
      if (known.length === 0) return Effect.void
      const [, scheme, given] = /^(\S+)\s+(.*)$/s.exec(header ?? "") ?? []
      if (scheme?.toLowerCase() !== "basic" || given === undefined) {
        return Effect.fail(unauthorized("Not authenticated"))
      }
      const decoded = Buffer.from(given, "base64")
      const text = decoded.toString("utf8")
      if (!/^[A-Za-z0-9+/]+={0,2}$/.test(given.trim()) || !text.includes(":")) {
        return Effect.fail(unauthorized("Invalid authentication credentials"))
      }
      const sent = digest(text)
      let matches = 0
      for (const one of known) matches |= Number(timingSafeEqual(one, sent))
      return matches === 1 ? Effect.void : Effect.fail(unauthorized("Incorrect username or password"))
    })
}
