import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { Authentication } from "../../src/server/host/Authentication.ts"
import { ServerOptions } from "../../src/server/host/ServerOptions.ts"
import * as StudioFiles from "../../src/server/host/StudioFiles.ts"

/** Asks the routes alone, as they are for these users. */
const asking = Effect.fnUntraced(function*(api_auth: ReadonlyArray<string> = []) {
  const routes = StudioFiles.layer.pipe(Layer.provide([
    Authentication.layer.pipe(Layer.provide(ServerOptions.layer({ api_auth })), Layer.orDie),
    NodeFileSystem.layer
  ]))
  const { handler } = yield* Effect.acquireRelease(
    Effect.sync(() => HttpRouter.toWebHandler(routes, { disableLogger: true })),
    ({ dispose }) => Effect.promise(dispose)
  )
  return (path: string, headers: Readonly<Record<string, string>> = {}) =>
    Effect.promise(() => handler(new Request(`http://studio${path}`, { headers })))
})

const bytes = (response: Response) => Effect.promise(async () => new Uint8Array(await response.arrayBuffer()))

describe("the studio's files", () => {
  it.effect("are sent in the smallest form that is accepted, and are the same in each", () =>
    Effect.gen(function*() {
      const get = yield* asking()
      const plain = yield* get("/")
      const text = yield* bytes(plain)
      assert.strictEqual(plain.headers.get("content-encoding"), null)
      assert.include(Buffer.from(text).toString(), `<div id="studio">`)
      const br = yield* get("/", { "accept-encoding": "gzip, br;q=0.9" })
      assert.strictEqual(br.headers.get("content-encoding"), "br")
      assert.deepStrictEqual(new Uint8Array(brotliDecompressSync(yield* bytes(br))), text)
      const gzip = yield* get("/", { "accept-encoding": "gzip, br;q=0" })
      assert.strictEqual(gzip.headers.get("content-encoding"), "gzip")
      assert.deepStrictEqual(new Uint8Array(gunzipSync(yield* bytes(gzip))), text)
    }))

  it.effect("are known again by their tags", () =>
    Effect.gen(function*() {
      const get = yield* asking()
      const etag = (yield* get("/")).headers.get("etag") ?? ""
      assert.strictEqual((yield* get("/", { "if-none-match": `"other", W/${etag}` })).status, 304)
      assert.strictEqual((yield* get("/", { "if-none-match": `"other"` })).status, 200)
    }))

  it.effect("are for those only whom the server knows, when it has users", () =>
    Effect.gen(function*() {
      const get = yield* asking(["ada:secret"])
      const refused = yield* get("/")
      assert.strictEqual(refused.status, 401)
      assert.strictEqual(refused.headers.get("www-authenticate"), "Basic")
      assert.strictEqual((yield* get("/studio/app.js")).status, 401)
      const authorization = `Basic ${Buffer.from("ada:secret").toString("base64")}`
      assert.strictEqual((yield* get("/", { authorization })).status, 200)
      assert.strictEqual((yield* get("/studio/nothing.js", { authorization })).status, 404)
    }))
})
