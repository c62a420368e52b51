/**
 * The studio's page and files at `/`.
 *
 * Script and style sheet are named by a hash of their content, so browsers cache them forever; the page itself is
 * revalidated each time, with a 304 while it is unchanged. All are compressed once. Sign-in is required as for the API.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { createHash } from "node:crypto"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { Authentication, type NotAuthenticated } from "./Authentication.ts"
import { hasTag } from "./EntityTag.ts"
import * as StudioBundle from "./StudioBundle.ts"

/** One file, with its compressed forms. */
export interface StudioFile {
  readonly contentType: string
  readonly etag: string
  readonly plain: Uint8Array
  readonly br: Uint8Array
  readonly gzip: Uint8Array
  readonly cacheControl: string
}

/** All files by their paths. */
export interface StudioFiles {
  readonly page: StudioFile
  readonly assets: ReadonlyMap<string, StudioFile>
}

const forever = "public, max-age=31536000, immutable"

const file = (contentType: string, plain: Uint8Array, cacheControl: string): StudioFile => ({
  contentType,
  plain,
  cacheControl,
  etag: `"${hash(plain)}"`,
  br: brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }),
  gzip: gzipSync(plain, { level: 9 })
})

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("base64url").slice(0, 16)

/** The files with their names and compressed forms. */
export const files = Effect.map(StudioBundle.load, ({ css, html, js }): StudioFiles => {
  const script = `app-${hash(js)}.js`
  const style = `app-${hash(css)}.css`
  const page = html.replace(`href="app.css"`, `href="studio/${style}"`).replace(
    `src="app.js"`,
    `src="studio/${script}"`
  )
  return {
    page: file("text/html; charset=utf-8", Buffer.from(page), "no-cache"),
    assets: new Map([
      [script, file("text/javascript; charset=utf-8", js, forever)],
      [style, file("text/css; charset=utf-8", css, forever)]
    ])
  }
})

// The page loads nothing from elsewhere; `blob:` and `data:` are images that it holds.
const policy = [
  "default-src 'self'",
  "img-src 'self' blob: data:",
  "base-uri 'none'",
  "object-src 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const respond = (request: HttpServerRequest.HttpServerRequest, sent: StudioFile) => {
  const headers = {
    "cache-control": sent.cacheControl,
    "content-security-policy": policy,
    etag: sent.etag,
    vary: "accept-encoding"
  }
  if (hasTag(request.headers["if-none-match"], sent.etag)) return HttpServerResponse.empty({ status: 304, headers })
  const encoding = encodingFor(request.headers["accept-encoding"] ?? "")
  return HttpServerResponse.uint8Array(encoding === undefined ? sent.plain : sent[encoding], {
    contentType: sent.contentType,
    headers: encoding === undefined ? headers : { ...headers, "content-encoding": encoding }
  })
}

// The smallest encoding that the client accepts; a quality of 0 refuses it.
const encodingFor = (accepted: string): "br" | "gzip" | undefined => {
  const refused = (part: string) => /;\s*q=0(?:\.0+)?\s*$/.test(part)
  const names = new Set(
    accepted.split(",").filter((part) => !refused(part)).map((part) => part.split(";", 1)[0]?.trim())
  )
  return names.has("br") ? "br" : names.has("gzip") ? "gzip" : undefined
}

const notFound = HttpServerResponse.text(JSON.stringify({ detail: "Not Found" }), {
  status: 404,
  contentType: "application/json"
})

const unauthorized = ({ reason }: NotAuthenticated) =>
  HttpServerResponse.text(JSON.stringify({ detail: reason }), {
    status: 401,
    contentType: "application/json",
    headers: { "www-authenticate": "Basic" }
  })

const unbuilt = HttpServerResponse.text(
  "The studio could not be built. From sources it needs the development packages: run npm ci. The log has the details.\n",
  { status: 503 }
)

/**
 * The routes. Whether there is a studio is checked when they are added; its files are prepared on the first request.
 */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const { check } = yield* Authentication
    const fs = yield* FileSystem.FileSystem
    if (!(yield* Effect.orDie(StudioBundle.exists))) {
      return yield* Effect.logWarning("The studio's files are missing: the page at / is not served")
    }
    const ready = yield* Effect.cached(Effect.provideService(files, FileSystem.FileSystem, fs))
    const serve = (path: HttpRouter.PathInput, find: (files: StudioFiles, name: string) => StudioFile | undefined) => {
      const answer = (request: HttpServerRequest.HttpServerRequest) =>
        Effect.gen(function*() {
          yield* check(request.headers["authorization"])
          const found = find(yield* Effect.orDie(ready), (yield* HttpRouter.params)["file"] ?? "")
          return found === undefined ? notFound : respond(request, found)
        }).pipe(
          Effect.catch((error) => Effect.succeed(unauthorized(error))),
          Effect.catchDefect((defect) => Effect.as(Effect.logError("the studio could not be built", defect), unbuilt))
        )
      return router.add("GET", path, answer)
    }
    yield* serve("/", ({ page }) => page)
    yield* serve("/studio/:file", ({ assets }, name) => assets.get(name))
  })
)
