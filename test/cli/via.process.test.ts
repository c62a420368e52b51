import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { lines, serena, start, temporaryFolder } from "./process.ts"

describe("--via", () => {
  it.live("lets a running server make the images, which are those that this process makes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const server = yield* start(["serve", "--port", "0", "--api-auth", "ada:pass word"], { cwd: folder })
      const url = (yield* server.printed(/http:\/\/\S+/)).replace("http://", "http://ada:pass%20word@")
      const made = Effect.fnUntraced(function*(...flags: ReadonlyArray<string>) {
        const outdir = yield* temporaryFolder
        const { code, stderr, stdout } = yield* serena(
          ["txt2img", "a red ring", "--steps", "3", "--seed", "9", "--n-iter", "2", "--outdir", outdir, ...flags]
        )
        assert.strictEqual(code, 0, stderr)
        const paths = lines(stdout)
        assert.isTrue(paths.every((path) => path.startsWith(outdir)), stdout)
        return { stderr, files: yield* Effect.forEach(paths, (path) => fs.readFile(path)) }
      })
      const [here, there] = [yield* made(), yield* made("--via", url)]
      assert.lengthOf(there.files, 2)
      // The size, too, is that of the server's model.
      assert.deepStrictEqual(there.files, here.files)
      assert.include(there.stderr, "Progress: ")
      yield* server.send("SIGTERM")
      yield* server.end
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("says what is wrong with an address, and where nothing answers", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const asked = (url: string) => serena(["txt2img", "a star", "--outdir", folder, "--via", url])
      for (const address of ["localhost", "ftp://127.0.0.1", "http://ada:100%@127.0.0.1:9"]) {
        const wrong = yield* asked(address)
        assert.strictEqual(wrong.code, 2, address)
        assert.include(wrong.stderr, "--via: it must be an address such as http://127.0.0.1:7860")
      }
      const silent = yield* asked("http://127.0.0.1:9")
      assert.strictEqual(silent.code, 1)
      assert.match(silent.stderr, /The server at http:\/\/127\.0\.0\.1:9 does not answer/)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
