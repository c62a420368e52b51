/**
 * Files of runs in a bucket of Amazon S3, or of any storage with its API: MinIO, Ceph, R2 and others.
 *
 * Objects are named `<prefix>ab/abcdef...` by their hash. Requests are signed with AWS Signature Version 4, with the
 * hash of what they send, so the server refuses what changed on the way. Addresses are in path style:
 * `<endpoint>/<bucket>/<key>`.
 */
import { AwsV4Signer } from "aws4fetch"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { readableError } from "../core/readableError.ts"
import { BlobError, BlobMissing, BlobStore, hashing, sweepAfter } from "./BlobStore.ts"
import * as MemoryBlobStore from "./MemoryBlobStore.ts"
import type { BlobHash } from "./RunRecord.ts"

export interface S3Options {
  readonly bucket: string
  /** Put before all names, such as `serena/`; empty by default. */
  readonly prefix?: string | undefined
  /** `http://127.0.0.1:9000`; Amazon's own for the region by default. */
  readonly endpoint?: string | undefined
  /** `us-east-1` by default. */
  readonly region?: string | undefined
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** For temporary credentials. */
  readonly sessionToken?: string | undefined
  /** Where fleeting blobs go: the memory of this process, or the bucket. `memory` by default. */
  readonly fleeting?: "bucket" | "memory" | undefined
  /** For how long a request is repeated that does not get through, or that the server cannot serve. 20 s by default. */
  readonly retryFor?: Duration.Input | undefined
  /** Names that are listed at once while sweeping, 500 by default and 1000 at most. */
  readonly pageSize?: number | undefined
}

