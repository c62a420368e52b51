import { assert, describe, it } from "@effect/vitest"
import * as Emphasis from "../../src/prompt/Emphasis.ts"
import { assertClose } from "../sampling/fixtures.ts"
import * as references from "../sampling/references.ts"

const { emphasis: cases, tolerance } = references.guidance()

const applied = (
  texts: ReadonlyArray<{ z: ReadonlyArray<number>; weights: ReadonlyArray<number>; repeats?: number }>,
  emphasis: Emphasis.Emphasis
): ReadonlyArray<number> => {
  const chunks = texts.map(({ repeats = 1, weights, z }) => ({ values: Float32Array.from(z), weights, repeats }))
  Emphasis.apply(chunks, emphasis)
  return chunks.flatMap(({ values }) => Array.from(values))
}

describe("emphasis agrees with stable-diffusion-webui", () => {
  for (const { id, ignore, multipliers, no_norm, original, z } of cases) {
    const size = z.length / multipliers.length
    const texts = multipliers.map((weights, i) => ({ z: z.slice(i * size, (i + 1) * size), weights }))
    it(id, () => {
      assertClose(applied(texts, "Original"), original, tolerance)
      assertClose(applied(texts, "No norm"), no_norm, tolerance)
      assertClose(applied(texts, "Ignore"), ignore, tolerance)
      assertClose(applied(texts, "None"), ignore, tolerance)
    })
  }
})

const example = { z: [1, 2, 3, 4, 5, 6], weights: [1, 1.5, 1] }
const plain = { z: [1, 1, 1, 1, 2, 2], weights: [1, 1, 1] }

describe("Emphasis.apply", () => {
  it("restores the mean of one text", () => {
    assertClose(applied([example], "Original"), [0.857143, 1.714286, 3.857143, 5.142857, 4.285714, 5.142857], {
      abs: 1e-6
    })
    assertClose(applied([example], "No norm"), [1, 2, 4.5, 6, 5, 6], {})
  })

  it("restores the mean of all texts of a call together", () => {
    const factor = 0.892308
    const expected = [1, 2, 4.5, 6, 5, 6, ...plain.z].map((value) => value * factor)
    assertClose(applied([example, plain], "Original"), expected, { rel: 1e-6 })
  })

  it("counts a text as often as the schedule has it", () => {
    const counted = applied([{ ...example, repeats: 2 }, { ...plain, repeats: 3 }], "Original")
    const repeated = applied([example, plain, plain, example, plain], "Original")
    assertClose(counted, repeated.slice(0, counted.length), { rel: 1e-6 })
  })

  it("touches nothing when no weight differs from 1", () => {
    assert.deepStrictEqual(applied([plain], "Original"), plain.z)
  })

  it("does not divide by a mean that became nothing", () => {
    const cancelled = applied([{ z: [1, 1], weights: [1, -1] }], "Original")
    assert.deepStrictEqual(cancelled, [1, -1])
    assert.deepStrictEqual(applied([{ z: [1, 2], weights: [0, 0] }], "Original"), [0, 0])
  })
})
