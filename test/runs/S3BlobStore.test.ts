import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { createHash, createHmac } from "node:crypto"
import { createServer, type IncomingMessage, request as requestTo } from "node:http"
import type { AddressInfo } from "node:net"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as S3BlobStore from "../../src/runs/S3BlobStore.ts"
import { blobContract } from "./blobContract.ts"
import { bytesOf } from "./numberedBytes.ts"
import { S3Server } from "./s3Server.ts"

const keys = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" }

const services = S3Server.layer.pipe(Layer.provideMerge(Layer.merge(NodeServices.layer, NodeHttpClient.layerUndici)))

const storeWith = (options: Partial<S3BlobStore.S3Options>) =>
  Layer.unwrap(
    Effect.map(S3Server, ({ endpoint }) =>
      S3BlobStore.layer({ bucket: "runs", endpoint, retryFor: "200 millis", ...keys, ...options }))
  ).pipe(Layer.provideMerge(services))

const objects = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const { folder } = yield* S3Server
  const names = yield* fs.readDirectory(`${folder}/runs`, { recursive: true })
  return names.filter((name) => name.endsWith("_object")).map((name) => `${folder}/runs/${name}`).toSorted()
})

const hoursAgo = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const then = new Date(Date.now() - 2 * 3_600_000)
  yield* Effect.forEach(yield* objects, (file) => fs.utimes(file, then, then))
})

/**
 * A server before the real one, which does not check signatures: this one does. It answers the first requests with a
 * status of its own.
 */
