import { assert, describe, it } from "@effect/vitest"
import { compareProcessors } from "../conformance/machines.ts"

// Processors by their names in qemu. The first has AVX2 and FMA, the second no AVX at all.
describe("an image of the embedded model, on a processor with other instructions", () => {
  for (const processor of ["Haswell", "Nehalem"]) {
    it(`differs by two levels of 255 at most on ${processor}`, async () => {
      const { largest, samples } = await compareProcessors(processor)
      assert.strictEqual(samples, 64 * 64 * 3)
      assert.isAtMost(largest, 2)
    }, 3_600_000)
  }
})
