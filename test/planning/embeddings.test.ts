import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Embedding } from "../../src/model/Embedding.ts"
import { missingEmbeddings, occurring, unfitEmbeddings } from "../../src/planning/embeddings.ts"
import { TestModel } from "../../src/testing/index.ts"

const there = [{ name: "EasyNegative" }, { name: "bad-hands-5" }, { name: "art (v2)" }]

describe("embeddings", () => {
  it.each<readonly [text: string, names: ReadonlyArray<string>]>([
    ["easynegative, blur", ["EasyNegative"]],
    ["a cat, (EASY Negative:1.2) [bad-hands-5|cat]", ["EasyNegative", "bad-hands-5"]],
    ["in the way of art (v2), a cat", ["art (v2)"]],
    ["uneasynegatives", ["EasyNegative"]],
    ["a cat, bad hands", []]
  ])("may stand where a text has their letters: %s", (text, names) => {
    assert.deepStrictEqual(occurring([text], there).map(({ name }) => name), names)
  })

  it.each<readonly [text: string, names: string | undefined]>([
    ["a cat, (embedding:missing.pt:1.1), Embedding: other", "missing.pt, other"],
    ["embedding:easynegative, embedding:bad-hands-5.pt", undefined],
    ["embedding: ", undefined],
    ["a cat", undefined]
  ])("that are asked for in ComfyUI's way and are not there are warned of: %s", (text, names) => {
    assert.deepStrictEqual(
      missingEmbeddings([text], there),
      names === undefined ? [] : [`No embedding is named ${names}: the prompts' words are read as such.`]
    )
  })

  const embedding = (...widths: ReadonlyArray<number>): Embedding => ({
    name: "token",
    id: "token",
    vectors: 2,
    rows: widths.map((width) => new Float32Array(2 * width))
  })
  const [encoder] = TestModel.make().textEncoders

  it("fit a model with a text encoder of each width", () => {
    const taking = { ...encoder, width: 4, takesEmbeddings: true }
    const model = TestModel.make({ name: "sd", textEncoders: [taking] })
    const pair = TestModel.make({ name: "xl", textEncoders: [taking, { ...taking, width: 6 }] })
    assert.deepStrictEqual(unfitEmbeddings(model, [embedding(4)]), [])
    assert.deepStrictEqual(unfitEmbeddings(pair, [embedding(4, 6)]), [])
    assert.deepStrictEqual(unfitEmbeddings(pair, [embedding(4)]), [
      "The embedding token does not fit xl: its vectors have 4 numbers, and those of the model 4 and 6. Its name is read " +
      "as words."
    ])
    assert.lengthOf(unfitEmbeddings(model, [embedding(4, 6)]), 1)
  })

  it("act on no model whose text encoders are exported", () => {
    const model = TestModel.make({ name: "onnx", textEncoders: [{ ...encoder, largestClipSkip: Effect.succeed(1) }] })
    assert.deepStrictEqual(unfitEmbeddings(model, [embedding(encoder.width)]), [
      "onnx takes no embeddings, as its networks are exported: token in the prompts is read as words."
    ])
  })
})
