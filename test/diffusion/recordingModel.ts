/** A test model that remembers what its denoising network was asked. */
import * as Effect from "effect/Effect"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { TestModel } from "../../src/testing/index.ts"

export interface Asked {
  readonly batch: number
  readonly tokens: number
  readonly t: number
  /** One text for each row of the call, told apart by what it is encoded as. */
  readonly texts: ReadonlyArray<string>
  /** Whether deep layers were reused. */
  readonly reusesDeep: boolean
}

export const make = (overrides: TestModel.Options = {}) => {
  const asked: Array<Asked> = []
  const plain = TestModel.make(overrides)
  const model: LoadedModel = {
    ...plain,
    denoising: (shape) =>
      Effect.map(plain.denoising(shape), (call) => ({
        ...call,
        run: (t, reusesDeep = false) =>
          Effect.suspend(() => {
            const states = call.inputs["encoder_hidden_states"] ?? new Float32Array()
            const size = states.length / shape.batch
            const texts = Array.from(
              { length: shape.batch },
              (_, row) => String(states.subarray(row * size, (row + 1) * size).reduce((a, b) => a + b, 0))
            )
            asked.push({
              batch: shape.batch,
              tokens: shape.inputs["encoder_hidden_states"]?.[0] ?? 0,
              t,
              texts,
              reusesDeep
            })
            return call.run(t)
          })
      }))
  }
  return { model, asked }
}

/** Numbers in place of texts, in the order in which they first appear: `[a, b, a]` is `[0, 1, 0]`. */
export const numbered = (texts: ReadonlyArray<string>): ReadonlyArray<number> => {
  const known = [...new Set(texts)]
  return texts.map((text) => known.indexOf(text))
}
