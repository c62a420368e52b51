import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import * as client from "../../src/client/index.ts"

describe("serena-runtime/client", () => {
  it.live("fits into a browser: nothing of Node, nothing native, less than 90 kB", () =>
    Effect.gen(function*() {
      const { metafile, outputFiles } = yield* Effect.promise(() =>
        build({
          entryPoints: [fileURLToPath(new URL("../../src/client/index.ts", import.meta.url))],
          bundle: true,
          minify: true,
          write: false,
          metafile: true,
          format: "esm",
          platform: "browser"
        })
      )
      const inputs = Object.keys(metafile.inputs)
      assert.deepStrictEqual(
        // Errors are in the contract; what fails with them is not.
        inputs.filter((path) => /^node:|sharp|onnxruntime|platform-node|\/images\/|\/runner\//.test(path))
          .filter((path) => !path.endsWith("Error.ts")),
        []
      )
      assert.isBelow(gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length, 90_000)
      assert.isFunction(client.Client.make)
    }))
})
