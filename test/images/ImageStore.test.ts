import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as PlatformError from "effect/PlatformError"
import * as Random from "effect/Random"
import { type FileToSave, ImageStore } from "../../src/images/ImageStore.ts"
import { platform } from "../models/fixtures.ts"

const layerStore = ImageStore.layer.pipe(Layer.provideMerge(platform))
const bytes = Uint8Array.from({ length: 50_000 }, (_, i) => i % 256)

const file = (folder: string, change: Partial<FileToSave> = {}): FileToSave => ({
  folder,
  directory: "",
  name: "7",
  number: true,
  extension: "png",
  bytes,
  ...change
})

const inTemporaryFolder = <A, E>(
  test: (folder: string) => Effect.Effect<A, E, ImageStore | FileSystem.FileSystem | Path.Path>
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* test(yield* fs.makeTempDirectoryScoped())
  }).pipe(Effect.provide(layerStore))

/** Names of what a folder holds. */
const list = (folder: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.map(fs.readDirectory(folder), (names) => names.toSorted()))

describe("ImageStore.save", () => {
  it.effect("saves under a folder, a running number and a name", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        const first = yield* save(file(folder, { directory: "2026-02-03", name: "42" }))
        const second = yield* save(file(folder, { directory: "2026-02-03", extension: "jpg" }))
        assert.strictEqual(first, `${folder}/2026-02-03/00000-42.png`)
        assert.strictEqual(second, `${folder}/2026-02-03/00001-7.jpg`)
        assert.deepStrictEqual(yield* fs.readFile(first), bytes)
        assert.deepStrictEqual(yield* list(`${folder}/2026-02-03`), ["00000-42.png", "00001-7.jpg"])
        assert.strictEqual(yield* save(file(folder, { directory: "a/b" })), `${folder}/a/b/00000-7.png`)
        assert.strictEqual(yield* save(file(folder)), `${folder}/00000-7.png`)
      })
    ))

  it.effect("counts on from the highest number there is", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${folder}/99999-1.webp`, "old")
        yield* fs.writeFileString(`${folder}/notes.txt`, "mine")
        yield* fs.writeFileString(`${folder}/grid-0123.png`, "another count")
        assert.strictEqual(yield* save(file(folder)), `${folder}/100000-7.png`)
        assert.strictEqual(yield* save(file(folder, { name: "" })), `${folder}/100001.png`)
        assert.strictEqual(yield* save(file(folder)), `${folder}/100002-7.png`)
        assert.strictEqual(yield* fs.readFileString(`${folder}/99999-1.webp`), "old")
      })
    ))

  it.effect("passes over a number that is too long to count on from", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${folder}/${"9".repeat(30)}-1.png`, "odd")
        assert.strictEqual(yield* (yield* ImageStore).save(file(folder)), `${folder}/00000-7.png`)
      })
    ))

  it.effect("counts grids by themselves, with four digits", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        yield* save(file(folder))
        assert.strictEqual(yield* save(file(folder, { number: "grid", name: "" })), `${folder}/grid-0000.png`)
        assert.strictEqual(yield* save(file(folder, { number: "grid", name: "" })), `${folder}/grid-0001.png`)
        assert.strictEqual(yield* save(file(folder, { number: "grid" })), `${folder}/grid-0002-7.png`)
        assert.strictEqual(yield* save(file(folder)), `${folder}/00001-7.png`)
      })
    ))

  it.effect("saves without a number, and appends one to a name that is taken", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const plain = file(folder, { number: false, name: "cat" })
        assert.strictEqual(yield* save(plain), `${folder}/cat.png`)
        assert.strictEqual(yield* save(plain), `${folder}/cat-1.png`)
        assert.strictEqual(yield* save(plain), `${folder}/cat-2.png`)
        assert.strictEqual(yield* save({ ...plain, extension: "jpg" }), `${folder}/cat.jpg`)
        assert.strictEqual(yield* save({ ...plain, name: "" }), `${folder}/00000.png`)
      })
    ))

  it.effect("writes a text next to a file, and replaces no other text", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${folder}/cat.txt`, "mine")
        assert.strictEqual(yield* save(file(folder, { text: "a cat, 猫" })), `${folder}/00000-7.png`)
        const named = file(folder, { number: false, name: "cat", text: "a cat" })
        assert.strictEqual(yield* save(named), `${folder}/cat-1.png`)
        yield* fs.remove(`${folder}/cat-1.txt`)
        assert.strictEqual(yield* save(named), `${folder}/cat-2.png`)
        assert.deepStrictEqual(yield* list(folder), [
          "00000-7.png",
          "00000-7.txt",
          "cat-1.png",
          "cat-2.png",
          "cat-2.txt",
          "cat.txt"
        ])
        assert.strictEqual(yield* fs.readFileString(`${folder}/00000-7.txt`), "a cat, 猫\n")
        assert.strictEqual(yield* fs.readFileString(`${folder}/cat.txt`), "mine")
      })
    ))

  it.effect.each(
    [
      { number: true },
      { number: "grid" },
      { number: false },
      { number: true, text: "a cat" },
      { number: false, text: "a cat" }
    ] as const
  )(
    "never replaces a file, also when many save the same name at once: %j",
    (change) =>
      inTemporaryFolder((folder) =>
        Effect.gen(function*() {
          const { save } = yield* ImageStore
          const fs = yield* FileSystem.FileSystem
          const saved = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, i) => Uint8Array.of(i)),
            (bytes) => Effect.map(save(file(folder, { ...change, bytes })), (path) => ({ path, bytes })),
            { concurrency: "unbounded" }
          )
          for (const { bytes, path } of saved) assert.deepStrictEqual(yield* fs.readFile(path), bytes)
          assert.strictEqual(new Set(saved.map(({ path }) => path)).size, 20)
          const texts = saved.flatMap(({ path }) => "text" in change ? [path.replace(/png$/, "txt")] : [])
          assert.deepStrictEqual(
            yield* list(folder),
            [...saved.map(({ path }) => path), ...texts].map((path) => path.slice(folder.length + 1)).toSorted()
          )
        })
      )
  )

  it.effect("saves next to a process that was given the same seed", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const paths = yield* Effect.all(
          Array.from({ length: 5 }, () => Random.withSeed(save(file(folder)), "the same")),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(paths).size, 5)
      })
    ))

  it.effect("finishes the file when the saver is interrupted, and leaves nothing unfinished", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const fiber = yield* Effect.forkChild((yield* ImageStore).save(file(folder, { text: "a cat" })), {
          startImmediately: true
        })
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* list(folder), ["00000-7.png", "00000-7.txt"])
        assert.deepStrictEqual(yield* fs.readFile(`${folder}/00000-7.png`), bytes)
      })
    ))

  it.effect("follows a link to a folder, and says when it leads nowhere or in a circle", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { check, save } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        yield* fs.makeDirectory(`${folder}/real`)
        yield* fs.symlink(`${folder}/real`, `${folder}/link`)
        yield* check(`${folder}/link`)
        assert.strictEqual(yield* save(file(`${folder}/link`)), `${folder}/link/00000-7.png`)
        assert.strictEqual(yield* save(file(`${folder}/link`, { directory: "day" })), `${folder}/link/day/00000-7.png`)
        assert.deepStrictEqual(yield* list(`${folder}/real`), ["00000-7.png", "day"])
        // A link in the place of an image is left alone, and so is what it leads to.
        yield* fs.writeFileString(`${folder}/mine`, "mine")
        yield* fs.symlink(`${folder}/mine`, `${folder}/real/00001-7.png`)
        assert.strictEqual(yield* save(file(`${folder}/link`)), `${folder}/link/00002-7.png`)
        assert.strictEqual(yield* fs.readFileString(`${folder}/mine`), "mine")
        yield* fs.symlink(`${folder}/none/at/all`, `${folder}/dangling`)
        yield* fs.symlink(`${folder}/circle`, `${folder}/circle`)
        for (const bad of ["dangling", "circle"]) {
          for (const use of [check(`${folder}/${bad}`), save(file(`${folder}/${bad}`))]) {
            const error = yield* Effect.flip(use)
            assert.strictEqual(error._tag, "SaveError")
            assert.include(error.message, bad)
          }
        }
        assert.deepStrictEqual(yield* list(folder), ["circle", "dangling", "link", "mine", "real"])
      })
    ))

  it.effect("says why a folder cannot be used", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        yield* fs.writeFileString(`${folder}/file`, "in the way")
        const { save } = yield* ImageStore
        const inFile = yield* Effect.flip(save(file(`${folder}/file`, { directory: "2026-02-03" })))
        assert.strictEqual(inFile._tag, "SaveError")
        assert.include(inFile.message, "a part of the path is a file, not a folder")
        assert.include(inFile.message, "--outdir")
        const isFile = yield* Effect.flip(save(file(`${folder}/file`)))
        assert.include(isFile.message, "a file has the name of the folder")
      })
    ))

  it.effect.each([
    { directory: ".." },
    { directory: "a/../../b" },
    { directory: "/tmp" },
    { name: "../7", number: false },
    { directory: "a", name: "../../7", number: false }
  ])("never leaves the folder: %j", (change) =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip((yield* ImageStore).save(file(`${folder}/in`, change)))
        assert.strictEqual(error._tag, "SaveError")
        assert.include(error.message, "points outside the folder")
        assert.deepStrictEqual(yield* list(folder), [])
      })
    ))

  it.effect.each(["x".repeat(300), "a\0b"])(
    "gives a typed error for a name that no file can have",
    (name) =>
      inTemporaryFolder((folder) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip((yield* ImageStore).save(file(folder, { name, text: "a cat" })))
          assert.strictEqual(error._tag, "SaveError")
          assert.deepStrictEqual(yield* list(folder), [])
        })
      )
  )
})

describe("ImageStore.save, where the file system has no links", () => {
  const noLinks = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      link: () =>
        Effect.fail(PlatformError.systemError({
          _tag: "Unknown",
          module: "FileSystem",
          method: "link",
          cause: Object.assign(new Error("no links"), { code: "ENOTSUP" })
        }))
    }))
  ).pipe(Layer.provideMerge(platform))

  it.effect("keeps to the same", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { save } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        const named = file(folder, { number: false, name: "cat", text: "a cat" })
        const paths = yield* Effect.all(Array.from({ length: 10 }, () => save(named)), { concurrency: "unbounded" })
        assert.strictEqual(new Set(paths).size, 10)
        for (const path of paths) {
          assert.deepStrictEqual(yield* fs.readFile(path), bytes)
          assert.strictEqual(yield* fs.readFileString(path.replace(/png$/, "txt")), "a cat\n")
        }
        assert.lengthOf(yield* list(folder), 20)
      }).pipe(Effect.provide(Layer.fresh(ImageStore.layer).pipe(Layer.provide(noLinks))))
    ))
})

describe("ImageStore.together", () => {
  const syncs: Array<string> = []
  const counting = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      open: (...[path, options]: Parameters<typeof fs.open>) =>
        Effect.map(fs.open(path, options), (file) => {
          const told = Effect.sync(() => syncs.push(path.replace(/^.*\.partial$/, "file")))
          return Object.create(file, { sync: { value: Effect.andThen(file.sync, told) } })
        })
    }))
  ).pipe(Layer.provideMerge(platform))

  it.effect("syncs each file, and each folder once, also when a save fails; one save by itself at once", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { replace, save, together } = yield* ImageStore
        const synced = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.andThen(Effect.andThen(Effect.sync(() => syncs.splice(0)), effect), Effect.sync(() => syncs.splice(0)))
        const dir = `${folder}/2026-02-03`
        const dated = file(folder, { directory: "2026-02-03" })
        assert.deepStrictEqual(yield* synced(save(dated)), ["file", dir, folder])
        assert.deepStrictEqual(yield* synced(save(dated)), ["file", dir])
        const three = Effect.andThen(Effect.andThen(save(dated), save(dated)), save(file(folder)))
        assert.deepStrictEqual(yield* synced(together(three)), ["file", "file", "file", dir, folder])
        const failing = Effect.ignore(together(Effect.andThen(save(dated), save(file(folder, { name: "../7" })))))
        assert.deepStrictEqual(yield* synced(failing), ["file", dir])
        assert.deepStrictEqual(yield* synced(replace({ folder, name: "params.txt" }, "a cat")), [])
      }).pipe(Effect.provide(Layer.fresh(ImageStore.layer).pipe(Layer.provide(counting))))
    ))
})

describe("ImageStore.replace", () => {
  it.effect("writes a text, in place of the one that was there", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { replace } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        const where = { folder: `${folder}/a`, name: "params.txt" }
        assert.strictEqual(yield* replace(where, "a cat, longer than the next"), `${folder}/a/params.txt`)
        assert.strictEqual(yield* replace(where, "猫"), `${folder}/a/params.txt`)
        assert.strictEqual(yield* fs.readFileString(`${folder}/a/params.txt`), "猫")
        assert.deepStrictEqual(yield* list(`${folder}/a`), ["params.txt"])
      })
    ))

  it.effect("leaves one whole text when many write at once", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { replace } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(1000))
        yield* Effect.forEach(texts, (text) => replace({ folder, name: "params.txt" }, text), {
          concurrency: "unbounded"
        })
        assert.include(texts, yield* fs.readFileString(`${folder}/params.txt`))
        assert.deepStrictEqual(yield* list(folder), ["params.txt"])
      })
    ))

  it.effect("says why it cannot, and leaves nothing behind", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { replace } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        yield* fs.makeDirectory(`${folder}/params.txt`)
        const error = yield* Effect.flip(replace({ folder, name: "params.txt" }, "a cat"))
        assert.strictEqual(error._tag, "SaveError")
        assert.deepStrictEqual(yield* list(folder), ["params.txt"])
        assert.include((yield* Effect.flip(replace({ folder, name: "../x" }, ""))).message, "points outside the folder")
      })
    ))
})

describe("ImageStore.check", () => {
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

  it.effect("makes folders next to others that make the same", () =>
    inTemporaryFolder((folder) =>
      Effect.gen(function*() {
        const { check } = yield* ImageStore
        const fs = yield* FileSystem.FileSystem
        const checks = Array.from({ length: 20 }, () => check(`${folder}/a/b/c/d`))
        yield* Effect.all(checks, { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* fs.readDirectory(`${folder}/a/b/c`), ["d"])
      })
    ))
})

describe.runIf(process.platform === "linux")("ImageStore, where the system makes no folders", () => {
  it.live.each(["/proc/serena", "/proc/serena/a/b", "/proc/self/a"])(
    "says soon that no folder can be made where the system allows none: %s",
    (folder) =>
      Effect.gen(function*() {
        const { check, replace, save } = yield* ImageStore
        const errors = yield* Effect.all([
          Effect.flip(check(folder)),
          Effect.flip(save(file(folder, { directory: "2026-02-03" }))),
          Effect.flip(replace({ folder, name: "params.txt" }, "a cat"))
        ]).pipe(Effect.timeout("1 second"))
        for (const error of errors) {
          assert.strictEqual(error._tag, "SaveError")
          assert.include(error.message, "no folder can be made there")
        }
      }).pipe(Effect.provide(layerStore))
  )
})
