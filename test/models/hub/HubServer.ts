/**
 * A server that speaks the hub's API, and a second one at another port that has the large files, as the hub's storage
 * does.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from "node:http"

export interface Served {
  readonly bytes: Uint8Array
  /** Whether it lies in the storage, with a SHA-256 in place of git's id. */
  readonly isLarge?: boolean
  /** A checksum that is not its own. */
  readonly wrongDigest?: string
  /** After how many bytes the connection breaks, for one answer each; the later answers are whole. */
  readonly cuts?: Array<number>
  /** After how many bytes an answer stops and waits without end, for one answer each. */
  readonly stalls?: Array<number>
  /** Whether ranges are ignored. */
  readonly noRanges?: boolean
  /** Whether ranges are refused, with status 416. */
  readonly refusesRanges?: boolean
  /** Headers of the answer with the file. */
  readonly headers?: Readonly<Record<string, string>>
  /** Where the hub redirects to in place of the storage. */
  readonly location?: string
}

export interface Repository {
  readonly files: Readonly<Record<string, Served>>
  /** `refused`: its terms are accepted by nobody. */
  readonly access?: "gated" | "private" | "refused"
}

export interface Request {
  readonly from: "hub" | "storage"
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

export interface HubServer {
  /** For `HF_ENDPOINT`. */
  readonly endpoint: string
  readonly storage: string
  readonly requests: ReadonlyArray<Request>
}

export const token = "hf_letMeIn"
export const commit = "0123456789abcdef0123456789abcdef01234567"

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const gitId = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex")

const digestOf = ({ bytes, isLarge = false, wrongDigest }: Served): string =>
  wrongDigest ?? (isLarge ? sha256(bytes) : gitId(bytes))

const listening = (listener: RequestListener): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer(listener)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    (server) => {
      const address = server.address()
      return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
    }
  )

// Sends a file, or the rest that a range asks for.
const send = (served: Served, headers: IncomingHttpHeaders, response: ServerResponse, etag: string) => {
  const { bytes, cuts = [], headers: own = {}, noRanges = false, refusesRanges = false, stalls = [] } = served
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0)
  const isSame = headers["if-range"] === undefined || headers["if-range"] === (own["etag"] ?? etag)
  const isRange = headers.range !== undefined && !noRanges && isSame
  if (isRange && (refusesRanges || from >= bytes.length)) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end()
    return
  }
  const rest = isRange ? bytes.subarray(from) : bytes
  response.writeHead(isRange ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": rest.length,
    etag,
    ...(isRange && { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    ...own
  })
  const cut = cuts.shift()
  const stall = stalls.shift()
  if (cut !== undefined) response.write(rest.subarray(0, cut), () => response.destroy())
  else if (stall !== undefined) response.write(rest.subarray(0, stall))
  else response.end(rest)
}

/** Starts both servers; they end with the scope. `addresses` are files of the storage that no repository has. */
export const start = Effect.fnUntraced(function*(
  repositories: Readonly<Record<string, Repository>>,
  addresses: Readonly<Record<string, Served>> = {}
) {
  const requests: Array<Request> = []
  const large = new Map<string, Served>()
  for (const { files } of Object.values(repositories)) {
    for (const file of Object.values(files)) if (file.isLarge) large.set(`/xet/${sha256(file.bytes)}`, file)
  }
  const storage = yield* listening(({ headers, url = "" }, response) => {
    requests.push({ from: "storage", path: url, headers })
    const { pathname } = new URL(url, "http://storage")
    const served = large.get(pathname) ?? addresses[pathname]
    if (served === undefined) response.writeHead(404).end()
    else if (served.location !== undefined && !large.has(pathname)) {
      response.writeHead(307, { location: served.location }).end()
    } else send(served, headers, response, "\"of-the-storage\"")
  })

  const answer: RequestListener = ({ headers, url = "" }, response) => {
    requests.push({ from: "hub", path: url, headers })
    const { pathname, searchParams } = new URL(url, "http://hub")
    const refuse = (status: number, code: string) => response.writeHead(status, { "x-error-code": code }).end("{}")
    const json = (value: unknown, more: Readonly<Record<string, string>> = {}) =>
      response.writeHead(200, { "content-type": "application/json", ...more }).end(JSON.stringify(value))
    const [, owner, name] = /^(?:\/api\/models)?\/([^/]+)\/([^/]+)/.exec(pathname) ?? []
    const repository = repositories[`${owner}/${name}`]
    const isKnown = headers.authorization === `Bearer ${token}`
    if (repository === undefined || (repository.access === "private" && !isKnown)) return refuse(401, "RepoNotFound")
    const [, kind, revision, path = ""] = /\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/.exec(pathname) ?? []
    if (!["main", "v1", commit].includes(decodeURIComponent(revision ?? ""))) return refuse(404, "RevisionNotFound")
    const entries = Object.entries(repository.files)
    if (kind === "revision") return json({ id: `${owner}/${name}`, sha: commit })
    if (kind === "tree") {
      // Two pages, as the hub answers with more than a thousand files.
      const half = Math.ceil(entries.length / 2)
      const isSecond = searchParams.has("cursor")
      const page = (isSecond ? entries.slice(half) : entries.slice(0, half)).map(([path, file]) => ({
        type: "file",
        path,
        size: file.bytes.length,
        oid: file.isLarge ? "a".repeat(40) : digestOf(file),
        lfs: file.isLarge ? { oid: digestOf(file), size: file.bytes.length, pointerSize: 134 } : null
      }))
      return json(page, isSecond ? {} : { link: `<${endpoint}${pathname}?recursive=true&cursor=2>; rel="next"` })
    }
    if (repository.access === "gated" && !isKnown) return refuse(401, "GatedRepo")
    if (repository.access === "refused") return refuse(isKnown ? 403 : 401, "GatedRepo")
    const file = repository.files[decodeURIComponent(path)]
    if (file === undefined) return refuse(404, "EntryNotFound")
    if (!file.isLarge) return send(file, headers, response, `"${digestOf(file)}"`)
    response.writeHead(302, {
      location: file.location ?? `${storage}/xet/${sha256(file.bytes)}?signature=1`,
      "x-linked-etag": `"${digestOf(file)}"`,
      "x-linked-size": String(file.bytes.length),
      "x-repo-commit": commit
    }).end()
  }
  const endpoint: string = yield* listening(answer)
  const server: HubServer = { endpoint, storage, requests }
  return server
})
