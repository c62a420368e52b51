import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { build } from "esbuild"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import sharp from "sharp"
import { project } from "../docs/pages.ts"
import type * as Draw from "./api/draw.mts"
import { folderWith, lines, run, start } from "./reader.ts"

const command = join(project, "src/cli/main.ts")

/** Where a server of this machine is, and the folder that it was started in. */
class Served extends Context.Service<Served, { readonly folder: string; readonly url: string }>()("test/Served") {}

const served = Layer.effect(
  Served,
  Effect.gen(function*() {
    const folder = yield* folderWith("api")
    const server = yield* start(folder, [command, "serve", "--port", "0"])
    const [, url = ""] = yield* server.said(/listens on (http:\S+)/)
    return { folder, url }
  })
)

/** What a program prints that is told where the server is. */
const printed = Effect.fnUntraced(function*(folder: string, program: string, env: Readonly<Record<string, string>>) {
  const { code, stderr, stdout } = yield* run(folder, program, env)
  assert.strictEqual(code, 0, stderr)
  return lines(stdout)
})

layer(served, { excludeTestServices: true })("a program that asks a server", (it) => {
  it.effect("has its images, is told what is wrong by types, and may leave a run, come back to it, and end it", () =>
    Effect.gen(function*() {
      const { folder, url } = yield* Served
      const programs = ["client", "wrong", "later"].map((name) => `await import("./${name}.mts")`)
      yield* Effect.promise(() => writeFile(join(folder, "each.mts"), programs.join("\n")))
      assert.deepStrictEqual(yield* printed(folder, "each.mts", { SERENA_URL: url }), [
        "circle-1.png: 128x128",
        "circle-2.png: 128x128",
        "width: 99999 is over the limit of 2048 pixels",
        "batch_size: 999 is over the limit of 16",
        "no server at http://127.0.0.1:9",
        "disconnected after a step",
        "ended early: true"
      ])
      const picture = yield* Effect.promise(() => readFile(join(folder, "circle-2.png")))
      const { format, width } = yield* Effect.promise(() => sharp(picture).metadata())
      assert.deepStrictEqual([format, width], ["png", 128])
    }))

  it.effect("may be a page: it shows previews, and then the image", () =>
    Effect.gen(function*() {
      const { folder, url } = yield* Served
      const outfile = join(folder, "draw.js")
      yield* Effect.promise(() =>
        build({
          entryPoints: [join(folder, "draw.mts")],
          bundle: true,
          minify: true,
          format: "esm",
          outfile,
          platform: "browser",
          logLevel: "silent"
        })
      )
      const bundled = yield* Effect.promise(() => readFile(outfile))
      // Mostly Effect's; the contract with all fields, settings and errors is about a fifth.
      assert.isBelow(gzipSync(bundled, { level: 9 }).length, 99_000)
      const { draw }: typeof Draw = yield* Effect.promise(() => import(pathToFileURL(outfile).href))
      const shown: Array<string> = []
      const show = (src: string) => shown.push(src)
      yield* Effect.promise((signal) => draw("a blue ring", { server: url, show, signal }))
      const last = shown.pop() ?? ""
      assert.match(last, /\/v1\/runs\/[^/]+\/images\/0$/)
      const reply = yield* Effect.promise(() => fetch(last))
      assert.strictEqual(reply.headers.get("content-type"), "image/png")
      assert.isAbove(shown.length, 0)
      for (const preview of shown) assert.isTrue(preview.startsWith("data:image/png;base64,iVBOR"))
    }))

  it.effect("may run on this machine or on a server, and gets the same images", () =>
    Effect.gen(function*() {
      const { url } = yield* Served
      const folder = yield* folderWith("remote")
      const local = yield* printed(folder, "image.mts", {})
      assert.match(local.join(), /^seed 1: [0-9a-f]{64}$/)
      assert.deepStrictEqual(yield* printed(folder, "image.mts", { SERENA_URL: url }), local)
    }))

  it.effect("may fall back to this machine when the server does not answer", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* printed(yield* folderWith("remote"), "fallback.mts", {}), [
        "The server at http://127.0.0.1:9 does not answer: connect ECONNREFUSED 127.0.0.1:9. Check the address, and " +
        "that the server runs with its API enabled.",
        "1 image"
      ])
    }))
})
