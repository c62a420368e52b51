import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createServer, type Server } from "node:http"
import { Client } from "../../../src/client/index.ts"
import { ModelFile } from "../../../src/contract/Catalogue.ts"
import type { Download } from "../../../src/contract/Download.ts"
import { allowsDownloads, DownloadHub } from "../../../src/server/host/Downloads.ts"
import { isPrivate, PublicNetwork } from "../../../src/server/host/PublicNetwork.ts"
import { ServerSettings } from "../../../src/server/host/ServerOptions.ts"
import { lora, safetensors } from "../../models/hub/files.ts"
import { type Repository, sha256, start, token } from "../../models/hub/HubServer.ts"
import { until } from "../serving.ts"
import { listening, type ListeningOptions } from "./listening.ts"

const half = 1 << 20
const weightsOf = (fill: number) => safetensors({ "lora_unet_a.lora_up.weight": [half, 1] }, fill)
const weights = weightsOf(0)
const slow = (stalls: Array<number>): Repository => ({
  files: { "a.safetensors": { bytes: weights, isLarge: true, stalls } }
})

/** A server whose hub is on this machine, like all that it may reach, and an empty models folder. */
const started = Effect.fnUntraced(function*(
  hub: { readonly endpoint: string },
  { isGuarded = false, ...options }: ListeningOptions & { readonly isGuarded?: boolean } = {}
) {
  const fs = yield* FileSystem.FileSystem
  const modelsDir = yield* fs.makeTempDirectoryScoped()
  const { lookup } = yield* PublicNetwork
  const server = yield* listening({ cmdOpts: { modelsDir }, ...options }).pipe(
    Effect.provideService(DownloadHub, Result.succeed({ endpoint: hub.endpoint, token })),
    Effect.provideService(PublicNetwork, { lookup, isPrivate: isGuarded ? isPrivate : () => false })
  )
  const client = yield* Client.make({ url: server.url })
  const ended = (id: string) => until(client.download(id), ({ ended_at }) => ended_at !== null)
  const get = (source: string, more = {}) =>
    Effect.flatMap(client.startDownload({ source, ...more }), ({ id }) => ended(id))
  return { ...server, client, ended, get, modelsDir, filesIn: fs.readDirectory(modelsDir, { recursive: true }) }
})

const hasArrived = (bytes: number) => ({ received, state }: Download) => state === "running" && received >= bytes

