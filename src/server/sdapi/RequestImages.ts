/**
 * The images of a request: base64, bare or as a data URL, or a URL to fetch.
 *
 * Fetching is off unless the server's options allow hosts. Even then it never connects to a private address, whichever
 * name resolves to it, and follows no redirection.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { LookupAddress, LookupAllOptions, LookupOptions } from "node:dns"
import { lookup } from "node:dns"
import * as http from "node:http"
import * as https from "node:https"
import { BlockList, isIP } from "node:net"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { fromBase64 } from "../../processing/ImageBytes.ts"
import { ServerOptions } from "../host/ServerOptions.ts"
import { type ApiError, invalidImage, refuse } from "./ApiError.ts"

export class RequestImages extends Context.Service<RequestImages, {
  /** The bytes of an image's file, at most `max_image_bytes`. They are not yet decoded. Bytes stay as they are. */
  readonly read: (image: string | Uint8Array) => Effect.Effect<Uint8Array, ApiError>
}>()("serena/server/sdapi/RequestImages") {
  static readonly layer: Layer.Layer<RequestImages, never, CommandOptions | ServerOptions> = Layer.effect(
    RequestImages,
    Effect.gen(function*() {
      const { limits } = yield* CommandOptions
      const { allow_url_hosts } = yield* ServerOptions
      const hosts = allow_url_hosts.map((host) => host.toLowerCase())
      return RequestImages.of({
        read: Effect.fn("RequestImages.read")(function*(text) {
          if (typeof text !== "string") return text
          if (/^https?:\/\//i.test(text)) return yield* fetchImage(text, hosts, limits.max_image_bytes)
          // The webui takes what follows any data URL's comma for base64.
          const bytes = fromBase64(text.replace(/^\s*data:[^,]{0,200},/, ""), limits.max_image_bytes)
          if (Result.isSuccess(bytes)) return bytes.success
          return yield* invalidImage(
            bytes.failure._tag === "TooLarge"
              ? `The file is over the limit of ${limits.max_image_bytes} bytes (max_image_bytes).`
              : "The text is not base64."
          )
        })
      })
    })
  )
}

// Loopback, private, link-local, multicast and reserved networks.
const forbidden = new BlockList()
for (
  const [network, prefix] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["224.0.0.0", 3]
  ] as const
) forbidden.addSubnet(network, prefix, "ipv4")
// Those of IPv6, and the networks whose addresses stand for IPv4 addresses: NAT64, Teredo and 6to4.
// A mapped address is checked as the IPv4 address that it is.
for (
  const [network, prefix] of [
    ["::", 96],
    ["::ffff:0:0:0", 96],
    ["64:ff9b::", 96],
    ["64:ff9b:1::", 48],
    ["100::", 64],
    ["2001::", 32],
    ["2001:db8::", 32],
    ["2002::", 16],
    ["fc00::", 7],
    ["fe80::", 10],
    ["fec0::", 10],
    ["ff00::", 8]
  ] as const
) forbidden.addSubnet(network, prefix, "ipv6")

/** Whether an address is one that images are never fetched from. An address with a zone is local by its zone. */
export const isPrivate = (address: string): boolean => {
  const family = address.includes("%") ? 0 : isIP(address)
  return family === 0 || forbidden.check(address, family === 6 ? "ipv6" : "ipv4")
}

export interface Network {
  /** Resolves a name. */
  readonly lookup: (
    hostname: string,
    options: LookupAllOptions,
    done: (error: NodeJS.ErrnoException | null, addresses: Array<LookupAddress>) => void
  ) => void
  /** Whether an address is never connected to. */
  readonly isPrivate: (address: string) => boolean
}

/** The network that images are fetched from. By default that of this machine, without its private part. */
export const PublicNetwork = Context.Reference<Network>("serena/server/sdapi/PublicNetwork", {
  defaultValue: () => ({ lookup, isPrivate })
})

class LocalAddress extends Error {}

// Checks the very addresses that the request connects to, so that a second lookup cannot change them.
const publicLookup = (network: Network) =>
(
  hostname: string,
  options: LookupOptions,
  done: (error: Error | null, address: string | Array<LookupAddress>, family?: number) => void
): void =>
  network.lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, "")
    const [first] = addresses
    if (first === undefined || addresses.some(({ address }) => network.isPrivate(address))) {
      return done(new LocalAddress(), "")
    }
    return options.all === true ? done(null, addresses) : done(null, first.address, first.family)
  })

const fetchImage = Effect.fnUntraced(
  function*(text: string, hosts: ReadonlyArray<string>, most: number): Effect.fn.Return<Uint8Array, ApiError> {
    if (hosts.length === 0) return yield* refuse(500, "Requests not allowed")
    const network = yield* PublicNetwork
    const url = URL.parse(text)
    if (url === null) return yield* refuse(500, "Invalid image url")
    const host = url.hostname.toLowerCase()
    const local = refuse(500, "Request to local resource not allowed")
    if (isIP(host.replace(/^\[|\]$/g, "")) !== 0 && network.isPrivate(host.replace(/^\[|\]$/g, ""))) return yield* local
    if (!hosts.some((allowed) => allowed === "*" || host === allowed || host.endsWith(`.${allowed}`))) {
      return yield* refuse(500, "Requests not allowed", {
        errors: `The server does not fetch from ${host}. Allow it with --allow-url-hosts.`
      })
    }
    return yield* Effect.callback<Uint8Array, ApiError>((resume) => {
      const fail = (error: unknown) =>
        resume(Effect.fail(
          error instanceof LocalAddress
            ? local
            : refuse(500, "Invalid image url", { errors: error instanceof Error ? error.message : String(error) })
        ))
      const get = url.protocol === "https:" ? https.get : http.get
      const request = get(url, { lookup: publicLookup(network), timeout: 10_000 }, (response) => {
        if (response.statusCode !== 200) {
          response.destroy()
          return fail(new Error(`The host replied with status ${response.statusCode}.`))
        }
        const chunks: Array<Buffer> = []
        let length = 0
        response.on("data", (chunk: Buffer) => {
          length += chunk.length
          chunks.push(chunk)
          if (length > most) response.destroy(new Error(`The file is over the limit of ${most} bytes.`))
        })
        response.on("error", fail)
        response.on("end", () => resume(Effect.succeed(new Uint8Array(Buffer.concat(chunks)))))
      })
      request.on("timeout", () => request.destroy(new Error("The download timed out.")))
      request.on("error", fail)
      return Effect.sync(() => request.destroy())
    }).pipe(
      Effect.timeoutOrElse({
        duration: "60 seconds",
        orElse: () => Effect.fail(refuse(500, "Invalid image url", { errors: "The download timed out." }))
      })
    )
  }
)
