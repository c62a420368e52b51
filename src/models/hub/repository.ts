/**
 * The files of a repository, by the hub's API.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Schema from "effect/Schema"
import { type Digest, gitOf, sha256Of } from "./Digest.ts"
import { PullError } from "./PullError.ts"
import { pathProblem } from "./reference.ts"
import { type Asked, headerOf, open } from "./requests.ts"

const Info = Schema.Struct({ sha: Schema.String.check(Schema.isPattern(/^[0-9a-f]{40}$/)) })

const Tree = Schema.Array(Schema.Struct({
  type: Schema.String,
  path: Schema.String,
  size: Schema.optional(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  /** Of a small file, the id of git's blob. */
  oid: Schema.optional(Schema.String),
  lfs: Schema.optional(Schema.NullOr(Schema.Struct({
    /** SHA-256. */
    oid: Schema.String,
    size: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
  })))
}))

/** A file of a repository at a commit. */
export interface RepositoryFile {
  readonly path: string
  readonly size: number
  readonly digest: Digest | undefined
}

const mostPages = 50

const read = Effect.fnUntraced(
  function*<S extends Schema.Codec<unknown, unknown>>(asked: Asked, url: URL, schema: S) {
    const answer = yield* open(asked, url)
    const value = yield* answer.response.json.pipe(
      Effect.flatMap(Schema.decodeUnknownEffect(schema)),
      Effect.mapError(() =>
        new PullError({
          subject: asked.subject,
          reason: `${url.host} does not answer as the hub does; check HF_ENDPOINT, or try again later`,
          isTemporary: false
        })
      )
    )
    return { value, next: /<([^>]+)>\s*;\s*rel="?next"?/.exec(headerOf(answer, "link") ?? "")?.[1] }
  },
  Effect.scoped
)

/** The commit that a revision stands for, and the files in it; those with names that may be written. */
export const listFiles = Effect.fnUntraced(function*(
  asked: Asked,
  repository: string,
  revision: string
): Effect.fn.Return<
  { readonly commit: string; readonly files: ReadonlyArray<RepositoryFile> },
  PullError,
  HttpClient.HttpClient
> {
  const base = `${asked.hub.endpoint}/api/models/${repository}`
  const { value: { sha } } = yield* read(asked, new URL(`${base}/revision/${encodeURIComponent(revision)}`), Info)
  const files: Array<RepositoryFile> = []
  let url: URL | undefined = new URL(`${base}/tree/${sha}?recursive=true`)
  for (let page = 0; url !== undefined && page < mostPages; page++) {
    const { next, value }: { readonly next: string | undefined; readonly value: typeof Tree.Type } = yield* read(
      asked,
      url,
      Tree
    )
    for (const { lfs, oid, path, size, type } of value) {
      if (type !== "file" || pathProblem(path) !== undefined) continue
      files.push({
        path,
        size: lfs?.size ?? size ?? 0,
        digest: lfs?.oid === undefined ? gitOf(oid) : sha256Of(lfs.oid)
      })
    }
    url = next === undefined ? undefined : URL.parse(next, url.href) ?? undefined
  }
  return { commit: sha, files }
})
