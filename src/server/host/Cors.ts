/**
 * Requests of pages from other origins (CORS), handled as in the webui: refused unless the origin is named.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { ServerSettings } from "./ServerOptions.ts"

const methods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

export interface Cors {
  /** Whether pages of an origin may use the API. */
  readonly allows: (origin: string) => boolean
  /** Headers of every reply to a page of an origin. */
  readonly headers: (origin: string | undefined) => Readonly<Record<string, string>>
  /** The reply to a preflight request. */
  readonly preflight: (origin: string, askedHeaders: string | undefined) => HttpServerResponse.HttpServerResponse
}

/** CORS with the origins of the server options. */
export const make = (
  options: Pick<ServerSettings, "cors_allow_origins" | "cors_allow_origins_regex">
): Cors => {
  const { cors_allow_origins: origins, cors_allow_origins_regex: source } = options
  const pattern = source === undefined ? undefined : new RegExp(`^(?:${source})$`)
  const isOn = origins.length > 0 || pattern !== undefined
  const allows = (origin: string): boolean =>
    origins.includes("*") || origins.includes(origin) || pattern?.test(origin) === true

  const headers = (origin: string | undefined): Readonly<Record<string, string>> =>
    !isOn || origin === undefined ? {} : !allows(origin) ? { vary: "Origin" } : {
      "access-control-allow-origin": origin,
      "access-control-allow-credentials": "true",
      "vary": "Origin"
    }

  const preflight = (origin: string, askedHeaders: string | undefined): HttpServerResponse.HttpServerResponse =>
    isOn && allows(origin)
      ? HttpServerResponse.text("OK", {
        headers: {
          ...headers(origin),
          "access-control-allow-methods": methods,
          "access-control-max-age": "600",
          ...(askedHeaders !== undefined && { "access-control-allow-headers": askedHeaders })
        }
      })
      : HttpServerResponse.text("Disallowed CORS origin", { status: 400, headers: headers(origin) })

  return { allows: (origin) => isOn && allows(origin), headers, preflight }
}
