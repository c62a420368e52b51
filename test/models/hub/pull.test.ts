import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { pull, type PullProgress } from "../../../src/models/hub/pull.ts"
import { parse } from "../../../src/models/hub/reference.ts"
import { embedding, lora } from "./files.ts"
import { commit, type HubServer, type Repository, type Served, sha256, start, token } from "./HubServer.ts"

const layer = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeHttpClient.layerNodeHttp)

const temporaryFolder = FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped())

interface More {
  readonly token?: string
  readonly variant?: string
  readonly name?: string
  readonly report?: (progress: PullProgress) => Effect.Effect<void>
}

const fetch = ({ endpoint }: Pick<HubServer, "endpoint">, what: string, folder: string, more: More = {}) => {
  const hub = { endpoint, token: more.token }
  return pull(Result.getOrThrow(parse(what, hub)), {
    hub,
    folder,
    variant: more.variant,
    name: more.name,
    report: more.report ?? (() => Effect.void)
  })
}

const failing = (...given: Parameters<typeof fetch>) =>
  Effect.map(Effect.flip(fetch(...given)), ({ message }) => message)

/** Every file below a folder. */
const filesIn = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const names = yield* fs.readDirectory(folder, { recursive: true })
  return yield* Effect.filter(
    names.toSorted(),
    (name) => Effect.map(fs.stat(`${folder}/${name}`), ({ type }) => type === "File")
  )
})

const text = (content: string): Served => ({ bytes: new TextEncoder().encode(content) })
const large = (bytes: Uint8Array, more: Partial<Served> = {}): Served => ({ bytes, isLarge: true, ...more })

const diffusers: Repository = {
  files: {
    "README.md": text("about"),
    "model_index.json": text("{}"),
    "scheduler/scheduler_config.json": text("{\"a\": 1}"),
    "tokenizer/vocab.json": text("{}"),
    "unet/config.json": text("{}"),
    "unet/diffusion_pytorch_model.safetensors": large(lora(1)),
    "unet/diffusion_pytorch_model.fp16.safetensors": large(lora(2), { cuts: [1000] }),
    "unet/diffusion_pytorch_model.bin": large(lora(3)),
    "vae/diffusion_pytorch_model.safetensors": large(lora(4))
  }
}

