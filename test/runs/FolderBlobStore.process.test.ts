import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import { BlobStore, hashOf } from "../../src/runs/BlobStore.ts"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import { lines, type Options, start, temporaryFolder } from "../cli/process.ts"
import { cannotMount, unshare } from "../reliability/trying.ts"
import { bytesOf } from "./numberedBytes.ts"

const program = fileURLToPath(new URL("./putBlobs.ts", import.meta.url))

/** Starts a process that puts so many blobs of so many bytes. */
const putting = (folder: string, bytes: number, count: number, options: Options = {}) =>
  start([folder, String(bytes), String(count)], { ...options, program })

const opened = <A, E, R>(folder: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(FolderBlobStore.layer({ folder })))

/** Names of the files below a folder. */
const filesIn = (folder: string) =>
  FileSystem.FileSystem.use((fs) =>
    Effect.map(
      fs.readDirectory(folder, { recursive: true }),
      (names) => names.flatMap((name) => name.split("/")[1] ?? []).toSorted()
    )
  )

const isHash = (name: string): boolean => /^[0-9a-f]{64}$/.test(name)

const getAll = (folder: string, hashes: ReadonlyArray<string>) =>
  opened(folder, BlobStore.use(({ get }) => Effect.forEach(hashes, get)))

/** A command in a file system of its own below `folder`, copied to `copies` before it ends. */
const inFileSystem = (folder: string, mounted: string, copies: string): NonNullable<Options["through"]> => [
  ...unshare,
  "sh",
  "-c",
  `mount -t tmpfs ${mounted} tmpfs ${folder} && "$@"; code=$?; cp -r ${folder}/. ${copies}; exit $code`,
  "sh"
]

describe("a store of files in a folder, among processes", () => {
  it.live("of a process that was killed has all that it put, and nothing half", () =>
    Effect.gen(function*() {
      for (const kept of [1, 4, 9]) {
        const folder = yield* temporaryFolder
        const child = yield* putting(folder, 3_000_000, 1000)
        yield* child.printed(new RegExp(`(?:[0-9a-f]{64}\\n){${kept}}`))
        yield* child.send("SIGKILL")
        const { code, stdout } = yield* child.end
        assert.strictEqual(code, 137)
        const put = lines(stdout).filter(isHash)
        const names = yield* filesIn(folder)
        assert.includeMembers(names, put)
        // At most the one on its way is there as well.
        assert.isAtMost(names.length, put.length + 1)
        yield* getAll(folder, names.filter(isHash))
        yield* opened(
          folder,
          BlobStore.use(({ sweep }) => sweep(() => Effect.succeed(new Set())))
        )
        assert.deepStrictEqual(yield* filesIn(folder), names.filter(isHash))
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("takes the same bytes of two processes at once", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const [one, two] = yield* Effect.all([putting(folder, 20_000, 200), putting(folder, 20_000, 200)])
      const ends = yield* Effect.all([one.end, two.end])
      const hashes = Array.from({ length: 200 }, (_, salt) => hashOf(bytesOf(salt, 20_000)))
      for (const { code, stderr, stdout } of ends) {
        assert.strictEqual(code, 0, stderr)
        assert.deepStrictEqual(lines(stdout), hashes)
      }
      assert.deepStrictEqual(yield* filesIn(folder), hashes.toSorted())
      yield* getAll(folder, hashes)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live.skipIf(cannotMount !== undefined)(
    `on a full disk keeps what it said it keeps ${cannotMount ?? ""}`,
    () =>
      Effect.gen(function*() {
        const [folder, copies] = yield* Effect.all([temporaryFolder, temporaryFolder])
        const child = yield* putting(folder, 50_000, 20, { through: inFileSystem(folder, "-o size=400k", copies) })
        const { code, stderr, stdout } = yield* child.end
        assert.strictEqual(code, 0, stderr)
        const said = lines(stdout)
        const put = said.slice(0, -1)
        assert.isTrue(put.length > 0 && put.every(isHash), stdout)
        assert.include(said.at(-1), `could not be written (${folder}): the disk is full.`)
        assert.deepStrictEqual(yield* filesIn(copies), put.toSorted())
        yield* getAll(copies, put)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live.skipIf(cannotMount !== undefined)(
    `does not open on a read-only disk ${cannotMount ?? ""}`,
    () =>
      Effect.gen(function*() {
        const [folder, copies] = yield* Effect.all([temporaryFolder, temporaryFolder])
        const child = yield* putting(folder, 1000, 1, { through: inFileSystem(folder, "-o ro", copies) })
        const { stderr, stdout } = yield* child.end
        assert.include(stdout, `could not be written (${folder}): the file system is read-only.`, stderr)
        assert.deepStrictEqual(yield* filesIn(copies), [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
