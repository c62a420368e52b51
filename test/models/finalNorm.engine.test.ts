import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as finalNorm from "../../src/models/finalNorm.ts"
import reference from "../goldens/shapes-128.json" with { type: "json" }
import { embedded } from "./fixtures.ts"

const largestDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? NaN))), 0)

describe("the final layer norm, found again from what it did", () => {
  it("is applied to other states as the norm itself would have been", () => {
    const width = 3
    const gains = [2, -0.5, 1.25]
    const offsets = [0.25, 4, -1]
    // Rows of 1, 2, 6 and the like, by the norm's own definition with epsilon 0.5.
    const norm = (rows: ReadonlyArray<ReadonlyArray<number>>) =>
      Float32Array.from(rows.flatMap((row) => {
        const mean = row.reduce((a, b) => a + b) / width
        const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width
        return row.map((value, i) => (value - mean) / Math.sqrt(variance + 0.5) * (gains[i] ?? 0) + (offsets[i] ?? 0))
      }))
    const before = [[1, 2, 6], [0, -3, 1], [9, 0, 2], [4, 4, -7]]
    const other = [[5, 5, 1], [-2, 0, 3]]
    const states = Float32Array.from(other.flat())
    finalNorm.apply(states, { before: Float32Array.from(before.flat()), after: norm(before), width, epsilon: 0.5 })
    assert.isBelow(largestDifference(states, norm(other)), 1e-5)
  })

  it("gives a finite value for a channel that is the same in every row", () => {
    const before = Float32Array.of(1, 2, 3, 1, 2, 3)
    const states = Float32Array.of(3, 1, 2)
    finalNorm.apply(states, { before, after: Float32Array.of(5, 6, 7, 5, 6, 7), width: 3, epsilon: 1e-5 })
    assert.deepStrictEqual(states, Float32Array.of(5, 6, 7))
  })

  it.effect("of the embedded model, makes the last hidden state of the last layer's", () =>
    Effect.gen(function*() {
      const session = yield* Effect.promise(() => InferenceSession.create(`${embedded}/text_encoder/model.onnx`))
      for (const { input_ids } of reference.prompts) {
        const feeds = { input_ids: new Tensor("int64", BigInt64Array.from(input_ids, BigInt), [1, 77]) }
        const outputs = yield* Effect.promise(() => session.run(feeds))
        const numbers = (name: string) => Float32Array.from(Array.from(outputs[name]?.data ?? [], Number))
        const before = numbers("hidden_states.3")
        const after = numbers("last_hidden_state")
        const states = before.slice()
        finalNorm.apply(states, { before, after, width: 128, epsilon: 1e-5 })
        assert.isBelow(largestDifference(states, after), 1e-4)
      }
    }))
})
