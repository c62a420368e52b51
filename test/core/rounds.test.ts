import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as rounds from "../../src/core/rounds.ts"

describe("rounds", () => {
  it.effect("answer those who ask meanwhile with one more, in the order in which they asked", () =>
    Effect.gen(function*() {
      const ask = yield* rounds.make<number, never>()
      const doors = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let begun = 0
      const work = Effect.suspend(() => {
        const round = begun++
        return Effect.as(Effect.forEach(doors.slice(round, round + 1), (door) => Deferred.await(door)), round)
      })
      const answers: Array<string> = []
      const asking = (name: string) =>
        Effect.forkChild(
          Effect.map(ask("key", work), (round) => answers.push(`${name} ${round}`)),
          { startImmediately: true }
        )
      const fibers = yield* Effect.forEach(["a", "b", "c", "d"], asking)
      assert.strictEqual(begun, 1)
      // The round goes on for the others without the one that asked for it first.
      yield* Fiber.interrupt(fibers[1] ?? (yield* Effect.die("none")))
      for (const door of doors) yield* Deferred.succeed(door, undefined)
      yield* Effect.forEach(fibers, Fiber.await)
      assert.deepStrictEqual(answers, ["a 0", "c 1", "d 1"])
      assert.strictEqual(begun, 2)
    }))

  it.effect("fail for all who share them, and are held again after that", () =>
    Effect.gen(function*() {
      const ask = yield* rounds.make<string, string>()
      const failing = Effect.andThen(Effect.yieldNow, Effect.fail("no"))
      const both = yield* Effect.all([Effect.flip(ask("a", failing)), Effect.flip(ask("a", failing))], {
        concurrency: 2
      })
      assert.deepStrictEqual(both, ["no", "no"])
      assert.strictEqual(yield* ask("a", Effect.succeed("yes")), "yes")
    }))

  it.effect("of different keys do not wait for each other, and end with the scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const ask = yield* Scope.provide(rounds.make<string, never>(), scope)
      const waits = yield* Effect.forkChild(ask("a", Effect.never), { startImmediately: true })
      assert.strictEqual(yield* ask("b", Effect.succeed("b")), "b")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(waits)))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ask("b", Effect.succeed("b")))))
    }))
})
