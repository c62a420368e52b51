import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { type Raster, toRgb } from "../../src/core/Raster.ts"
import * as Parts from "../../src/images/Parts.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Adds up to a number, one by one. */
function* count(to: number): Parts.Parts<number> {
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
      const work = Parts.inTurns(() => count(1000))
      assert.strictEqual(yield* work, Parts.atOnce(count(1000)))
      assert.strictEqual(yield* work, 1000)
    }))

  it.live("lets others have their turn", () =>
    Effect.gen(function*() {
      let others = 0
      const other = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.sync(() => others++), Effect.yieldNow))
      )
      yield* Parts.inTurns(() => Parts.byLines(20, Infinity, busy))
      yield* Fiber.interrupt(other)
      assert.isAtLeast(others, 3)
    }))

  it.live("can be interrupted between parts", () =>
    Effect.gen(function*() {
      let parts = 0
      const work = yield* Effect.forkChild(
        Parts.inTurns(() => Parts.byLines(Infinity, Infinity, () => void parts++)),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      yield* Fiber.interrupt(work)
      assert.isAbove(parts, 0)
    }))
})

describe("byLines", () => {
  it.prop("comes to each line once, in order", [int(0, 60), int(1, 2 ** 18)], ([lines, effort]) => {
    const seen: Array<number> = []
    Parts.atOnce(Parts.byLines(lines, effort, (from, to) => {
      assert.isTrue(to - from === 1 || (to - from) * effort <= Parts.workAtOnce)
      for (let line = from; line < to; line++) seen.push(line)
    }))
    assert.deepStrictEqual(seen, Array.from({ length: lines }, (_, line) => line))
  })
})

describe("eachPixel", () => {
  it.prop("puts together what is made of some lines each", [int(1, 9), int(1, 60)], ([width, height]) => {
    const image: Raster = { width, height, channels: 1, data: new Uint8Array(width * height).map((_, i) => i) }
    const made = Parts.atOnce(Parts.eachPixel(image, 3, (lines) => toRgb(lines), 2 ** 14))
    assert.deepStrictEqual(made, toRgb(image))
  })
})
