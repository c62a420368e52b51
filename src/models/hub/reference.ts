/**
 * What a user asks to fetch: a repository of the hub, a file of one, or an address.
 *
 * `owner/name`, `owner/name@revision`, `owner/name/path/file.safetensors`, `owner/name@revision/path/file.safetensors`,
 * the same as the hub's pages have them (`https://huggingface.co/owner/name/blob/main/file.safetensors`), or any other
 * `https://` address.
 */
import * as Result from "effect/Result"

/** The hub: where it is, and who asks. */
export interface Hub {
  /** Without a slash at the end: `https://huggingface.co`, or `HF_ENDPOINT`. */
  readonly endpoint: string
  /** `HF_TOKEN`; sent to the endpoint's own origin alone. */
  readonly token: string | undefined
}

export type Reference =
  | { readonly _tag: "Repository"; readonly repository: string; readonly revision: string }
  | { readonly _tag: "File"; readonly repository: string; readonly revision: string; readonly path: string }
  | { readonly _tag: "Address"; readonly url: URL }

const official = ["https://huggingface.co", "https://www.huggingface.co", "https://hf.co"]

const part = /^\w[\w.-]{0,95}$/

/** Why a path within a repository or folder is refused, as a clause; undefined where it stays inside. */
export const pathProblem = (path: string): string | undefined =>
  path === "" || path.length > 1024 || /[\\:*?"<>|]|\p{Cc}/u.test(path) ||
    path.split("/").some((name) => name === "" || name === "." || name === ".." || name.length > 200)
    ? `${JSON.stringify(path.slice(0, 200))} is no name of a file that may be written`
    : undefined

/** The hub by its variables; fails with what is wrong with `HF_ENDPOINT`. */
export const hubOf = (env: Readonly<Record<string, string | undefined>>): Result.Result<Hub, string> => {
  const given = (env["HF_ENDPOINT"] ?? "").trim()
  const token = (env["HF_TOKEN"] ?? "").trim()
  const url = URL.parse(given === "" ? official[0] ?? "" : given)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return Result.fail(`"${given}" is not an address such as https://huggingface.co`)
  }
  if (/[^\x21-\x7e]/.test(token)) return Result.fail("HF_TOKEN has characters that no token has")
  return Result.succeed({
    endpoint: `${url.origin}${url.pathname}`.replace(/\/+$/, ""),
    token: token === "" ? undefined : token
  })
}

const howTo = "name a repository (owner/name), a file of one (owner/name/model.safetensors), or an https:// address"

/** Reads what the user wrote; fails with a clause that says what is expected. */
export const parse = (text: string, { endpoint }: Hub): Result.Result<Reference, string> => {
  const written = text.trim()
  if (/^(www\.)?(huggingface\.co|hf\.co)\//.test(written)) {
    return parse(`https://${written}`, { endpoint, token: undefined })
  }
  if (written.startsWith("hf://")) return ofRepository(written.slice("hf://".length))
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(written)) return ofRepository(written)
  const url = URL.parse(written)
  if (url === null) return Result.fail(`it is not an address; ${howTo}`)
  if (!/^https?:$/.test(url.protocol)) return Result.fail(`addresses begin with https://; ${howTo}`)
  const base = [endpoint, ...official].find((base) => `${url.origin}${url.pathname}`.startsWith(`${base}/`))
  return (base === undefined ? undefined : ofPage(`${url.origin}${url.pathname}`.slice(base.length + 1))) ??
    Result.succeed({ _tag: "Address", url })
}

// A revision with a slash is a reference of the hub's own: `refs/pr/1`.
const ofRepository = (text: string): Result.Result<Reference, string> => {
  const match = /^([^/@]+)\/([^/@]+)(?:@(refs\/[^/]+\/[^/]+|[^/]+))?(?:\/(.*))?$/s.exec(text)
  const [, owner = "", name = "", revision = "main", path = ""] = match ?? []
  if (match === null || !part.test(owner) || !part.test(name) || /\.\./.test(owner + name)) {
    return Result.fail(`it is no repository of the hub; ${howTo}`)
  }
  if (!/^[\w./-]{1,200}$/.test(revision) || revision.includes("..")) {
    return Result.fail(`"${revision.slice(0, 100)}" is no revision: name a branch, a tag or a commit`)
  }
  const repository = `${owner}/${name}`
  if (path === "") return Result.succeed({ _tag: "Repository", repository, revision })
  const problem = pathProblem(path)
  return problem === undefined
    ? Result.succeed({ _tag: "File", repository, revision, path })
    : Result.fail(problem)
}

// `owner/name`, `owner/name/tree/revision`, `owner/name/blob/revision/path`; undefined for other pages of the hub.
const ofPage = (path: string): Result.Result<Reference, string> | undefined => {
  const names: Array<string> = []
  for (const name of path.replace(/\/+$/, "").split("/")) {
    const decoded = decoded_(name)
    if (decoded === undefined) return undefined
    names.push(decoded)
  }
  const [owner = "", name = "", page, first, ...rest] = names
  if (["datasets", "spaces", "api", "models"].includes(owner) || name === "") return undefined
  if (page === undefined) return ofRepository(`${owner}/${name}`)
  if (page === "tree" && first !== undefined && rest.length === 0) return ofRepository(`${owner}/${name}@${first}`)
  if (!["blob", "resolve", "raw"].includes(page) || first === undefined || rest.length === 0) return undefined
  const [revision, inside] = first === "refs"
    ? [[first, ...rest.slice(0, 2)].join("/"), rest.slice(2)]
    : [first, rest]
  return ofRepository(`${owner}/${name}@${revision}/${inside.join("/")}`)
}

const decoded_ = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Where the hub has a file of a repository. */
export const fileUrl = (
  { endpoint }: Hub,
  { path, repository, revision }: Omit<Extract<Reference, { readonly _tag: "File" }>, "_tag">
): URL =>
  new URL(
    `${endpoint}/${repository}/resolve/${encodeURIComponent(revision)}/${
      path.split("/").map(encodeURIComponent).join("/")
    }`
  )

/** How messages name a reference; of an address without its query, which may hold a token. */
export const shown = (reference: Reference): string => {
  if (reference._tag === "Address") return `${reference.url.origin}${reference.url.pathname}`
  const { repository, revision } = reference
  const at = revision === "main" ? repository : `${repository}@${revision}`
  return reference._tag === "File" ? `${at}/${reference.path}` : at
}
