// shared.test.mts
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Options } from "serena-runtime"
import { TestRuntime } from "serena-runtime/testing"
import { picture } from "./picture.mts"

layer(TestRuntime.layer({ opts: { samples_save: false } }))("picture", (it) => {
  it.effect("is the same each time", () =>
    Effect.gen(function*() {
      const [[first], [again]] = [yield* picture("cat"), yield* picture("cat")]
      assert.deepStrictEqual(first?.bytes, again?.bytes)
    }))

  it.effect("does not change the settings", () =>
    Effect.gen(function*() {
      const options = yield* Options
      const before = yield* options.snapshot
      yield* picture("dog")
      assert.strictEqual(yield* options.snapshot, before)
    }))
})