describe("Downloads of models", () => {
  it.live("bring a file into the folder of its kind, where the server finds it at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const hub = yield* start({ "owner/name": { files: { "style.safetensors": { bytes: lora(), isLarge: true } } } })
      const { client, filesIn, get, modelsDir, send } = yield* started(hub)
      yield* fs.makeDirectory(`${modelsDir}/checkpoints`)
      const download = yield* get("owner/name")
      assert.deepStrictEqual(download, {
        ...download,
        source: "owner/name",
        state: "done",
        name: "style.safetensors",
        received: lora().length,
        size: lora().length,
        kind: "lora",
        verified: true,
        problem: null
      })
      assert.include(yield* filesIn, "loras/style.safetensors")
      const files = yield* Effect.promise(async () => (await Effect.runPromise(send("/v1/model-files"))).json())
      const named = (yield* Schema.decodeUnknownEffect(Schema.Array(ModelFile))(files)).map(({ name }) => name)
      assert.deepStrictEqual(named, ["style", "shapes-128"])
      // An address, into a folder and under a name of its own; the same again is found there.
      const address = `${hub.storage}/xet/${sha256(lora())}?key=secret`
      const { name, source } = yield* get(address, { name: "mine", folder: "mine/new" }).pipe(
        Effect.filterOrFail(({ state }) => state === "failed")
      )
      assert.deepStrictEqual([name, source.includes("secret")], [null, false])
      assert.strictEqual((yield* get(address, { name: "mine.safetensors", folder: "mine/new" })).state, "done")
      assert.include(yield* filesIn, "mine/new/mine.safetensors")
      assert.strictEqual((yield* get("owner/name")).state, "done")
      const { downloads, max_bytes, refusal } = yield* client.downloads
      assert.deepStrictEqual([downloads.length, refusal, max_bytes], [3, null, 50e9])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.live("are cancelled, continued where they stopped, and removed with what arrived", () =>
    Effect.gen(function*() {
      const hub = yield* start({ "owner/name": slow([half, half]) })
      const { client, filesIn, get } = yield* started(hub)
      const cut = yield* client.startDownload({ source: "owner/name" })
      assert.strictEqual((yield* client.startDownload({ source: "owner/name" })).id, cut.id)
      const { size } = yield* until(client.download(cut.id), hasArrived(half))
      assert.strictEqual(size, weights.length)
      assert.strictEqual((yield* client.cancelDownload(cut.id)).state, "cancelled")
      assert.lengthOf(yield* filesIn, 1)
      const removed = yield* client.startDownload({ source: "owner/name" })
      yield* until(client.download(removed.id), hasArrived(2 * half))
      yield* client.cancelDownload(removed.id)
      assert.strictEqual((yield* get("owner/name")).state, "done")
      assert.strictEqual(hub.requests.at(-1)?.headers.range, `bytes=${2 * half}-`)
      assert.deepStrictEqual(yield* filesIn, ["a.safetensors"])
      // It took the place of the others.
      const gone = yield* Effect.flip(client.removeDownload(cut.id))
      assert.strictEqual(gone._tag, "DownloadNotFound")
      for (const { id } of (yield* client.downloads).downloads) yield* client.removeDownload(id)
      assert.deepStrictEqual(yield* filesIn, ["a.safetensors"])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.live("leave nothing when they are removed, and wait for their turn", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 19 }, (_, i) => `owner/name${i}`)
      const hub = yield* start(Object.fromEntries(
        names.map((name, i) => [name, {
          files: { [`${i}.safetensors`]: { bytes: weightsOf(i), isLarge: true, stalls: [half] } }
        }])
      ))
      const { client, filesIn } = yield* started(hub)
      const begun = yield* Effect.forEach(names.slice(0, 18), (source) => client.startDownload({ source }))
      for (const { id } of begun.slice(0, 2)) yield* until(client.download(id), hasArrived(half))
      const { downloads } = yield* client.downloads
      assert.lengthOf(downloads.filter(({ state }) => state === "waiting"), 16)
      const tooMany = yield* Effect.flip(client.startDownload({ source: names[18] ?? "" }))
      assert.deepInclude(tooMany, { _tag: "TooManyDownloads", waiting: 16 })
      yield* Effect.forEach(begun.toReversed(), ({ id }) => client.removeDownload(id))
      assert.deepStrictEqual([yield* filesIn, (yield* client.downloads).downloads], [[], []])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.live("say what is wrong in the words of the API, without paths of the server", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const hub = yield* start({ "owner/name": slow([]) }, { "/none": { bytes: weights } })
      const { client, get, modelsDir } = yield* started(hub, { server: { max_download_bytes: 2 * half } })
      const large = yield* get("owner/name")
      assert.deepStrictEqual([large.state, large.problem], [
        "failed",
        "it has 2.1 MB, over the limit of 2.1 MB for a download"
      ])
      const unnamed = yield* get(`${hub.storage}/none`)
      assert.match(unnamed.problem ?? "", /choose one with the field name, such as model.safetensors/)
      yield* fs.writeFileString(`${modelsDir}/a.safetensors`, "another")
      const taken = yield* get("owner/name")
      assert.match(taken.problem ?? "", /^a.safetensors is there already, .* with the field name or another folder/)
      const missing = yield* get("owner/none")
      assert.match(missing.problem ?? "", /there is no such repository/)
      for (const folder of ["../outside", "/etc", ".hidden", "a/.b", "a/../../b", "a\\b"]) {
        const refused = yield* Effect.flip(client.startDownload({ source: "owner/name", folder }))
        assert.deepInclude(refused, { _tag: "InvalidRequest" })
      }
      const refused = yield* Effect.flip(client.startDownload({ source: "file:///etc/passwd" }))
      assert.match(refused.message, /source: addresses begin with https/)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.live("end at the limit where a server does not say how much it will send", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const endless = yield* Effect.acquireRelease(
        Effect.callback<Server>((resume) => {
          const server = createServer((_, response) => {
            const send = () => {
              while (!response.destroyed && response.write(weights)) continue
            }
            response.on("drain", send)
            send()
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.closeAllConnections())
      )
      const address = endless.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const { filesIn, get, modelsDir } = yield* started(yield* start({}), {
        server: { max_download_bytes: 4 * half }
      })
      const { problem, received, size } = yield* get(`http://127.0.0.1:${port}/endless.safetensors`)
      assert.match(problem ?? "", /over the limit of 4.2 MB for a download/)
      assert.isNull(size)
      assert.isAtMost(received, 4 * half)
      for (const name of yield* filesIn) assert.strictEqual(Number((yield* fs.stat(`${modelsDir}/${name}`)).size), 0)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.live("reach no private address but the hub that the operator named", () =>
    Effect.gen(function*() {
      const small = { bytes: lora(), isLarge: false }
      const secret = yield* start({}, { "/secret.safetensors": { bytes: lora() } })
      const hub = yield* start({
        "owner/name": { files: { "own.safetensors": small } },
        "owner/away": {
          files: {
            "a.safetensors": { bytes: weights, isLarge: true, location: `${secret.storage}/secret.safetensors` }
          }
        }
      })
      const { get } = yield* started(hub, { isGuarded: true })
      assert.strictEqual((yield* get("owner/name")).state, "done")
      const { port } = new URL(secret.storage)
      const inner = ["127.0.0.1", "localhost", "[::1]", "2130706433", "[::ffff:127.0.0.1]"]
        .map((host) => `http://${host}:${port}/secret.safetensors`)
      for (const source of ["owner/away", ...inner, "https://169.254.169.254/latest/meta-data.bin"]) {
        const { problem } = yield* get(source)
        assert.match(problem ?? "", /is in a private network|is not encrypted/, source)
      }
      assert.lengthOf(secret.requests, 0)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.live("are refused by a server that others reach, unless it lets them", () =>
    Effect.gen(function*() {
      const hub = yield* start({})
      const { client } = yield* started(hub, { server: { allow_downloads: false } })
      const refused = yield* Effect.flip(client.startDownload({ source: "owner/name" }))
      assert.strictEqual(refused._tag, "DownloadsRefused")
      assert.match(refused.message, /start it with --allow-downloads/)
      assert.strictEqual((yield* client.downloads).refusal, refused.message)
      const allowed = (options: Partial<ServerSettings>) => allowsDownloads(ServerSettings.make(options))
      assert.isTrue(allowed({}))
      const open: ReadonlyArray<Partial<ServerSettings>> = [
        { host: "0.0.0.0", insecure: true },
        { api_auth: ["ada:secret"] },
        { api_keys: ["0123456789"] },
        { allowed_hosts: ["art.example"] },
        { cors_allow_origins: ["https://page.example"] },
        { cors_allow_origins_regex: "page" },
        { work: false }
      ]
      for (const options of open) {
        assert.isFalse(allowed(options), JSON.stringify(options))
        assert.isTrue(allowed({ ...options, allow_downloads: true }))
      }
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
})
