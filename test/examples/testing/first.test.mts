// first.test.mts
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestRuntime } from "serena-runtime/testing"
import { picture } from "./picture.mts"

it.effect("asks for the thing", () =>
  Effect.gen(function*() {
    const images = yield* picture("cat")
    assert.strictEqual(images.length, 1)
    assert.strictEqual(images[0]?.prompt, "a cat")
  }).pipe(Effect.provide(TestRuntime.layer())))
