import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as Onnx from "../../../src/models/onnx/Onnx.ts"
import { queriesAtOnce, sketched, slicedAttention } from "../../../src/models/onnx/slicedAttention.ts"
import { workingMemory } from "../../../src/models/onnx/workingMemory.ts"
import { embedded } from "../fixtures.ts"
import * as GraphBuilder from "./GraphBuilder.ts"

const wave = (size: number, start: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(start + i * 1.7))

const run = (file: Uint8Array, feeds: Record<string, Tensor>) =>
  Effect.promise(async () => {
    const session = await InferenceSession.create(file, { intraOpNumThreads: 2 })
    const outputs = await session.run(feeds)
    await session.release()
    return Object.values(outputs)[0]?.data
  })

type Graph = GraphBuilder.GraphBuilder

/** Attention of `x` `[..., n, 8]` to itself or to `text`, with what lies between the product and the softmax. */
const attention = (
  rank: 3 | 4,
  { before, isCross = false, opset, after = (_, weights) => weights }: {
    readonly before?: (graph: Graph, scores: string) => string
    readonly after?: (graph: Graph, weights: string) => string
    readonly isCross?: boolean
    readonly opset?: number
  } = {}
) => {
  const graph = GraphBuilder.make()
  const dims = rank === 4 ? ["batch", "heads", "n", 8] : ["batch", "n", 8]
  const x = graph.input("x", "float32", dims)
  const text = isCross ? graph.input("text", "float32", dims.with(rank - 2, "m")) : x
  const perm = rank === 4 ? [0, 1, 3, 2] : [0, 2, 1]
  const product = graph.node("MatMul", [x, graph.node("Transpose", [text], { perm: { ints: perm } })])
  const weights = graph.node("Softmax", [before?.(graph, product) ?? product], { axis: { int: -1 } })
  graph.output("y", graph.node("MatMul", [after(graph, weights), text]), "float32", dims)
  return graph.toFile(opset)
}

const number = (graph: Graph, value: number) => graph.constant(Onnx.tensor("float32", [], [value]))
const float32 = { to: { int: Onnx.typeNumber("float32") } }

const tensor = (name: string, ...dims: ReadonlyArray<number>) => ({
  [name]: new Tensor("float32", wave(dims.reduce((a, b) => a * b, 1), dims.length), dims)
})

