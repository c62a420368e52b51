import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as Graph from "./Graph.ts"
import { float32, int64, model, tensorOf } from "./OnnxFile.ts"

const open = (file: Uint8Array) => Effect.promise(() => InferenceSession.create(file))

const run = (session: InferenceSession, feeds: Record<string, Tensor>) =>
  Effect.map(
    Effect.promise(() => session.run(feeds)),
    (outputs) => Array.from(Object.values(outputs)[0]?.data ?? [], Number)
  )

describe("an ONNX file that is written by hand", () => {
  it.effect("is one that onnxruntime opens and runs", () =>
    Effect.gen(function*() {
      const session = yield* open(model({
        inputs: [{ name: "x", type: "float32", dims: ["batch", 1, "height", "width"] }],
        outputs: [{ name: "y", type: "float32", dims: ["batch", 1, "height", "width"] }],
        initializers: { w: float32([1, 1, 3, 3], [0, 0, 0, 0, 1, 1, 0, 0, 0]), b: float32([1], [-4]) },
        nodes: [
          { op: "Conv", inputs: ["x", "w", "b"], outputs: ["c"], attributes: { pads: { ints: [1, 1, 1, 1] } } },
          { op: "LeakyRelu", inputs: ["c"], outputs: ["y"], attributes: { alpha: { float: 0.5 } } }
        ]
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
      const graph = Graph.make()
      const x = graph.input("x", "int64", [1])
      const whole = graph.node("Constant", [], { value: { tensor: int64([2], [2 ** 40, -3]) } })
      const halves = graph.node("Constant", [], { value_floats: { floats: [0.5, -1.25] } })
      const small = graph.constant(tensorOf("float16", [2], [0.25, 2]))
      const bytes = graph.constant(tensorOf("uint8", [2], [200, 1]))
      const flags = graph.constant(tensorOf("bool", [2], [1, 0]))
      const narrow = graph.constant(tensorOf("int32", [2], [-7, 7]))
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
      const graph = Graph.make()
      const x = graph.input("x", "float32", [1, 1, 1, "width"])
      const scales = graph.constant(float32([4], [1, 1, 2, 2]))
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
