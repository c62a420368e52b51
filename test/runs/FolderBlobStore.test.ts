import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import { blobContract } from "./blobContract.ts"
import { bytesOf } from "./numberedBytes.ts"

/** The folder of the store. */
class Folder extends Context.Service<Folder, string>()("Folder") {
  static readonly layer = Layer.effect(Folder, FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped()))
}

const storeWith = (fleeting: FolderBlobStore.FolderOptions["fleeting"]) =>
  Layer.unwrap(Effect.map(Folder, (folder) => FolderBlobStore.layer({ folder: `${folder}/deep/blobs`, fleeting })))
    .pipe(
      Layer.provideMerge(Folder.layer),
      Layer.provideMerge(NodeServices.layer)
    )

const files = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = `${yield* Folder}/deep/blobs`
  const names = yield* fs.readDirectory(folder, { recursive: true })
  return names.filter((name) => name.length > 2).map((name) => `${folder}/${name}`).toSorted()
})

const hoursAgo = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const then = new Date(Date.now() - 2 * 3_600_000)
  yield* Effect.forEach(yield* files, (file) => fs.utimes(file, then, then))
})

describe("a store of files in a folder", () => {
  blobContract(storeWith("disk"), hoursAgo, true)

  const test = <A, E>(
    name: string,
    trial: Effect.Effect<A, E, BlobStore | FileSystem.FileSystem | Folder>,
    fleeting: FolderBlobStore.FolderOptions["fleeting"] = undefined
  ) => it.live(name, () => Effect.provide(trial, storeWith(fleeting)))

  test(
    "names files by the SHA-256 of their bytes, and keeps nothing else",
    Effect.gen(function*() {
      const { put } = yield* BlobStore
      const hash = yield* put(bytesOf(1))
      yield* put(bytesOf(1))
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* Folder}/deep/blobs/${hash.slice(0, 2)}/${hash}`
      assert.deepStrictEqual(yield* files, [file])
      assert.deepStrictEqual(new Uint8Array(yield* fs.readFile(file)), bytesOf(1))
    })
  )

  test(
    "keeps fleeting blobs in memory, until they are put to stay",
    Effect.gen(function*() {
      const { get, put, remove } = yield* BlobStore
      const hash = yield* put(bytesOf(2), { fleeting: true })
      assert.deepStrictEqual(yield* files, [])
      assert.deepStrictEqual(yield* get(hash), bytesOf(2))
      yield* put(bytesOf(2))
      assert.strictEqual((yield* files).length, 1)
      yield* hoursAgo
      yield* remove([hash])
      assert.deepStrictEqual(yield* files, [])
      assert.strictEqual((yield* Effect.flip(get(hash)))._tag, "BlobMissing")
    })
  )

  test(
    "says which file is damaged, and is well again once the bytes are put",
    Effect.gen(function*() {
      const { get, put } = yield* BlobStore
      const hash = yield* put(bytesOf(3))
      const [file = ""] = yield* files
      const fs = yield* FileSystem.FileSystem
      const damages: ReadonlyArray<Uint8Array> = [bytesOf(4), bytesOf(3).subarray(0, 999), new Uint8Array()]
      for (const damage of damages) {
        yield* fs.writeFile(file, damage)
        const error = yield* Effect.flip(get(hash))
        assert.strictEqual(error._tag, "BlobError")
        assert.include(error.message, `${file} is damaged: restore it from a backup, or remove it`)
        yield* put(bytesOf(3))
        assert.deepStrictEqual(new Uint8Array(yield* get(hash)), bytesOf(3))
      }
    })
  )

  test(
    "goes on when its folder was removed meanwhile",
    Effect.gen(function*() {
      const { get, has, put } = yield* BlobStore
      const hash = yield* put(bytesOf(5))
      yield* FileSystem.FileSystem.use((fs) =>
        Effect.flatMap(Folder, (dir) => fs.remove(`${dir}/deep`, { recursive: true }))
      )
      assert.isFalse(yield* has(hash))
      assert.strictEqual((yield* Effect.flip(get(hash)))._tag, "BlobMissing")
      yield* put(bytesOf(5))
      assert.deepStrictEqual(new Uint8Array(yield* get(hash)), bytesOf(5))
    })
  )

  it.live("does not open where no folder can be", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      yield* fs.writeFileString(`${folder}/blobs`, "a file")
      const opened = Effect.scoped(Layer.build(FolderBlobStore.layer({ folder: `${folder}/blobs` })))
      const error = yield* Effect.flip(opened)
      assert.include(error.message, `${folder}/blobs`)
      assert.include(error.message, "a file has the name of the folder")
    }).pipe(Effect.provide(NodeServices.layer)))
})