describe("attention in slices", () => {
  it.effect.each<[string, Uint8Array, Record<string, Tensor>]>([
    ["one image", attention(3), tensor("x", 1, 4200, 8)],
    ["a number of queries that nothing divides", attention(3), tensor("x", 1, 4201, 8)],
    ["two images with two heads", attention(4), tensor("x", 2, 2, 2100, 8)],
    ["few queries, in one slice", attention(4), tensor("x", 2, 2, 48, 8)],
    ["one query", attention(4), tensor("x", 2, 2, 1, 8)],
    [
      "attention to another text",
      attention(3, { isCross: true }),
      { ...tensor("x", 1, 4000, 8), ...tensor("text", 1, 5000, 8) }
    ],
    [
      "a scale behind the product",
      attention(3, { before: (graph, scores) => graph.node("Mul", [scores, number(graph, 0.3)]) }),
      tensor("x", 1, 4200, 8)
    ],
    [
      "casts around the softmax",
      attention(3, {
        before: (graph, scores) => graph.node("Cast", [graph.node("Div", [scores, number(graph, 3)])], float32),
        after: (graph, weights) => graph.node("Cast", [weights], float32)
      }),
      tensor("x", 1, 4200, 8)
    ]
  ])("makes the same bytes: %s", ([, file, feeds]) =>
    Effect.gen(function*() {
      const sliced = slicedAttention(file)
      assert.include(Onnx.read(sliced).graph.nodes.map(({ op }) => op), "Loop")
      assert.deepStrictEqual(yield* run(sliced, feeds), yield* run(file, feeds))
    }))

  it.effect("makes the same bytes in the embedded model's denoiser", () =>
    Effect.gen(function*() {
      const file = readFileSync(`${embedded}/unet/model.onnx`)
      const sliced = slicedAttention(file)
      assert.lengthOf(Onnx.read(sliced).graph.nodes.filter(({ op }) => op === "Loop"), 8)
      for (const [rows, height, width] of [[1, 64, 48], [2, 16, 16]] as const) {
        const feeds = {
          ...tensor("sample", rows, 4, height, width),
          ...tensor("encoder_hidden_states", rows, 77, 128),
          timestep: new Tensor("int64", BigInt64Array.of(500n), [1])
        }
        assert.deepStrictEqual(yield* run(sliced, feeds), yield* run(file, feeds))
      }
    }))

  it("leaves a network alone that has none: the file is the same", () => {
    const file = readFileSync(`${embedded}/vae_decoder/model.onnx`)
    assert.strictEqual(slicedAttention(file), file)
  })

  it("leaves attention alone whose scores or weights are used otherwise, or depend on more than one number", () => {
    const mask = (graph: Graph, scores: string) => graph.node("Add", [scores, number(graph, 1)])
    const table = (graph: Graph, scores: string) =>
      graph.node("Mul", [scores, graph.constant(Onnx.tensor("float32", [2, 1], [1, 2]))])
    const shown = (graph: Graph, scores: string) => {
      graph.output("scores", scores, "float32", ["batch", "n", "n"])
      return scores
    }
    // Networks of half precision would give other numbers.
    const halved = (graph: Graph, scores: string) =>
      graph.node("Cast", [graph.node("Cast", [scores], { to: { int: Onnx.typeNumber("float16") } })], float32)
    for (
      const file of [
        attention(3, { before: mask }),
        attention(3, { before: table }),
        attention(3, { before: shown }),
        attention(3, { after: shown }),
        attention(3, { opset: 12 }),
        attention(3, { before: halved })
      ]
    ) assert.strictEqual(slicedAttention(file), file)
  })

  it("leaves a damaged network alone whose scores lead in circles", () => {
    const x: Onnx.ValueInfo = { name: "x", type: "float32", dims: [2, 2] }
    const file = Onnx.write({
      opsets: { "": 17 },
      graph: {
        initializers: [],
        inputs: [x],
        nodes: [
          { op: "MatMul", inputs: ["x", "x"], outputs: ["scores"] },
          { op: "Cast", inputs: ["scores"], outputs: ["again"], attributes: float32 },
          { op: "Cast", inputs: ["again"], outputs: ["scores"], attributes: float32 }
        ],
        outputs: [{ ...x, name: "y" }]
      }
    })
    assert.strictEqual(slicedAttention(file), file)
  })

  it("takes queries with 32 to 64 MiB of scores at once, 128 at least, and as many as the values are wide", () => {
    const positions = (batch: number, queries: number, keys = queries, width = 40) =>
      queriesAtOnce({ batch, queries, keys, width })
    assert.strictEqual(positions(16, 256), 256)
    assert.strictEqual(positions(16, 4096), 128)
    assert.strictEqual(positions(1, 4200), 2100)
    assert.strictEqual(positions(1, 4201), 2101)
    assert.strictEqual(positions(16, 65_536), 128)
    assert.strictEqual(positions(4, 1), 1)
    assert.strictEqual(positions(16, 16_384, 77), 8192)
    assert.strictEqual(positions(16, 65_536, 65_536, 512), 512)
  })

  it("takes a tenth of the memory at 1024 x 1024 pixels, and less than a third at 512 x 512", () => {
    const model = Onnx.read(readFileSync(`${embedded}/unet/model.onnx`))
    const share = (side: number, rows: number) => {
      const sizes = {
        sample: [rows, 4, side, side],
        timestep: [1],
        encoder_hidden_states: [rows, 77, 128]
      }
      return (workingMemory(sketched(model), sizes) ?? NaN) / (workingMemory(model, sizes) ?? NaN)
    }
    assert.isBelow(share(128, 1), 0.1)
    assert.isBelow(share(128, 2), 0.05)
    assert.isBelow(share(64, 2), 0.33)
  })
})
