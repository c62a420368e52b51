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
import * as http from "node:http"
import * as https from "node:https"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import { fromBase64 } from "../../processing/ImageBytes.ts"
import { isPrivateHost, LocalAddress, publicLookup, PublicNetwork } from "../host/PublicNetwork.ts"
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

const fetchImage = Effect.fnUntraced(
  function*(text: string, hosts: ReadonlyArray<string>, most: number): Effect.fn.Return<Uint8Array, ApiError> {
    if (hosts.length === 0) return yield* refuse(500, "Requests not allowed")
    const network = yield* PublicNetwork
    const url = URL.parse(text)
    if (url === null) return yield* refuse(500, "Invalid image url")
    const host = url.hostname.toLowerCase()
    const local = refuse(500, "Request to local resource not allowed")
    if (isPrivateHost(network, host)) return yield* local
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
