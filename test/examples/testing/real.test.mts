// real.test.mts
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Serena } from "serena-runtime"
import { generate } from "./generate.mts"

layer(Serena.layer({ options: { samples_save: false } }), { excludeTestServices: true })("generate", (it) => {
  it.effect("returns a PNG file", () =>
    Effect.gen(function*() {
      const [image] = yield* generate("red circle")
      assert.strictEqual(image?.width, 64)
      assert.deepStrictEqual([...image?.bytes.subarray(0, 4) ?? []], [0x89, 0x50, 0x4E, 0x47])
    }), 60_000)
})
