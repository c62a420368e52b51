/**
 * Whose request it is: the runs of different callers take turns.
 */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"

/**
 * Who asks: `user:ada`, `key:1f40fc92` (the beginning of its hash), or `address:127.0.0.1`; empty outside of a request.
 * What a request claims is checked elsewhere.
 */
export const caller: Effect.Effect<string> = Effect.map(
  Effect.serviceOption(HttpServerRequest.HttpServerRequest),
  Option.match({ onNone: () => "", onSome: (request) => callerOf(request) })
)

const callerOf = ({ headers, remoteAddress }: HttpServerRequest.HttpServerRequest): string => {
  const [, scheme = "", given = ""] = /^(basic|bearer)\s+(.*)$/is.exec(headers["authorization"] ?? "") ?? []
  if (scheme.toLowerCase() === "basic") {
    return `user:${Buffer.from(given, "base64").toString("utf8").split(":")[0]?.slice(0, 100) ?? ""}`
  }
  return scheme === ""
    ? `address:${Option.getOrElse(remoteAddress, () => "")}`
    : `key:${createHash("sha256").update(given.trim()).digest("hex").slice(0, 8)}`
}

/** An idempotency key as the store has it: users and keys have their own, all others share one set. */
export const scopedKey = (caller: string, key: string): string =>
  caller.startsWith("user:") || caller.startsWith("key:") ? `${caller}\n${key}` : `\n${key}`