const guarded = Effect.fnUntraced(function*(endpoint: string, { status = 503, times = 0 } = {}) {
  let left = times
  const server = createServer((request, response) => {
    const parts: Array<Buffer> = []
    request.on("data", (part: Buffer) => parts.push(part)).on("end", () => {
      const body = Buffer.concat(parts)
      const refused = left-- > 0 ? status : isSigned(request, body) ? undefined : 403
      if (refused !== undefined) {
        response.writeHead(refused).end()
        return
      }
      const { headers, method, url } = request
      requestTo(`${endpoint}${url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      }).end(body)
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )
  const address = server.address()
  return `http://127.0.0.1:${isAddress(address) ? address.port : 0}`
})

const sha256 = (data: Uint8Array | string) => createHash("sha256").update(data).digest("hex")
const hmac = (key: Buffer | string, data: string) => createHmac("sha256", key).update(data).digest()

/** Whether a request is signed as "Signature Version 4" of the AWS General Reference asks for. */
const isSigned = ({ headers, method, url = "" }: IncomingMessage, body: Buffer): boolean => {
  const [, scope = "", names = "", signature] =
    /Credential=S3RVER\/([^,]+), SignedHeaders=([^,]+), Signature=(\w+)/.exec(headers.authorization ?? "") ?? []
  const [path = "", query = ""] = url.split("?")
  const canonical = [
    method,
    path,
    query.split("&").toSorted().join("&"),
    ...names.split(";").map((name) => `${name}:${String(headers[name])}`),
    "",
    names,
    headers["x-amz-content-sha256"]
  ].join("\n")
  const key = scope.split("/").reduce<Buffer | string>(hmac, `AWS4${keys.secretAccessKey}`)
  const text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(canonical)].join("\n")
  return hmac(key, text).toString("hex") === signature && headers["x-amz-content-sha256"] === sha256(body)
}

const isAddress = (address: AddressInfo | string | null): address is AddressInfo => typeof address === "object"

const opening = (options: Partial<S3BlobStore.S3Options>) =>
  Effect.gen(function*() {
    const endpoint = yield* guarded((yield* S3Server).endpoint)
    const layer = S3BlobStore.layer({ bucket: "runs", endpoint, retryFor: "200 millis", ...keys, ...options })
    return yield* Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), ({ message }) => message)
  })

describe("a store of files in an S3 bucket", () => {
  blobContract(storeWith({ fleeting: "bucket", pageSize: 2 }), hoursAgo, true)

  it.live("names objects by their hash, under a prefix of any characters", () =>
    Effect.gen(function*() {
      const { get, has, put, remove, sweep } = yield* BlobStore
      const hash = yield* put(bytesOf(1))
      yield* put(bytesOf(2), { fleeting: true })
      const { folder } = yield* S3Server
      const files = yield* objects
      assert.strictEqual(files.length, 1)
      assert.include(decodeURIComponent(files[0] ?? ""), `${folder}/runs/a b/ü+(x)&'/${hash.slice(0, 2)}/${hash}`)
      assert.deepStrictEqual(new Uint8Array(yield* get(hash)), bytesOf(1))
      assert.isTrue(yield* has(hash))
      yield* hoursAgo
      assert.deepStrictEqual(yield* sweep(() => Effect.succeed(new Set())), { blobs: 1, bytes: 1000 })
      yield* remove([hash])
    }).pipe(Effect.provide(storeWith({ prefix: "a b/ü+(x)&'/" }))))

  it.live("says which object is damaged, and is well again once the bytes are put", () =>
    Effect.gen(function*() {
      const { get, put } = yield* BlobStore
      const hash = yield* put(bytesOf(3))
      const [file = ""] = yield* objects
      yield* FileSystem.FileSystem.use((fs) => fs.writeFile(file, bytesOf(4)))
      const error = yield* Effect.flip(get(hash))
      assert.strictEqual(error._tag, "BlobError")
      assert.include(error.message, `/${hash} is damaged: restore it from a backup, or remove it`)
      yield* put(bytesOf(3))
      assert.deepStrictEqual(new Uint8Array(yield* get(hash)), bytesOf(3))
    }).pipe(Effect.provide(storeWith({}))))

  it.live("says what is wrong with a bucket that cannot be used", () =>
    Effect.gen(function*() {
      assert.include(yield* opening({ bucket: "others" }), "there is no bucket others: make it, or correct its name")
      assert.include(yield* opening({ secretAccessKey: "wrong" }), "check the key, its permissions on the bucket")
      assert.include(yield* opening({ endpoint: "http://127.0.0.1:1" }), "http://127.0.0.1:1 cannot be reached: ")
      assert.include(yield* opening({ endpoint: "nowhere" }), "correct the endpoint or the bucket")
    }).pipe(Effect.scoped, Effect.provide(services)))

  it.live("repeats what the storage cannot serve, for a while", () =>
    Effect.gen(function*() {
      const { endpoint } = yield* S3Server
      const briefly = yield* guarded(endpoint, { times: 2 })
      const layer = (endpoint: string, retryFor: "1 minute" | "200 millis") =>
        S3BlobStore.layer({ bucket: "runs", endpoint, retryFor, ...keys })
      yield* Effect.gen(function*() {
        const { get, put } = yield* BlobStore
        assert.deepStrictEqual(new Uint8Array(yield* get(yield* put(bytesOf(5)))), bytesOf(5))
      }).pipe(Effect.provide(layer(briefly, "1 minute")))
      const forEver = yield* guarded(endpoint, { status: 500, times: Infinity })
      assert.include(yield* opening({ endpoint: forEver }), "the storage cannot serve the request now (status 500)")
    }).pipe(Effect.scoped, Effect.provide(services)))

  it("takes keys, region and endpoint from the variables of AWS", () => {
    const env = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret", AWS_REGION: "eu-west-1" }
    assert.deepInclude(S3BlobStore.optionsFrom({ ...env, AWS_ENDPOINT_URL: "http://a" }, { bucket: "runs" }), {
      bucket: "runs",
      accessKeyId: "id",
      secretAccessKey: "secret",
      region: "eu-west-1",
      endpoint: "http://a"
    })
    assert.deepInclude(S3BlobStore.optionsFrom(env, { bucket: "runs", region: "auto" }), { region: "auto" })
    assert.include(S3BlobStore.optionsFrom({}, { bucket: "runs" }), "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
  })
})
