import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import { TestClock } from "effect/testing"
import { ImageStore } from "../../src/images/ImageStore.ts"
import { platform } from "../models/fixtures.ts"

const layerStore = ImageStore.layer.pipe(Layer.provideMerge(platform))
const png = Uint8Array.from({ length: 50_000 }, (_, i) => i % 256)

const inTemporaryFolder = <A, E>(
  test: (folder: string) => Effect.Effect<A, E, ImageStore | FileSystem.FileSystem | Path.Path>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* test(yield* fs.makeTempDirectoryScoped())
  }).pipe(Effect.provide(layerStore))

describe("ImageStore", () => {
  it.effect("saves under the day, a running number and the seed", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        yield* TestClock.setTime(Date.UTC(2026, 1, 3, 12))
        const first = yield* save({ folder, seed: 42, png })
        const second = yield* save({ folder, seed: 7, png })
        assert.strictEqual(first, `${folder}/2026-02-03/00000-42.png`)
        assert.strictEqual(second, `${folder}/2026-02-03/00001-7.png`)
        assert.deepStrictEqual(yield* fs.readFile(first), png)
        assert.deepStrictEqual((yield* fs.readDirectory(`${folder}/2026-02-03`)).toSorted(), [
          "00000-42.png",
          "00001-7.png"
        ])
      })
    ))

  it.effect("counts on from the highest number there is", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* TestClock.setTime(Date.UTC(2026, 1, 3, 12))
        yield* fs.makeDirectory(`${folder}/2026-02-03`)
        yield* fs.writeFileString(`${folder}/2026-02-03/99999-1.png`, "old")
        yield* fs.writeFileString(`${folder}/2026-02-03/notes.txt`, "mine")
        const path = yield* (yield* ImageStore).save({ folder, seed: 1, png })
        assert.isTrue(path.endsWith("100000-1.png"))
        assert.strictEqual(yield* fs.readFileString(`${folder}/2026-02-03/99999-1.png`), "old")
      })
    ))

  it.effect("passes over a number that is too long to count on from", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* TestClock.setTime(Date.UTC(2026, 1, 3, 12))
        yield* fs.makeDirectory(`${folder}/2026-02-03`)
        yield* fs.writeFileString(`${folder}/2026-02-03/${"9".repeat(30)}-1.png`, "odd")
        const path = yield* (yield* ImageStore).save({ folder, seed: 1, png })
        assert.isTrue(path.endsWith("/00000-1.png"))
      })
    ))

  it.effect("never replaces a file, also when many save the same seed at once", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const paths = yield* Effect.all(Array.from({ length: 30 }, () => save({ folder, seed: 5, png })), {
          concurrency: "unbounded"
        })
        assert.strictEqual(new Set(paths).size, 30)
      })
    ))

  it.effect("finishes the file when the saver is interrupted, and leaves nothing unfinished", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const fiber = yield* Effect.forkChild((yield* ImageStore).save({ folder, seed: 5, png }), {
          startImmediately: true
        })
        yield* Fiber.interrupt(fiber)
        const [day = ""] = yield* fs.readDirectory(folder)
        assert.deepStrictEqual(yield* fs.readDirectory(`${folder}/${day}`), ["00000-5.png"])
        assert.deepStrictEqual(yield* fs.readFile(`${folder}/${day}/00000-5.png`), png)
      })
    ))

  it.effect("makes a folder that is not there, and says before any work when it cannot", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { check } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        yield* check(`${folder}/a/b`)
        assert.isTrue(yield* fs.exists(`${folder}/a/b`))
        yield* fs.writeFileString(`${folder}/file`, "in the way")
        const error = yield* Effect.flip(check(`${folder}/file`))
        assert.strictEqual(error._tag, "SaveError")
      })
    ))

  it.effect("says why a folder cannot be used", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${folder}/file`, "in the way")
        const error = yield* Effect.flip((yield* ImageStore).save({ folder: `${folder}/file`, seed: 1, png }))
        assert.strictEqual(error._tag, "SaveError")
        assert.include(error.message, "a part of the path is a file, not a folder")
        assert.include(error.message, "--outdir")
      })
    ))
})