/** Options for a bucket as the variables `AWS_*` say; a sentence about what is missing when they do not. */
export const optionsFrom = (
  env: Readonly<Record<string, string | undefined>>,
  bucket: Pick<S3Options, "bucket" | "endpoint" | "prefix" | "region">
): S3Options | string => {
  const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = env
  if (accessKeyId === "" || secretAccessKey === "") {
    return "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the storage."
  }
  const given = (...names: ReadonlyArray<string>) =>
    names.map((name) => env[name]).find((value) => value !== undefined && value !== "")
  return {
    ...bucket,
    accessKeyId,
    secretAccessKey,
    sessionToken: given("AWS_SESSION_TOKEN"),
    endpoint: bucket.endpoint ?? given("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    region: bucket.region ?? given("AWS_REGION", "AWS_DEFAULT_REGION")
  }
}

/** How long one request may take. */
const patience = Duration.seconds(60)

/** A request did not get through; it may be repeated if that is temporary. */
class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", {
  reason: Schema.String,
  isTemporary: Schema.Boolean
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The storage gave no answer: ${this.reason}`
  }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly bytes: Uint8Array
}

const make = Effect.fnUntraced(function*(options: S3Options) {
  const { bucket, fleeting = "memory", pageSize = 500, prefix = "", region = "us-east-1", retryFor = "20 seconds" } =
    options
  const endpoint = (options.endpoint ?? `https://s3.${region}.amazonaws.com`).replace(/\/+$/, "")
  const where = `${endpoint}/${bucket}`
  const client = yield* HttpClient.HttpClient
  const memory = yield* MemoryBlobStore.make
  // Keys that signatures are made of, one for each day.
  const cache = new Map<string, ArrayBuffer>()

  const failing = (action: BlobError["action"]) => ({ reason }: NoAnswer) => new BlobError({ action, where, reason })

  const once = Effect.fnUntraced(function*(
    method: "DELETE" | "GET" | "HEAD" | "PUT",
    address: string,
    body: Uint8Array | undefined
  ) {
    const url = `${where}${address}`
    const hash = yield* hashing(body ?? new Uint8Array())
    const signed = yield* Effect.tryPromise({
      try: () =>
        new AwsV4Signer({
          method,
          url,
          headers: { "x-amz-content-sha256": hash },
          service: "s3",
          region,
          accessKeyId: options.accessKeyId,
          secretAccessKey: options.secretAccessKey,
          ...(options.sessionToken !== undefined && { sessionToken: options.sessionToken }),
          cache
        }).sign(),
      catch: () =>
        new NoAnswer({ reason: `${url} is no address: correct the endpoint or the bucket`, isTemporary: false })
    })
    const request = HttpClientRequest.make(method)(signed.url, { headers: signed.headers })
    const response = yield* client.execute(
      body === undefined ? request : HttpClientRequest.bodyUint8Array(request, body, "application/octet-stream")
    )
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      bytes: method === "HEAD" ? new Uint8Array() : new Uint8Array(yield* response.arrayBuffer)
    }
    if (answer.status >= 200 && answer.status <= 299) return answer
    if (answer.status === 404 && codeOf(answer) !== "NoSuchBucket") return answer
    return yield* refusal(answer, options)
  }, (effect) =>
    effect.pipe(
      Effect.scoped,
      Effect.timeout(patience),
      Effect.catchTags({
        HttpClientError: ({ reason }) =>
          new NoAnswer({ reason: `${endpoint} cannot be reached: ${causeOf(reason)}`, isTemporary: true }),
        TimeoutError: () => new NoAnswer({ reason: `${endpoint} does not answer`, isTemporary: true })
      })
    ))

  const untilLate = Schedule.exponential("100 millis").pipe(
    Schedule.jittered,
    Schedule.upTo({ duration: retryFor }),
    Schedule.setInputType<NoAnswer>(),
    Schedule.while(({ input }) => Effect.succeed(input.isTemporary))
  )
  const send = (...request: Parameters<typeof once>) => Effect.retry(once(...request), untilLate)

  const addressOf = (hash: BlobHash) => `/${encoded(prefix)}${hash.slice(0, 2)}/${hash}`

  // The first version of the list: every storage has it, and it goes on after any key.
  const list = (after: string) =>
    send(
      "GET",
      `?marker=${encodeURIComponent(after)}&max-keys=${pageSize}&prefix=${encodeURIComponent(prefix)}`,
      undefined
    )

  // A bucket that is not there, or a key that is refused, is better known now.
  const first = yield* Effect.mapError(list(""), failing("read"))
  if (first.status === 404) {
    return yield* new BlobError({ action: "read", where, reason: "there is no such bucket" })
  }

  const read = Effect.fnUntraced(function*(hash: BlobHash) {
    const { bytes, status } = yield* Effect.mapError(send("GET", addressOf(hash), undefined), failing("read"))
    if (status === 404) return yield* new BlobMissing({ hash })
    if ((yield* hashing(bytes)) === hash) return bytes
    const reason = `the object ${prefix}${hash.slice(0, 2)}/${hash} is damaged: restore it from a backup, or remove it`
    return yield* new BlobError({ action: "read", where, reason })
  })

  // Removes an object that is old by the server's clock. Between question and removal another process can put it
  // again: S3 has no way to ask for both at once. False when it stays.
  const removeIfOld = Effect.fnUntraced(function*(hash: BlobHash) {
    const { headers, status } = yield* send("HEAD", addressOf(hash), undefined)
    if (status === 404 || !isOld(momentOf(headers["last-modified"]), headers)) return false
    yield* send("DELETE", addressOf(hash), undefined)
    return true
  })

  // Removes objects of a page that are old by the server's clock, and not needed.
  const sweepPage = Effect.fnUntraced(function*(
    { bytes, headers }: Answer,
    isNeeded: (hashes: ReadonlyArray<BlobHash>) => Effect.Effect<ReadonlySet<BlobHash>>,
    swept: { blobs: number; bytes: number }
  ) {
    const old = objectsOf(bytes).filter(({ modified }) => isOld(modified, headers))
    const needed = yield* isNeeded(old.map(({ hash }) => hash))
    for (const { hash, size } of old) {
      if (needed.has(hash) || !(yield* removeIfOld(hash))) continue
      swept.blobs += 1
      swept.bytes += size
    }
  })

  return BlobStore.of({
    put: Effect.fnUntraced(function*(bytes, given) {
      if (given?.fleeting === true && fleeting === "memory") return yield* memory.put(bytes)
      const hash = yield* hashing(bytes)
      yield* Effect.mapError(send("PUT", addressOf(hash), bytes), failing("write"))
      return hash
    }),
    get: (hash) => Effect.catchTag(memory.get(hash), "BlobMissing", () => read(hash)),
    has: Effect.fnUntraced(function*(hash) {
      if (yield* memory.has(hash)) return true
      const { status } = yield* Effect.mapError(send("HEAD", addressOf(hash), undefined), failing("read"))
      return status !== 404
    }),
    remove: Effect.fnUntraced(function*(hashes) {
      const all = [...hashes]
      yield* memory.remove(all)
      yield* Effect.forEach(all, removeIfOld, { concurrency: 8, discard: true }).pipe(
        Effect.mapError(failing("remove"))
      )
    }),
    sweep: Effect.fnUntraced(function*(isNeeded) {
      const swept = { ...(yield* memory.sweep(isNeeded)) }
      for (let after: string | undefined = ""; after !== undefined;) {
        const page: Answer = yield* list(after)
        after = lastKeyOf(page)
        yield* sweepPage(page, isNeeded, swept)
      }
      return swept
    }, Effect.mapError((error) => error._tag === "NoAnswer" ? failing("remove")(error) : error))
  })
})

