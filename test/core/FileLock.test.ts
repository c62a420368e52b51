import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { hostname } from "node:os"
import * as FileLock from "../../src/core/FileLock.ts"
import * as ProcessIdentity from "../../src/core/ProcessIdentity.ts"

const folder = FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped())

/** Leaves the lock of another process. */
const leave = Effect.fnUntraced(function*(
  file: string,
  change: (own: ProcessIdentity.ProcessIdentity) => Partial<ProcessIdentity.ProcessIdentity>
) {
  const fs = yield* FileSystem.FileSystem
  const own = yield* ProcessIdentity.current
  yield* fs.writeFileString(
    `${file}.lock`,
    JSON.stringify({ host: hostname(), key: "another", ...own, ...change(own) })
  )
})

/** Lets time pass, in steps during which files are really read, until a fiber has ended. */
const passing = Effect.fnUntraced(
  function*<A, E>(fiber: Fiber.Fiber<A, E>, each: Effect.Effect<unknown> = Effect.void) {
    while (fiber.pollUnsafe() === undefined) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("100 millis")
      yield* each
    }
    return yield* Fiber.join(fiber)
  }
)

// Larger than any process id of Linux.
const noProcess = 2 ** 30

describe("A lock on a file", () => {
  it.effect("is held by one until its scope closes, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dir = yield* folder
      const file = `${dir}/settings.json`
      const scope = yield* Scope.make()
      const lock = yield* Scope.provide(FileLock.acquire(file), scope)
      assert.isTrue(yield* lock.isHeld)
      const error = yield* Effect.flip(FileLock.acquire(file))
      assert.strictEqual(error._tag, "FileInUse")
      assert.include(error.message, `process ${process.pid}, which is this one`)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* fs.readDirectory(dir), [])
      yield* FileLock.acquire(file)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.effect("of a process that has ended is taken over, also when its id is another's by now", () =>
    Effect.gen(function*() {
      const file = `${yield* folder}/settings.json`
      const changes: ReadonlyArray<Parameters<typeof leave>[1]> = [
        () => ({ pid: noProcess }),
        ({ started }) => ({ started: started + 1 })
      ]
      for (const change of changes) {
        yield* leave(file, change)
        yield* Effect.scoped(FileLock.acquire(file))
      }
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.effect("of another machine, or without a name, is taken over once it has stood still for a while", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* folder}/settings.json`
      for (const isNamed of [true, false]) {
        yield* isNamed ? leave(file, () => ({ place: "00000000" })) : fs.writeFileString(`${file}.lock`, "")
        const acquiring = yield* Effect.forkChild(Effect.scoped(FileLock.acquire(file)))
        yield* passing(acquiring)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.effect("of another machine is respected while it is renewed", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* folder}/settings.json`
      yield* leave(file, () => ({ place: "00000000", pid: 7 }))
      const acquiring = yield* Effect.forkChild(Effect.flip(Effect.scoped(FileLock.acquire(file))))
      let time = 1000
      const renew = Effect.suspend(() => Effect.orDie(fs.utimes(`${file}.lock`, ++time, time)))
      const error = yield* passing(acquiring, renew)
      assert.strictEqual(error._tag, "FileInUse")
      assert.include(error.message, "process 7")
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.effect("that is lost to another is not held any more; one that was removed is", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* folder}/settings.json`
      yield* Effect.scoped(Effect.gen(function*() {
        const lock = yield* FileLock.acquire(file)
        yield* fs.remove(`${file}.lock`)
        assert.isTrue(yield* lock.isHeld)
        yield* leave(file, () => ({ place: "00000000" }))
        assert.isFalse(yield* lock.isHeld)
      }))
      assert.isTrue(yield* fs.exists(`${file}.lock`))
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
})
