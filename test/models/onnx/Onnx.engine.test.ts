import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as Onnx from "../../../src/models/onnx/Onnx.ts"
import * as Protobuf from "../../../src/models/onnx/Protobuf.ts"
import { embedded } from "../fixtures.ts"
import * as GraphBuilder from "./GraphBuilder.ts"

const open = (file: Uint8Array) => Effect.promise(() => InferenceSession.create(file))

const run = (session: InferenceSession, feeds: Record<string, Tensor>) =>
  Effect.map(
    Effect.promise(() => session.run(feeds)),
    (outputs) => Array.from(Object.values(outputs)[0]?.data ?? [], Number)
  )

describe("an ONNX file that was written", () => {
  it.effect("is one that onnxruntime opens and runs", () =>
    Effect.gen(function*() {
      const session = yield* open(Onnx.write({
        opsets: { "": 17 },
        graph: {
          inputs: [{ name: "x", type: "float32", dims: ["batch", 1, "height", "width"] }],
          outputs: [{ name: "y", type: "float32", dims: ["batch", 1, "height", "width"] }],
          initializers: [
            { name: "w", ...Onnx.tensor("float32", [1, 1, 3, 3], [0, 0, 0, 0, 1, 1, 0, 0, 0]) },
            { name: "b", ...Onnx.tensor("float32", [1], [-4]) }
          ],
          nodes: [
            { op: "Conv", inputs: ["x", "w", "b"], outputs: ["c"], attributes: { pads: { ints: [1, 1, 1, 1] } } },
            { op: "LeakyRelu", inputs: ["c"], outputs: ["y"], attributes: { alpha: { float: 0.5 } } }
          ]
        }
      }))
      assert.deepStrictEqual(session.inputMetadata, [
        { name: "x", isTensor: true, type: "float32", shape: ["batch", 1, "height", "width"] }
      ])
      // Each value plus its right neighbour, minus 4, halved below 0.
      const x = new Tensor("float32", Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2])
      assert.deepStrictEqual(yield* run(session, { x }), [-0.5, -1, 3, 0])
    }))

  it.effect("holds every kind of attribute and number", () =>
    Effect.gen(function*() {
      const graph = GraphBuilder.make()
      const x = graph.input("x", "int64", [1])
      const whole = graph.node("Constant", [], { value: { tensor: Onnx.tensor("int64", [2], [2 ** 40, -3]) } })
      const halves = graph.node("Constant", [], { value_floats: { floats: [0.5, -1.25] } })
      const small = graph.constant(Onnx.tensor("float16", [2], [0.25, 2]))
      const bytes = graph.constant(Onnx.tensor("uint8", [2], [200, 1]))
      const flags = graph.constant(Onnx.tensor("bool", [2], [1, 0]))
      const narrow = graph.constant(Onnx.tensor("int32", [2], [-7, 7]))
      const float = (value: string) => graph.node("Cast", [value], { to: { int: 1 } })
      const sum = [
        float(graph.node("Add", [x, whole])),
        halves,
        float(small),
        float(bytes),
        float(flags),
        float(narrow)
      ]
        .reduce((a, b) => graph.node("Add", [a, b]))
      graph.output("y", sum, "float32", [2])
      const session = yield* open(graph.toFile())
      const given = new Tensor("int64", BigInt64Array.of(10n), [1])
      const [first = NaN, second] = yield* run(session, { x: given })
      // float32 has 17 bits left of the point at 2^40: the rest is below its resolution.
      assert.closeTo(first, 2 ** 40 + 204, 2 ** 17)
      assert.strictEqual(second, 10 - 3 - 1.25 + 2 + 1 + 0 + 7)
    }))

  it.effect("holds operators with strings and left-out inputs, such as Resize", () =>
    Effect.gen(function*() {
      const graph = GraphBuilder.make()
      const x = graph.input("x", "float32", [1, 1, 1, "width"])
      const scales = graph.constant(Onnx.tensor("float32", [4], [1, 1, 2, 2]))
      const large = graph.node("Resize", [x, "", scales], {
        mode: { string: "nearest" },
        coordinate_transformation_mode: { string: "asymmetric" },
        nearest_mode: { string: "floor" }
      })
      graph.output("y", large, "float32", [1, 1, 2, "wide"])
      const session = yield* open(graph.toFile())
      const given = new Tensor("float32", Float32Array.of(3, 5), [1, 1, 1, 2])
      assert.deepStrictEqual(yield* run(session, { x: given }), [3, 3, 5, 5, 3, 3, 5, 5])
    }))
})

describe("an ONNX file that is read", () => {
  const files = ["text_encoder", "unet", "vae_decoder", "vae_encoder"].map((part) =>
    readFileSync(`${embedded}/${part}/model.onnx`)
  )

  it("is written as it was, byte for byte, down to its nodes", () => {
    for (const file of files) {
      const model = Onnx.read(file)
      assert.isTrue(file.equals(Onnx.write(model)))
      const copied = new Protobuf.Message(Onnx.write({ ...model, graph: { ...model.graph } }))
      assert.deepStrictEqual(copied.last(7), new Protobuf.Message(file).last(7))
    }
  })

  it.effect("is the same network with each of its parts written anew", () =>
    Effect.gen(function*() {
      for (const file of files) {
        const anew = (graph: Onnx.Graph): Onnx.Graph => ({
          ...graph,
          nodes: graph.nodes.map((node) => ({
            ...node,
            attributes: Object.fromEntries(
              Object.entries(node.attributes ?? {}).map(([name, value]) => [name, { ...value }])
            )
          })),
          initializers: graph.initializers.map((tensor) => ({ ...tensor })),
          inputs: graph.inputs.map((info) => ({ ...info })),
          outputs: graph.outputs.map((info) => ({ ...info }))
        })
        const model = Onnx.read(file)
        const written = Onnx.write({ ...model, graph: anew(model.graph) })
        assert.deepStrictEqual(Onnx.read(written), model)
        const [before, after] = [yield* open(file), yield* open(written)]
        assert.deepStrictEqual([after.inputMetadata, after.outputMetadata], [
          before.inputMetadata,
          before.outputMetadata
        ])
      }
    }))

  it("keeps the fields that it does not know where something else changes", () => {
    const node = { op: "Relu", inputs: ["x"], outputs: ["y"] }
    const unknown = Protobuf.string(99, "from a later version")
    const attributes = { text: { unknown: [...Protobuf.string(9, "one of several"), ...Protobuf.integer(20, 8)] } }
    const file = Onnx.write({
      opsets: {},
      graph: { nodes: [{ ...node, attributes, unknown }], initializers: [], inputs: [], outputs: [], unknown },
      unknown
    })
    const model = Onnx.read(file)
    const nodes = model.graph.nodes.map((node) => ({ ...node, op: "Tanh" }))
    const changed = Buffer.from(Onnx.write({ ...model, graph: { ...model.graph, nodes } }))
    assert.strictEqual(changed.toString("latin1"), Buffer.from(file).toString("latin1").replace("Relu", "Tanh"))
    assert.deepStrictEqual(Onnx.read(changed), { ...model, graph: { ...model.graph, nodes } })
  })

  it("names the file and place of weights outside of it", () => {
    const data = { location: "model.onnx_data", offset: 4096, length: 16 }
    const weights: Onnx.Tensor = { name: "w", type: "bfloat16", dims: [2, 4], data }
    const file = Onnx.write({ opsets: {}, graph: { nodes: [], initializers: [weights], inputs: [], outputs: [] } })
    const [found] = Onnx.read(file).graph.initializers
    assert.deepStrictEqual(found, { ...weights, unknown: [] })
  })
})