// As signatures are made of it: RFC 3986, with slashes as they are.
const encoded = (prefix: string): string =>
  encodeURIComponent(prefix).replaceAll("%2F", "/")
    .replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const entities: Readonly<Record<string, string>> = { amp: "&", apos: "'", gt: ">", lt: "<", quot: "\"" }

const unescaped = (xml: string): string =>
  xml.replaceAll(
    /&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi,
    (whole, hex?: string, decimal?: string, name = "") =>
      hex !== undefined
        ? String.fromCodePoint(Number.parseInt(hex, 16))
        : decimal !== undefined
        ? String.fromCodePoint(Number(decimal))
        : entities[String(name)] ?? whole
  )

/** The text of the first element of a name. */
const fieldOf = (xml: string, name: string): string | undefined => {
  const text = new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1]
  return text === undefined ? undefined : unescaped(text)
}

/** Milliseconds since the epoch; NaN for what is no date. */
const momentOf = (date: string | undefined): number => Date.parse(date ?? "")

/** Whether a moment is so long ago, by the clock of the server that answers, that what was put then can be swept. */
const isOld = (moment: number, { date }: Answer["headers"]): boolean => moment <= momentOf(date) - sweepAfter

const contentsOf = (bytes: Uint8Array): ReadonlyArray<string> =>
  textOf(bytes).match(/<Contents>.*?<\/Contents>/gs) ?? []

/** The key after which the list goes on; undefined on the last page. */
const lastKeyOf = ({ bytes }: Answer): string | undefined =>
  fieldOf(textOf(bytes), "IsTruncated") === "true" ? fieldOf(contentsOf(bytes).at(-1) ?? "", "Key") : undefined

/** The blobs of a page of a list. */
const objectsOf = (bytes: Uint8Array) =>
  contentsOf(bytes).flatMap((xml) => {
    const hash = /(?:^|\/)[0-9a-f]{2}\/([0-9a-f]{64})$/.exec(fieldOf(xml, "Key") ?? "")?.[1]
    const size = Number(fieldOf(xml, "Size"))
    return hash === undefined ? [] : [{ hash, size, modified: momentOf(fieldOf(xml, "LastModified")) }]
  })

const codeOf = ({ bytes }: Answer): string | undefined => fieldOf(textOf(bytes.subarray(0, 4096)), "Code")

const refusal = (answer: Answer, { bucket }: S3Options): NoAnswer => {
  const { status } = answer
  const code = codeOf(answer)
  const isTemporary = status === 408 || status === 429 || status >= 500
  const said = fieldOf(textOf(answer.bytes.subarray(0, 4096)), "Message")
  const reason = code === "NoSuchBucket"
    ? `there is no bucket ${bucket}: make it, or correct its name`
    : status === 403
    ? "the key may not do this: check the key, its permissions on the bucket, and the clock of this machine"
    : isTemporary
    ? "the storage cannot serve the request now"
    : "the storage refuses the request"
  return new NoAnswer({ reason: `${reason} (status ${status}${said === undefined ? "" : `, ${said}`})`, isTemporary })
}

const causeOf = ({ cause, message }: { readonly cause?: unknown; readonly message: string }): string =>
  cause instanceof Error && cause.message !== "" ? cause.message : message

/**
 * Fails when the bucket cannot be read. The key needs `s3:ListBucket` on the bucket, and `s3:GetObject`,
 * `s3:PutObject` and `s3:DeleteObject` on its objects.
 */
export const layer = (options: S3Options): Layer.Layer<BlobStore, BlobError, HttpClient.HttpClient> =>
  Layer.effect(BlobStore, make(options))
