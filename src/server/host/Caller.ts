/**
 * Whose request it is: the runs of different callers take turns.
 */
import * as Context from "effect/Context"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"

/** `user:ada`, `key:1f40fc92` (the beginning of its hash), or `address:127.0.0.1`. */
export const Caller = Context.Reference<string>("serena/server/host/Caller", { defaultValue: () => "" })

/** The caller of a request. What it claims is checked elsewhere. */
export const callerOf = ({ headers, remoteAddress }: HttpServerRequest.HttpServerRequest): string => {
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
