import * as NodeServices from "@effect/platform-node/NodeServices"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient } from "effect/sql/SqlClient"
import * as TestClock from "effect/testing/TestClock"
import * as sqlite from "../../src/runs/sqlite.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { sqlContract } from "./sqlContract.ts"
import { storeContract } from "./storeContract.ts"

const temporaryFile = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped({ prefix: "serena-runs-" })),
  (folder) => `${folder}/runs.db`
)

const layer = Layer.unwrap(Effect.map(temporaryFile, (file) => SqlRunStore.layerSqlite({ file })))

describe("runs in SQLite", () => {
  storeContract(Layer.provide(Layer.fresh(layer), NodeServices.layer), {
    live: false,
    pass: (time) => TestClock.adjust(time)
  })
  sqlContract({
    make: temporaryFile,
    store: (file) => SqlRunStore.layerSqlite({ file }),
    client: (file) => Layer.provide(Layer.effect(SqlClient, sqlite.make(file)), Reactivity.layer)
  })
})
