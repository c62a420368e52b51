import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import { Graph, type GraphOptions } from "../../../src/models/graph/Graph.ts"
import { conv, linear } from "../../../src/models/graph/layers.ts"
import { real, single } from "../../../src/models/graph/operators.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { Networks } from "../../../src/models/Networks.ts"
import * as TensorBuffer from "../../../src/models/TensorBuffer.ts"
import { layerModels } from "../fixtures.ts"
import { computed, opening } from "./references.ts"

interface Stored {
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly data: Uint8Array
}

const float32 = (shape: ReadonlyArray<number>, values: ReadonlyArray<number>): Stored => ({
  dtype: "F32",
  shape,
  data: new Uint8Array(Float32Array.from(values).buffer)
})

/** A file of tensors, in a folder that lasts as long as the scope. */
const written = Effect.fnUntraced(function*(tensors: Readonly<Record<string, Stored>>) {
  const fs = yield* FileSystem.FileSystem
  let end = 0
  const entries = Object.entries(tensors).map(([name, { data, dtype, shape }]) => {
    const data_offsets = [end, end += data.length]
    return [name, { dtype, shape, data_offsets }]
  })
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const length = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer)
  const file = `${yield* fs.makeTempDirectoryScoped()}/a file, [with] dots. and spaces.safetensors`
  yield* fs.writeFile(file, Buffer.concat([length, header, ...Object.values(tensors).map(({ data }) => data)]))
  return file
})

const weightsOf = (file: string) => Effect.map(openSafetensors(file), (source) => Weights.of(source))

// One linear layer of two inputs.
const linearGraph = (weights: Weights, options?: GraphOptions) => {
  const graph = new Graph(options)
  graph.output("y", single(linear(weights, graph.input("x", "float32", ["batch", "rows", 2]))))
  return graph
}

