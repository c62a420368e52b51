import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Work from "../../src/core/Work.ts"
import { byLines } from "../../src/images/Parts.ts"

/** Adds up to a number, one by one. */
function* count(to: number): Work.Parts<number> {
  let sum = 0
  for (let i = 0; i < to; i++) {
    sum++
    yield
  }
  return sum
}

/** Takes a turn and more. */
const busy = () => {
  const end = performance.now() + 3
  while (performance.now() < end);
}

describe("inTurns", () => {
  it.effect("gives what the work gives without a pause, each time it is run", () =>
    Effect.gen(function*() {
      const work = Work.inTurns(() => count(1000))
      assert.strictEqual(yield* work, Work.atOnce(count(1000)))
      assert.strictEqual(yield* work, 1000)
    }))

  it.live("lets others have their turn", () =>
    Effect.gen(function*() {
      let others = 0
      const other = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.sync(() => others++), Effect.yieldNow))
      )
      yield* Work.inTurns(() => byLines(20, Infinity, busy))
      yield* Fiber.interrupt(other)
      assert.isAtLeast(others, 3)
    }))

  it.live("can be interrupted between parts", () =>
    Effect.gen(function*() {
      let parts = 0
      const work = yield* Effect.forkChild(
        Work.inTurns(() => byLines(Infinity, Infinity, () => void parts++)),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      yield* Fiber.interrupt(work)
      assert.isAbove(parts, 0)
    }))
})

describe("away", () => {
  it.effect("does short work at once, and long work where the context says", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const work = { module: import.meta.url, parts: count }
      const both = Effect.all([Work.away(work, [5], 5), Work.away(work, [6], 2 ** 20)])
      assert.deepStrictEqual(yield* both, [5, 6])
      const elsewhere: typeof Work.WorkPlace.Service = {
        run: (work, args) => {
          asked.push(work.parts.name)
          return Effect.sync(() => Work.atOnce(work.parts(...args)))
        }
      }
      assert.deepStrictEqual(yield* Effect.provideService(both, Work.WorkPlace, elsewhere), [5, 6])
      assert.deepStrictEqual(asked, ["count"])
    }))
})

describe("joining", () => {
  it("copies parts of any size one after the other, a little at a time", () => {
    const parts = [3, 0, 2 ** 18, 2 ** 19 + 1].map((length, n) => new Uint8Array(length).fill(n + 1))
    const work = Work.joining(parts)
    assert.isFalse(work.next().done)
    const joined = Work.atOnce(work)
    assert.isTrue(Buffer.concat(parts).equals(joined))
    assert.strictEqual(joined.buffer.byteLength, joined.length)
  })
})
