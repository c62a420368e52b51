import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"
import { Presets } from "../../../src/server/host/Presets.ts"

describe("presets", () => {
  it.live("are all kept that two servers of one data folder save at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* fs.makeTempDirectoryScoped()
      const opened = Effect.map(
        Layer.build(Layer.fresh(Presets.layer).pipe(Layer.provide(CommandOptions.layer({ dataDir })))),
        Context.get(Presets)
      )
      const servers = [yield* opened, yield* opened]
      const names = Array.from({ length: 20 }, (_, index) => `preset ${String(index).padStart(2, "0")}`)
      yield* Effect.forEach(names, (name, index) =>
        (servers[index % 2] ?? assert.fail()).save({ name, settings: { steps: index } }), {
        concurrency: "unbounded"
      })
      const kept = yield* (yield* opened).list
      assert.deepStrictEqual(
        kept.map(({ name }) =>
          name
        ),
        names
      )
      assert.deepStrictEqual(yield* fs.readDirectory(dataDir), ["presets.json"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
