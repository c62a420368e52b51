import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import { lostAfter, RunStore } from "../../src/runs/RunStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import { lines, type Options, start, temporaryFolder } from "../cli/process.ts"
import { cannotMount, unshare } from "../reliability/trying.ts"

const program = fileURLToPath(new URL("./keepRuns.ts", import.meta.url))

const keeping = (args: ReadonlyArray<string>, options: Options = {}) => start(args, { ...options, program })

const opened = <A, E, R>(file: string, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.fresh(SqlRunStore.layerSqlite({ file })))

const idsIn = (file: string) =>
  opened(
    file,
    RunStore.use(({ list }) => Effect.map(list({ limit: 10_000 }), ({ runs }) => runs.map(({ id }) => id).toReversed()))
  )

const test = <A, E>(name: string, trial: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  it.live(name, () => Effect.scoped(Effect.provide(trial, NodeServices.layer)))

describe("runs in SQLite, among processes", () => {
  test(
    "are kept when the process that accepted them is killed",
    Effect.gen(function*() {
      const file = `${yield* temporaryFolder}/runs.db`
      for (const [round, prefix] of ["a", "b", "c"].entries()) {
        const child = yield* keeping([file, "submit", prefix, "100000"])
        yield* child.printed(new RegExp(`^${prefix}${10 + 7 * round}$`, "m"))
        yield* child.send("SIGKILL")
        const { code, stderr, stdout } = yield* child.end
        assert.deepStrictEqual([code, stderr], [137, ""])
        const kept = (yield* idsIn(file)).filter((id) => id.startsWith(prefix))
        const said = lines(stdout)
        assert.deepStrictEqual(kept.slice(0, said.length), said)
        // At most the one on its way is there as well.
        assert.isAtMost(kept.length, said.length + 1)
      }
    })
  )

  test(
    "go to one of two processes each",
    Effect.gen(function*() {
      const file = `${yield* temporaryFolder}/runs.db`
      const both = yield* Effect.all([
        keeping([file, "submit", "a", "60"]),
        keeping([file, "submit", "b", "60"])
      ])
      for (const { end } of both) {
        const { code, stderr, stdout } = yield* end
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.lengthOf(lines(stdout), 60, stdout)
      }
      const takers = yield* Effect.all([keeping([file, "take", "u"]), keeping([file, "take", "v"])])
      const taken: Array<string> = []
      for (const { end } of takers) {
        const { code, stderr, stdout } = yield* end
        assert.deepStrictEqual([code, stderr], [0, ""])
        taken.push(...lines(stdout))
      }
      assert.deepStrictEqual(taken.toSorted(), (yield* idsIn(file)).toSorted())
      assert.lengthOf(taken, 120)
    })
  )

  test(
    "go back to the queue at once when the process that held them was killed",
    Effect.gen(function*() {
      const file = `${yield* temporaryFolder}/runs.db`
      yield* (yield* keeping([file, "submit", "a", "1"])).end
      const child = yield* keeping([file, "hold", "w"])
      yield* child.printed(/^a0$/m)
      yield* opened(
        file,
        Effect.gen(function*() {
          const store = yield* RunStore
          assert.deepStrictEqual(yield* store.reclaim({ maxStrikes: 3 }), [])
          yield* child.send("SIGKILL")
          yield* child.end
          const begun = Date.now()
          assert.deepStrictEqual(yield* store.reclaim({ maxStrikes: 3 }), ["a0"])
          assert.isBelow(Date.now() - begun, lostAfter)
          assert.deepInclude(Option.getOrThrow(yield* store.get("a0")), { state: "queued", strikes: 1 })
        })
      )
    })
  )

  test(
    "are refused with a clear error where the file is damaged, no database, or cannot be there",
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      const messageOf = Effect.fnUntraced(function*(file: string) {
        return lines((yield* (yield* keeping([file, "submit", "a", "1"])).end).stdout).join("\n")
      })
      yield* fs.writeFileString(`${folder}/text.db`, "This is no database.".repeat(1000))
      assert.include(
        yield* messageOf(`${folder}/text.db`),
        `(${folder}/text.db) failed: the file is no SQLite database`
      )

      const damaged = `${folder}/damaged.db`
      yield* (yield* keeping([damaged, "submit", "a", "50"])).end
      const bytes = yield* fs.readFile(damaged)
      yield* fs.writeFile(damaged, bytes.fill(0xab, 4096))
      assert.include(yield* messageOf(damaged), `(${damaged}) failed: the file is damaged`)

      const missing = `${folder}/no/such/folder.db`
      assert.include(
        yield* messageOf(missing),
        `(${missing}) failed: it cannot be opened. Check that its folder exists`
      )
    })
  )

  /** A command in a file system of its own below `folder`, copied to `copies` before it ends. */
  const inFileSystem = (folder: string, mount: string, copies: string): NonNullable<Options["through"]> => [
    ...unshare,
    "sh",
    "-c",
    `mount -t tmpfs -o size=1500k tmpfs ${folder} && ${mount} "$@"; code=$?; cp -r ${folder}/. ${copies}; exit $code`,
    "sh"
  ]

  it.live.skipIf(cannotMount !== undefined)(
    `are kept as far as they were accepted when the disk is full ${cannotMount ?? ""}`,
    () =>
      Effect.gen(function*() {
        const [folder, copies] = yield* Effect.all([temporaryFolder, temporaryFolder])
        const child = yield* keeping([`${folder}/runs.db`, "submit", "a", "10000"], {
          through: inFileSystem(folder, "", copies)
        })
        const { code, stderr, stdout } = yield* child.end
        assert.strictEqual(code, 0, stderr)
        const said = lines(stdout)
        const kept = said.slice(0, -1)
        assert.isAbove(kept.length, 3)
        assert.include(said.at(-1), "failed: the disk is full. Free space on the disk")
        assert.deepStrictEqual(yield* idsIn(`${copies}/runs.db`), kept)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live.skipIf(cannotMount !== undefined)(
    `are refused on a read-only disk ${cannotMount ?? ""}`,
    () =>
      Effect.gen(function*() {
        const [folder, copies] = yield* Effect.all([temporaryFolder, temporaryFolder])
        const child = yield* keeping([`${folder}/runs.db`, "submit", "a", "1"], {
          through: inFileSystem(folder, `mount -o remount,ro ${folder} &&`, copies)
        })
        const { stderr, stdout } = yield* child.end
        assert.match(stdout, /failed: it (cannot be opened|is read-only)\. .* write/, stderr)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