describe("pull", () => {
  it.live("fetches a file of a repository, compares its SHA-256, and fetches no file twice", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = `${yield* temporaryFolder}/new/models`
      const server = yield* start({ "owner/name": { files: { "loras/style.safetensors": large(lora()) } } })
      const seen: Array<PullProgress> = []
      const what = "owner/name/loras/style.safetensors"
      const report = (progress: PullProgress) => Effect.sync(() => void seen.push(progress))
      const pulled = yield* fetch(server, what, folder, { token, report })
      assert.deepStrictEqual(pulled, {
        file: `${folder}/style.safetensors`,
        kind: "lora",
        family: "sd1",
        problem: "",
        size: lora().length,
        sha256: sha256(lora()),
        isVerified: true,
        isNew: true
      })
      assert.deepStrictEqual(yield* fs.readFile(pulled.file), lora())
      assert.deepStrictEqual(seen.at(-1), { name: "style.safetensors", received: lora().length, size: lora().length })
      // The token is the hub's alone.
      assert.deepStrictEqual(
        [...new Set(server.requests.map(({ from, headers }) => `${from} ${headers.authorization}`))],
        [`hub Bearer ${token}`, "storage undefined"]
      )
      assert.deepStrictEqual(yield* fetch(server, what, folder), { ...pulled, isNew: false })
      assert.deepStrictEqual(yield* filesIn(folder), ["style.safetensors"])
    }).pipe(Effect.provide(layer)))

  it.live("fetches what is needed of a diffusers folder, all of one commit, whole or not at all", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const repositories = { "owner/name": diffusers }
      const server = yield* start(repositories)
      const expected = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors"
      ]
      const stop = (name: string) => ({ received, ...progress }: PullProgress) =>
        progress.name === name && received > 0 ? Effect.die("stopped") : Effect.void
      yield* Effect.exit(fetch(server, "owner/name", folder, {
        variant: "fp16",
        report: stop("vae/diffusion_pytorch_model.safetensors")
      }))
      assert.deepStrictEqual(yield* fs.readDirectory(folder), [".name.partial"])
      const before = server.requests.length
      const pulled = yield* fetch(server, "owner/name", folder, { variant: "fp16" })
      assert.deepStrictEqual([pulled.file, pulled.isVerified], [`${folder}/name`, true])
      assert.deepStrictEqual(yield* filesIn(folder), expected.map((name) => `name/${name}`))
      // What was there already is not fetched again.
      assert.deepStrictEqual(
        server.requests.slice(before).filter(({ from }) => from === "hub").map(({ path }) => path),
        [
          "/api/models/owner/name/revision/main",
          `/api/models/owner/name/tree/${commit}?recursive=true`,
          `/api/models/owner/name/tree/${commit}?recursive=true&cursor=2`,
          `/owner/name/resolve/${commit}/vae/diffusion_pytorch_model.safetensors`
        ]
      )
      assert.isFalse((yield* fetch(server, "owner/name", folder, { variant: "fp16" })).isNew)
      assert.match(yield* failing(server, "owner/name", folder), /name is there already, and its unet.*Remove it, or/)
      yield* fs.remove(`${folder}/name/unet`, { recursive: true })
      assert.match(yield* failing(server, "owner/name", folder, { variant: "fp16" }), /unet\/config.json is missing/)
      assert.isTrue((yield* fetch(server, "owner/name", folder, { name: "full" })).isNew)
    }).pipe(Effect.provide(layer)))

  it.live("continues where a connection broke, and starts over where a server cannot", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = large(lora(), { cuts: [3000, 2000] })
      const server = yield* start({ "owner/name": { files: { "a.safetensors": file } } }, {
        "/b.safetensors": { bytes: lora(1), cuts: [3000, 2000], headers: { etag: "\"b\"" } },
        "/c.safetensors": { bytes: lora(2), cuts: [3000, 2000], noRanges: true },
        "/d.safetensors": { bytes: lora(3), cuts: [3000, 2000], headers: { etag: "W/\"d\"" } }
      })
      const ranges = (name: string) =>
        server.requests.filter(({ from, path }) => from === "storage" && path.includes(name)).map(({ headers }) =>
          [headers.range, headers["if-range"]].filter((header) => header !== undefined).join(" ")
        )
      // The first answer is cut, too: it is asked for name, size and checksum alone.
      yield* fetch(server, "owner/name", folder)
      assert.deepStrictEqual(ranges("/xet/"), ["", "bytes=3000-", "bytes=5000-"])
      yield* fetch(server, `${server.storage}/b.safetensors`, folder)
      assert.deepStrictEqual(ranges("/b."), ["", "", "bytes=2000- \"b\""])
      yield* fetch(server, `${server.storage}/c.safetensors`, folder)
      yield* fetch(server, `${server.storage}/d.safetensors`, folder)
      const names = ["a", "b", "c", "d"].map((name) => `${name}.safetensors`)
      assert.deepStrictEqual(yield* filesIn(folder), names)
      const fs = yield* FileSystem.FileSystem
      for (const [i, name] of names.entries()) {
        assert.deepStrictEqual(yield* fs.readFile(`${folder}/${name}`), lora(i), name)
      }
    }).pipe(Effect.provide(layer)))

  it.live("starts over where a server refuses the rest, and fetches nothing of what has arrived whole", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const server = yield* start({ "owner/name": { files: { "a.safetensors": large(lora()) } } }, {
        "/b.safetensors": { bytes: lora(1), cuts: [0, 3000], refusesRanges: true, headers: { etag: "\"b\"" } }
      })
      const ranges = (name: string) =>
        server.requests.filter(({ path }) => path.includes(name)).map(({ headers }) => headers.range)
      yield* fetch(server, `${server.storage}/b.safetensors`, folder)
      assert.deepStrictEqual(ranges("/b."), [undefined, undefined, "bytes=3000-", undefined])
      assert.deepStrictEqual(yield* fs.readFile(`${folder}/b.safetensors`), lora(1))

      const stop = ({ received, size }: PullProgress) => received === size ? Effect.die("stopped") : Effect.void
      yield* Effect.exit(fetch(server, "owner/name", folder, { report: stop }))
      const before = ranges("/xet/").length
      assert.isTrue((yield* fetch(server, "owner/name", folder)).isVerified)
      assert.lengthOf(ranges("/xet/"), before)
      assert.deepStrictEqual(yield* fs.readFile(`${folder}/a.safetensors`), lora())
    }).pipe(Effect.provide(layer)))

  // Passes time, in which other work goes on, until an effect has ended.
  const whileTimePasses = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
    }
    return yield* Fiber.join(fiber)
  })

  it.effect("goes on where a server stopped sending for a minute, and gives it up where that repeats", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const server = yield* start({
        "owner/name": { files: { "a.safetensors": large(lora(), { stalls: [0, 3000] }) } },
        "owner/deaf": { files: { "b.safetensors": large(lora(1), { stalls: Array.from({ length: 9 }, () => 0) }) } }
      })
      yield* whileTimePasses(fetch(server, "owner/name", folder))
      assert.deepStrictEqual(yield* fs.readFile(`${folder}/a.safetensors`), lora())
      assert.include(server.requests.map(({ headers }) => headers.range), "bytes=3000-")
      assert.match(
        yield* whileTimePasses(failing(server, "owner/deaf", folder)),
        /^owner\/deaf: the server sends nothing any more. Run the command again to continue$/
      )
    }).pipe(Effect.provide(layer)))

  it.live("removes what has another checksum, and never continues a file of other content", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const server = yield* start({
        "owner/wrong": {
          files: {
            "a.safetensors": large(lora(), { wrongDigest: "f".repeat(64) }),
            "config.json": { ...text("{}"), wrongDigest: "e".repeat(40) }
          }
        },
        "owner/name": { files: { "a.safetensors": large(lora(7)) } }
      })
      assert.match(
        yield* failing(server, "owner/wrong/a.safetensors", folder),
        /^owner\/wrong\/a.safetensors: its SHA-256 is [0-9a-f]{64}, and should be f{64}: the download was damaged and has been removed. Run the command again$/
      )
      assert.match(yield* failing(server, "owner/wrong/config.json", folder), /its git id is .* should be e{40}/)
      assert.deepStrictEqual(yield* filesIn(folder), [])
      yield* fs.writeFile(`${folder}/.a.safetensors.0123456789ab.partial`, lora().slice(0, 500))
      yield* fetch(server, "owner/name", folder)
      assert.deepStrictEqual(yield* fs.readFile(`${folder}/a.safetensors`), lora(7))
      assert.deepStrictEqual(yield* filesIn(folder), ["a.safetensors"])
    }).pipe(Effect.provide(layer)))

  it.live("puts files where the webui and ComfyUI look for their kind, and into a plain folder as they are", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const root = yield* temporaryFolder
      const server = yield* start({
        "owner/name": { files: { "style.safetensors": large(lora()), "cat.safetensors": large(embedding) } }
      })
      const places = [
        ["webui/models", "Stable-diffusion", "Lora/style.safetensors", "../embeddings/cat.safetensors"],
        ["comfy/models", "checkpoints", "loras/style.safetensors", "embeddings/cat.safetensors"],
        ["flat", "", "style.safetensors", "cat.safetensors"]
      ] as const
      for (const [folder, layout, style, cat] of places) {
        yield* fs.makeDirectory(`${root}/${folder}/${layout}`, { recursive: true })
        for (const [name, place] of [["style.safetensors", style], ["cat.safetensors", cat]] as const) {
          const { file } = yield* fetch(server, `owner/name/${name}`, `${root}/${folder}`)
          assert.strictEqual(file, new URL(place, `file://${root}/${folder}/`).pathname)
          assert.isFalse((yield* fetch(server, `owner/name/${name}`, `${root}/${folder}`)).isNew)
        }
      }
    }).pipe(Effect.provide(layer)))

  it.live("takes names from servers and lets none lead out of the folder; replaces no file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const named = (disposition: string): Served => ({
        bytes: lora(),
        headers: { "content-disposition": disposition, etag: "\"1\"" }
      })
      const server = yield* start({}, {
        "/api/download/1": { bytes: new Uint8Array(), location: "/signed/2?key=1" },
        "/signed/2": named("attachment; filename=\"My \\\"LoRA.safetensors\"; filename*=UTF-8''caf%C3%A9.safetensors"),
        "/plain": named("attachment; filename=plain.safetensors"),
        "/none": { bytes: lora() },
        "/page": { bytes: lora(), headers: { "content-type": "text/html; charset=utf-8" } },
        "/up": named("attachment; filename=\"../../evil.safetensors\""),
        "/windows": named("attachment; filename*=UTF-8''..%5Cevil.safetensors"),
        "/hidden": named("attachment; filename=.bashrc.sh")
      })
      const { file } = yield* fetch(server, `${server.storage}/api/download/1`, folder)
      assert.strictEqual(file, `${folder}/café.safetensors`)
      const plain = yield* fetch(server, `${server.storage}/plain`, folder, { name: "mine" })
      assert.deepStrictEqual([plain.file, plain.isVerified], [`${folder}/mine.safetensors`, false])
      assert.match(
        yield* failing(server, `${server.storage}/none`, folder),
        /no name with an ending; choose one with --name/
      )
      assert.match(yield* failing(server, `${server.storage}/page`, folder), /answers with a web page/)
      for (const path of ["up", "windows", "hidden"]) {
        assert.match(
          yield* failing(server, `${server.storage}/${path}`, folder),
          /leads out of the folder or is hidden/
        )
      }
      yield* fs.writeFileString(`${folder}/plain.safetensors`, "mine")
      assert.match(
        yield* failing(server, `${server.storage}/plain`, folder),
        /plain.safetensors is there already, and may be another file: the server names no checksum. Remove it, or choose/
      )
      assert.strictEqual(yield* fs.readFileString(`${folder}/plain.safetensors`), "mine")
      assert.deepStrictEqual(yield* filesIn(folder), ["café.safetensors", "mine.safetensors", "plain.safetensors"])
    }).pipe(Effect.provide(layer)))

  it.live("says what to do about terms, tokens, names and unencrypted addresses", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const gated = { access: "gated", files: { "a.safetensors": large(lora()) } } as const
      const server = yield* start({
        "owner/gated": gated,
        "owner/private": { ...gated, access: "private" },
        "owner/refused": { ...gated, access: "refused" },
        "owner/several": { files: { "a.safetensors": large(lora()), "b.safetensors": large(lora(1)) } },
        "owner/leads": { files: { "a.safetensors": large(lora(), { location: "http://192.0.2.1/a" }) } },
        "owner/huge": {
          files: { "a.safetensors": { bytes: lora(), headers: { "x-linked-size": "9000000000000000" } } }
        }
      }, { "/busy": { bytes: lora(), location: "ftp://example.com/" } })
      const cases: ReadonlyArray<readonly [string, RegExp]> = [
        [
          "owner/gated",
          /^owner\/gated: the repository has terms to accept. Accept them at http:.*\/owner\/gated, and set HF_TOKEN/
        ],
        ["owner/private", /^owner\/private: there is no such repository or file, or it is private.*set HF_TOKEN/],
        ["owner/several", /several files of weights; name one of them:\n {2}owner\/several\/a.safetensors {2}\d/],
        ["owner/several/c.safetensors", /^owner\/several\/c.safetensors: the repository has no such file/],
        ["owner/several@v9", /^owner\/several@v9: the repository has no such branch, tag or commit/],
        ["owner/leads", /it leads to http:\/\/192.0.2.1, which is not encrypted/],
        ["owner/huge/a.safetensors", /it needs 9000000.00 GB, and the disk of .* has .* left. Make room, or choose/],
        ["http://192.0.2.1/a.safetensors", /http:\/\/192.0.2.1 is not encrypted; use an https:\/\/ address/],
        [`${server.storage}/busy`, /it leads to ftp:\/\/example.com/],
        [`${server.storage}/missing?token=secret`, /missing: 127.0.0.1:\d+ has no such file; check the address/]
      ]
      for (const [what, expected] of cases) {
        const message = yield* failing(server, what, folder)
        assert.match(message, expected, what)
        assert.notInclude(message, "secret")
      }
      assert.match(
        yield* failing(server, "owner/refused", folder, { token }),
        /^owner\/refused: the account of HF_TOKEN has no access. Accept the terms at http:.*\/owner\/refused, or use an/
      )
      assert.isTrue((yield* fetch(server, "owner/gated", folder, { token })).isNew)
      assert.match(yield* failing(server, "owner/private", folder, { token: "hf_other" }), /HF_TOKEN may not read it/)
    }).pipe(Effect.provide(layer)))
})
