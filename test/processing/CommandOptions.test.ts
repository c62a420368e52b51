import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Limits } from "../../src/processing/Limits.ts"

describe("CommandOptions", () => {
  it.effect("are the defaults with what was given over them, frozen", () =>
    Effect.gen(function*() {
      const options = yield* CommandOptions
      assert.deepStrictEqual(options, {
        ...CommandOptions.defaults,
        device: "cuda",
        limits: Limits.make({ max_steps: 5 })
      })
      assert.isFrozen(options)
    }).pipe(Effect.provide(CommandOptions.layer({ device: "cuda", limits: Limits.make({ max_steps: 5 }) }))))
})