layer(layerModels())("graphs", (it) => {
  const product = Effect.fnUntraced(function*(weight: Stored, others: Readonly<Record<string, Stored>> = {}) {
    const file = yield* written({ weight, ...others })
    const x = { dims: [1, 2, 2], values: [1, 0, 0, 1] }
    return (yield* computed(linearGraph(yield* weightsOf(file)), { x }, { y: [1, 2, 2] }))("y")
  })

  // The columns of a 2 x 2 matrix, by the identity.
  const transposed = [1, -2, 0.5, 448]
  const inRows = [1, 0.5, -2, 448]

  it.effect.each<readonly [type: string, bytes: Uint8Array]>([
    ["F64", new Uint8Array(Float64Array.from(inRows).buffer)],
    ["F32", new Uint8Array(Float32Array.from(inRows).buffer)],
    ["F16", Uint8Array.of(0, 0x3C, 0, 0x38, 0, 0xC0, 0, 0x5F)],
    ["BF16", Uint8Array.of(0x80, 0x3F, 0, 0x3F, 0, 0xC0, 0xE0, 0x43)],
    ["F8_E4M3", Uint8Array.of(0x38, 0x30, 0xC0, 0x7E)],
    ["F8_E5M2", Uint8Array.of(0x3C, 0x38, 0xC0, 0x5F)]
  ])("read weights of type %s exactly", ([type, data]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(Array.from(yield* product({ dtype: type, shape: [2, 2], data })), transposed)
    }).pipe(Effect.scoped))

  it.effect.each<readonly [what: string, scale: Readonly<Record<string, Stored>>, expected: ReadonlyArray<number>]>([
    ["one for the tensor", { scale_weight: float32([], [2]) }, [2, -4, 1, 896]],
    ["one for the tensor, by its other name", { weight_scale: float32([1], [2]) }, [2, -4, 1, 896]],
    ["one for each row", { weight_scale: float32([2, 1], [2, 3]) }, [2, -6, 1, 1344]]
  ])("multiply scaled fp8 by its scale: %s", ([, scale, expected]) =>
    Effect.gen(function*() {
      const weight = { dtype: "F8_E4M3", shape: [2, 2], data: Uint8Array.of(0x38, 0x30, 0xC0, 0x7E) }
      assert.deepStrictEqual(Array.from(yield* product(weight, scale)), expected)
    }).pipe(Effect.scoped))

  it.effect("that are seamless read across the edges", () =>
    Effect.gen(function*() {
      // The pixel to the left of each.
      const left = [0, 0, 0, 1, 0, 0, 0, 0, 0]
      const weights = yield* weightsOf(yield* written({ weight: float32([1, 1, 3, 3], left) }))
      const shifted = Effect.fnUntraced(function*(seamless: boolean) {
        const graph = new Graph({ seamless })
        graph.output("y", conv(weights, graph.input("x", "float32", ["batch", 1, "height", "width"])))
        const output = yield* computed(graph, { x: { dims: [1, 1, 2, 3], values: [1, 2, 3, 4, 5, 6] } }, {
          y: [1, 1, 2, 3]
        })
        return Array.from(output("y"))
      })
      assert.deepStrictEqual(yield* shifted(false), [0, 1, 2, 0, 4, 5])
      assert.deepStrictEqual(yield* shifted(true), [3, 1, 2, 6, 4, 5])
    }).pipe(Effect.scoped))

  it.effect("take float32 and give float32 where they compute in float16", () =>
    Effect.gen(function*() {
      const weights = yield* weightsOf(yield* written({ weight: float32([2, 2], [1, 0.5, 2 ** -12, 1]) }))
      const graph = new Graph({ arithmetic: "float16" })
      const x = graph.input("x", "float32", ["batch", 2])
      const y = linear(weights, real(x))
      assert.strictEqual(y.type, "float16")
      graph.output("y", single(y))
      const output = yield* computed(graph, { x: { dims: [1, 2], values: [1, 1] } }, { y: [1, 2] })
      for (const [i, value] of [1.5, 1 + 2 ** -12].entries()) assert.closeTo(output("y")[i] ?? NaN, value, 2 ** -10)
    }).pipe(Effect.scoped))

  it.effect("take any number of rows, each computed as it is alone", () =>
    Effect.gen(function*() {
      const file = yield* written({ weight: float32([2, 2], inRows) })
      const run = yield* opening(linearGraph(yield* weightsOf(file)))
      for (const rows of [1, 3, 5]) {
        const x = { dims: [rows, 1, 2], values: Array.from({ length: 2 * rows }, () => 1) }
        const output = yield* run({ x }, { y: [rows, 1, 2] })
        assert.deepStrictEqual(Array.from(output("y")), Array.from({ length: rows }, () => [1.5, 446]).flat())
      }
    }).pipe(Effect.scoped))

  it.effect("open where a file of theirs was written at the very end of a millisecond", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* written({ weight: float32([2, 2], inRows) })
      // 73 ns before its end, which a double of milliseconds cannot say.
      yield* fs.utimes(file, 1_790_000_000.001, 1_790_000_000.001)
      const graph = linearGraph(yield* weightsOf(file)).file()
      const { inputs } = yield* (yield* Networks).open({ file, graph })
      assert.deepStrictEqual(inputs.map(({ name }) => name), ["x"])
    }).pipe(Effect.scoped))

  it.effect("are refused when a file of theirs is no longer what it was, rather than ending the process", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* written({ weight: float32([2, 2], inRows) })
      const graph = linearGraph(yield* weightsOf(file)).file()
      const open = (yield* Networks).open({ file, graph })
      yield* Effect.scoped(Effect.gen(function*() {
        const [x, y] = [TensorBuffer.make("float32", [1, 1, 2]), TensorBuffer.make("float32", [1, 1, 2])]
        const { run } = yield* TensorBuffer.bind(yield* open, { inputs: { x }, outputs: { y } })
        yield* run
        yield* fs.truncate(file, 0)
        const error = yield* Effect.flip(run)
        assert.strictEqual(error._tag, "NetworkLoadError")
        assert.include(error.message, "was changed after it was read; load the model again")
      }))
      yield* fs.remove(file)
      assert.include((yield* Effect.flip(open)).message, "was removed")
    }).pipe(Effect.scoped))
})
