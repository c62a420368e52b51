// shared.test.mts
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Options } from "serena-runtime"
import { TestRuntime } from "serena-runtime/testing"
import { generate } from "./generate.mts"

layer(TestRuntime.layer({ opts: { samples_save: false } }))("generate", (it) => {
  it.effect("is deterministic", () =>
    Effect.gen(function*() {
      const [[first], [again]] = [yield* generate("cat"), yield* generate("cat")]
      assert.deepStrictEqual(first?.bytes, again?.bytes)
    }))

  it.effect("does not change the settings", () =>
    Effect.gen(function*() {
      const options = yield* Options
      const before = yield* options.snapshot
      yield* generate("dog")
      assert.strictEqual(yield* options.snapshot, before)
    }))
})
