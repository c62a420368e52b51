import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { spawn } from "node:child_process"
import type { SaveError } from "../../src/images/ImageError.ts"
import { type FileToSave, ImageStore } from "../../src/images/ImageStore.ts"
import { platform } from "../models/fixtures.ts"

const file = (folder: string, change: Partial<FileToSave> = {}): FileToSave => ({
  folder,
  directory: "",
  name: "7",
  number: true,
  extension: "png",
  bytes: new Uint8Array(100),
  ...change
})

/** Names of what a folder holds. */
const list = (folder: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.map(fs.readDirectory(folder), (names) => names.toSorted()))

describe("temporary files of ended processes", () => {
  // A store writes its process's id, place and start time into the names.
  const nameOf = Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    const seen: Array<string> = []
    const watching = FileSystem.FileSystem.of({
      ...fs,
      link: (from, to) => {
        seen.push(from.slice(folder.length + 1))
        return fs.link(from, to)
      }
    })
    yield* Effect.flatMap(ImageStore, ({ save }) => save(file(folder))).pipe(
      Effect.provide(
        Layer.fresh(ImageStore.layer).pipe(
          Layer.provide(Layer.succeed(FileSystem.FileSystem, watching)),
          Layer.provide(platform)
        )
      )
    )
    return seen[0] ?? ""
  })

  // A process that runs until it is killed, and when it started.
  const spawned = Effect.sync(() => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
    const ended = Effect.callback<void>((resume) => {
      child.on("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    })
    return { pid: child.pid ?? 0, ended }
  })

  it.live("are removed when a folder is checked or first written to, and no others are", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const own = yield* nameOf
      assert.match(own, new RegExp(`^\\.${process.pid}-[0-9a-f]{8}-\\d+-[\\w-]+\\.partial$`))
      const { ended, pid } = yield* spawned
      const [, started = ""] = /^.*\) (?:\S+ ){19}(\d+)/s.exec(yield* fs.readFileString(`/proc/${pid}/stat`)) ?? []
      const others = own.replace(/^\.\d+-([0-9a-f]{8})-\d+-/, `.${pid}-$1-${started}-`)
      const elsewhere = others.replace(/-[0-9a-f]{8}-/, "-00000000-")
      const kept = [elsewhere, own, ".mine.partial"].toSorted()
      const fill = Effect.fnUntraced(function*(dir: string) {
        yield* fs.makeDirectory(dir, { recursive: true })
        yield* Effect.forEach([others, ...kept], (name) => fs.writeFileString(`${dir}/${name}`, "half"))
      })
      yield* Effect.forEach([folder, `${folder}/2026-02-03`, `${folder}/deep/er`], fill)

      const checked = (use: (store: ImageStore["Service"]) => Effect.Effect<unknown, SaveError>) =>
        Effect.flatMap(ImageStore, use).pipe(Effect.provide(Layer.fresh(ImageStore.layer)))
      yield* checked(({ check }) => check(folder))
      assert.include(yield* list(folder), others)

      yield* ended
      yield* checked(({ check }) => check(folder))
      assert.deepStrictEqual(yield* list(folder), [...kept, "2026-02-03", "deep"].toSorted())
      assert.deepStrictEqual(yield* list(`${folder}/2026-02-03`), kept)
      yield* checked(({ save }) => save(file(folder, { directory: "deep/er" })))
      assert.deepStrictEqual(yield* list(`${folder}/deep/er`), [...kept, "00000-7.png"].toSorted())

      // An earlier process with this one's id, as in a container; and another machine's that wrote long ago.
      const earlier = own.replace(/^(\.\d+-[0-9a-f]{8}-)\d+-/, "$11-")
      yield* fs.writeFileString(`${folder}/${earlier}`, "half")
      yield* fs.utimes(`${folder}/${elsewhere}`, 1_000_000, 1_000_000)
      yield* fs.utimes(`${folder}/${own}`, 1_000_000, 1_000_000)
      yield* checked(({ check }) => check(folder))
      assert.deepStrictEqual(yield* list(folder), [own, ".mine.partial", "2026-02-03", "deep"].toSorted())
    }).pipe(Effect.provide(platform)))
})
