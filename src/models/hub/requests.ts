/**
 * Requests to the hub and to other servers that have files.
 *
 * Redirects are followed here rather than by the HTTP client: the token goes to the hub's own origin alone, no redirect
 * leads to an unencrypted address of another machine, and the headers that name a file's checksum come with the hub's
 * redirect rather than with the file.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import { version } from "../../version.ts"
import { PullError } from "./PullError.ts"
import type { Hub } from "./reference.ts"

/** How messages name what helps: the flags of a command, or the fields of a request. */
export interface Wording {
  readonly name: string
  readonly folder: string
  readonly variant: string
  /** A sentence without its full stop. */
  readonly again: string
}

/** What is asked for, as messages name it, and from which hub. */
export interface Asked {
  readonly subject: string
  readonly hub: Hub
  readonly wording: Wording
  /** Most bytes of a download, of all its files together. */
  readonly most: number
  /** Bytes of a disk that a download leaves free. */
  readonly reserve: number
}

/** An answer that is no redirect. Its body is closed with the scope. */
export interface Answer {
  readonly response: HttpClientResponse.HttpClientResponse
  /** The headers of every answer on the way, the last one first. */
  readonly headers: ReadonlyArray<Headers.Headers>
  /** Where it came from in the end. */
  readonly url: URL
}

/** The first of these headers that an answer on the way had, the last answer first. */
export const headerOf = ({ headers }: Answer, name: string): string | undefined =>
  headers.find((each) => each[name] !== undefined)?.[name]

const mostRedirects = 10

/** How long a server may take to answer, and to go on with a file. */
export const patience = Duration.seconds(60)

const isLoopback = ({ hostname }: URL): boolean =>
  hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" ||
  /^127(\.\d+){3}$/.test(hostname)

// Unencrypted addresses: only of this machine, and of the host that `HF_ENDPOINT` names so.
const mayFollow = (url: URL, from: URL | undefined, { endpoint }: Hub): boolean =>
  url.protocol === "https:" ||
  (url.protocol === "http:" && from?.protocol !== "https:" &&
    (isLoopback(url) || `${endpoint}/`.startsWith(`${url.origin}/`)))

const failure = (subject: string, reason: string, isTemporary = false) =>
  new PullError({ subject, reason, isTemporary })

/**
 * Asks for an address, with these headers, and follows redirects. Fails for every answer of 400 and above but 416, with
 * what to do.
 */
export const open = Effect.fnUntraced(function*(
  { hub, subject }: Pick<Asked, "hub" | "subject">,
  address: URL,
  headers: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Answer, PullError, HttpClient.HttpClient | Scope.Scope> {
  const client = HttpClient.withScope(yield* HttpClient.HttpClient)
  const seen: Array<Headers.Headers> = []
  const home = new URL(hub.endpoint).origin
  let from: URL | undefined
  let url = address
  // Once it has left the hub, a request does not get the token back.
  let isHome = true
  for (let i = 0; i <= mostRedirects; i++) {
    isHome = isHome && url.origin === home
    if (!mayFollow(url, from, hub)) {
      return yield* failure(
        subject,
        from === undefined
          ? `the address ${url.protocol}//${url.host} is not encrypted; use an https:// address`
          : `it leads to ${url.protocol}//${url.host}, which is not encrypted, so nothing is fetched from there`
      )
    }
    const token = isHome && hub.token !== undefined ? { authorization: `Bearer ${hub.token}` } : {}
    const request = HttpClientRequest.get(url, {
      headers: { "user-agent": `serena/${version}`, "accept-encoding": "identity", ...headers, ...token }
    })
    const response = yield* client.execute(request).pipe(
      Effect.timeout(patience),
      Effect.mapError((error) =>
        error._tag === "TimeoutError"
          ? failure(subject, `${url.host} does not answer; try again later`, true)
          : unreachable(subject, url, error)
      )
    )
    seen.unshift(response.headers)
    const location = response.headers["location"]
    if (response.status >= 300 && response.status <= 399 && location !== undefined) {
      const next = URL.parse(location, url.href)
      if (next === null) {
        return yield* failure(subject, `${url.host} redirects to an address that is none; try again later`)
      }
      from = url
      url = next
      continue
    }
    const answer: Answer = { response, headers: seen, url }
    if ((response.status < 200 || response.status > 299) && response.status !== 416) {
      return yield* refusal(subject, hub, answer)
    }
    return answer
  }
  return yield* failure(subject, `more than ${mostRedirects} redirects; try again later`)
})

/** The `code` of an error for an address that the client never connects to. */
export const refusedAddress = "ERR_REFUSED_ADDRESS"

const unreachable = (subject: string, { host }: URL, { reason }: HttpClientError.HttpClientError): PullError => {
  const { cause } = reason
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  if (code === refusedAddress) {
    return failure(subject, `${host} is in a private network, and only public addresses are asked; use one of those`)
  }
  const why = code === "ENOTFOUND" || code === "EAI_AGAIN"
    ? "its name is not known"
    : code === "ECONNREFUSED"
    ? "nothing answers there"
    : cause instanceof Error && cause.message !== ""
    ? cause.message
    : reason.message
  return failure(
    subject,
    `${host} cannot be reached: ${why}. Check the connection and try again; what has arrived is kept`,
    true
  )
}

// What the hub's error codes ask for, see huggingface_hub's `utils/_http.py`.
const refusal = (subject: string, hub: Hub, { headers, response, url }: Answer): PullError => {
  const { status } = response
  const code = headers[0]?.["x-error-code"]
  const isHub = url.origin === new URL(hub.endpoint).origin
  const page = `${hub.endpoint}/${/^[^/@]+\/[^/@]+/.exec(subject)?.[0] ?? ""}`
  if (code === "GatedRepo") {
    return failure(
      subject,
      hub.token === undefined
        ? `the repository has terms to accept. Accept them at ${page}, and set HF_TOKEN to a token of that account`
        : `the account of HF_TOKEN has no access. Accept the terms at ${page}, or use another token`
    )
  }
  if (code === "EntryNotFound") return failure(subject, "the repository has no such file; look at its files on the hub")
  if (code === "RevisionNotFound") return failure(subject, "the repository has no such branch, tag or commit")
  if (isHub && (status === 401 || status === 404 || code === "RepoNotFound")) {
    return failure(
      subject,
      hub.token === undefined
        ? "there is no such repository or file, or it is private. Check the name, or set HF_TOKEN"
        : "there is no such repository or file, or HF_TOKEN may not read it. Check the name and the token"
    )
  }
  if (status === 401 || status === 403) {
    return failure(
      subject,
      isHub
        ? "the hub refuses access. Set HF_TOKEN to a token that may read this repository"
        : `${url.host} refuses access. Sign in there and download it with a browser, or use an address with a token`
    )
  }
  if (status === 404 || status === 410) return failure(subject, `${url.host} has no such file; check the address`)
  if (status === 429) {
    return failure(subject, `${url.host} answers that there were too many requests; try again later`, true)
  }
  return failure(subject, `${url.host} answers with status ${status}; try again later`, status >= 500 || status === 408)
}
