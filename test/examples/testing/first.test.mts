// first.test.mts
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestRuntime } from "serena-runtime/testing"
import { generate } from "./generate.mts"

it.effect("prompts for the subject", () =>
  Effect.gen(function*() {
    const images = yield* generate("cat")
    assert.strictEqual(images.length, 1)
    assert.strictEqual(images[0]?.prompt, "a cat")
  }).pipe(Effect.provide(TestRuntime.layer())))
