import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Path from "effect/Path"
import { type Platform, usualDataDir } from "../../src/cli/usualDataDir.ts"

describe("The data folder of a user", () => {
  it.effect("is where the platform keeps the data of programs", () =>
    Effect.gen(function*() {
      const path = yield* Path.Path
      const of = (os: Platform["os"], env: Platform["env"] = {}) => usualDataDir({ os, env, home: "/home/ada" }, path)
      assert.strictEqual(of("linux"), "/home/ada/.local/share/serena")
      assert.strictEqual(of("linux", { XDG_DATA_HOME: "/data" }), "/data/serena")
      assert.strictEqual(of("linux", { XDG_DATA_HOME: "relative" }), "/home/ada/.local/share/serena")
      assert.strictEqual(of("darwin", { XDG_DATA_HOME: "/data" }), "/home/ada/Library/Application Support/Serena")
      assert.strictEqual(of("win32"), "/home/ada/AppData/Local/Serena")
      assert.strictEqual(of("win32", { LOCALAPPDATA: "/local" }), "/local/Serena")
    }).pipe(Effect.provide(NodePath.layerPosix)))
})
