import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as Onnx from "../../../src/models/onnx/Onnx.ts"
import { find, merged, placesOf } from "../../../src/models/onnx/tokenMerging.ts"
import { largestDifference, wave } from "../numbers.ts"
import * as GraphBuilder from "./GraphBuilder.ts"

const channels = 12
const scale = 1 / Math.sqrt(channels)

/** Weights `[channels, channels]` of queries, keys, values and the result, in this order. */
const weights = [0.31, 0.47, 0.59, 0.83].map((step) => wave(channels * channels, step).map((value) => value * 0.2))

/** A network of one transformer block's attention among pixels: `x + attend(norm(x))` of `sample` `[b, c, h, w]`. */
const network = ({ reads = "itself" }: { readonly reads?: "itself" | "text" | "its size" } = {}) => {
  const graph = GraphBuilder.make()
  const whole = (...values: ReadonlyArray<number>) => graph.constant(Onnx.tensor("int64", [values.length], values))
  const sample = graph.input("sample", "float32", ["batch", channels, "height", "width"])
  const tokens = graph.node("Transpose", [graph.node("Reshape", [sample, whole(0, channels, -1)])], {
    perm: { ints: [0, 2, 1] }
  })
  const ones = graph.constant(Onnx.tensor("float32", [channels], new Float32Array(channels).fill(1)))
  const normed = graph.node("LayerNormalization", [tokens, ones], { axis: { int: -1 } })
  const context = reads === "text" ? graph.input("text", "float32", ["batch", 7, channels]) : normed
  const linear = (x: string, i: number) =>
    graph.node("MatMul", [x, graph.constant(Onnx.tensor("float32", [channels, channels], weights[i] ?? []))])
  const [query, key, value] = [linear(normed, 0), linear(context, 1), linear(context, 2)]
  const scores = graph.node("MatMul", [query, graph.node("Transpose", [key], { perm: { ints: [0, 2, 1] } })])
  const scaled = graph.node("Mul", [scores, graph.constant(Onnx.tensor("float32", [], [scale]))])
  const attended = graph.node("MatMul", [graph.node("Softmax", [scaled], { axis: { int: -1 } }), value])
  const shaped = reads === "its size" ? graph.node("Reshape", [attended, graph.node("Shape", [tokens])]) : attended
  graph.output("out", graph.node("Add", [tokens, linear(shaped, 3)]), "float32", ["batch", "tokens", channels])
  return graph.toFile()
}

type Rows = ReadonlyArray<ReadonlyArray<number>>

const times = (x: Rows, i: number): Rows =>
  x.map((row) =>
    Array.from(
      { length: channels },
      (_, column) => row.reduce((sum, value, at) => sum + value * (weights[i]?.[at * channels + column] ?? NaN), 0)
    )
  )

const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) => a.reduce((sum, v, i) => sum + v * (b[i] ?? NaN), 0)

const layerNorm = (row: ReadonlyArray<number>) => {
  const mean = row.reduce((a, b) => a + b, 0) / row.length
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length
  return row.map((value) => (value - mean) / Math.sqrt(variance + 1e-5))
}

const attend = (x: Rows): Rows => {
  const [query, key, value] = [times(x, 0), times(x, 1), times(x, 2)]
  return times(
    query.map((q) => {
      const scores = key.map((k) => Math.exp(dot(q, k) * scale))
      const sum = scores.reduce((a, b) => a + b, 0)
      return q.map((_, c) => scores.reduce((all, score, i) => all + score / sum * (value[i]?.[c] ?? NaN), 0))
    }),
    3
  )
}

/** The paper's bipartite soft matching, as tomesd 0.1.3 has it without randomness, and attention within. */
const reference = (tokens: Rows, height: number, width: number, ratio: number): Rows => {
  const x = tokens.map(layerNorm)
  const isDestination = (token: number) => {
    const [row, column] = [Math.floor(token / width), token % width]
    return row % 2 === 0 && column % 2 === 0 && row < height - height % 2 && column < width - width % 2
  }
  const all = tokens.map((_, token) => token)
  const destinations = all.filter(isDestination)
  const sources = all.filter((token) => !isDestination(token)).map((token) => {
    const similar = destinations.map((other) => {
      const [a = [], b = []] = [tokens[token], tokens[other]]
      return { token, into: other, likeness: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) }
    })
    return similar.reduce((best, each) => each.likeness > best.likeness ? each : best)
  })
  const count = Math.min(sources.length, Math.floor(tokens.length * ratio))
  const gone = new Map(
    sources.toSorted((a, b) => b.likeness - a.likeness).slice(0, count).map(({ into, token }) => [token, into])
  )
  const left = all.filter((token) => !gone.has(token))
  const means = left.map((token) => {
    const group = [token, ...all.filter((other) => gone.get(other) === token)]
    return Array.from(
      { length: channels },
      (_, c) => group.reduce((sum, each) => sum + (x[each]?.[c] ?? NaN), 0) / group.length
    )
  })
  const attended = attend(means)
  return tokens.map((row, token) => {
    const result = attended[left.indexOf(gone.get(token) ?? token)]
    return row.map((value, c) => value + (result?.[c] ?? NaN))
  })
}

const run = (file: Uint8Array, feeds: Record<string, Tensor>) =>
  Effect.promise(async () => {
    const session = await InferenceSession.create(file, { intraOpNumThreads: 2 })
    const { out } = await session.run(feeds)
    await session.release()
    return out?.data instanceof Float32Array ? out.data : assert.fail("the network gave nothing")
  })

const file = network()
const found = find(Onnx.read(file)) ?? assert.fail("no attention was found")
const mergedFile = Onnx.write(merged(Onnx.read(file), found, file))

/** Samples of one size, one after the other. */
const inputOf = (samples: ReadonlyArray<Float32Array>, height: number, width: number) => {
  const values = new Float32Array(samples.length * channels * height * width)
  for (const [i, sample] of samples.entries()) values.set(sample, i * sample.length)
  return { sample: new Tensor("float32", values, [samples.length, channels, height, width]) }
}

/** What the network with merged tokens gives. */
const predict = (samples: ReadonlyArray<Float32Array>, height: number, width: number, ratio: number) => {
  const places = placesOf(found, { height, width }, ratio) ?? assert.fail("no token is merged")
  return run(mergedFile, {
    ...inputOf(samples, height, width),
    ...Object.fromEntries(
      Object.entries(places).map(([name, list]) => [name, new Tensor("int64", list, [list.length])])
    )
  })
}

const sampleOf = (height: number, width: number, step: number) => wave(channels * height * width, step)

describe("tokens that are merged", () => {
  it.effect.each<[height: number, width: number, ratio: number]>([
    [8, 8, 0.5],
    [8, 12, 0.25],
    [6, 4, 0.75],
    [5, 7, 0.5],
    [7, 4, 0.9],
    [2, 2, 0.25]
  ])("give what the paper's algorithm gives: %i x %i, %f", ([height, width, ratio]) =>
    Effect.gen(function*() {
      const samples = [sampleOf(height, width, 0.37), sampleOf(height, width, 0.71)]
      const expected = samples.flatMap((sample) => {
        const area = height * width
        const tokens = Array.from(
          { length: area },
          (_, token) => Array.from({ length: channels }, (_, c) => sample[c * area + token] ?? NaN)
        )
        return reference(tokens, height, width, ratio).flat()
      })
      const made = yield* predict(samples, height, width, ratio)
      assert.isBelow(largestDifference(made, Float32Array.from(expected)), 5e-5)
      const plain = yield* run(file, inputOf(samples, height, width))
      assert.isAbove(largestDifference(made, plain), 1e-3)
    }))

  it.effect("are the same bytes alone and next to others, and where destinations are taken in turns", () =>
    Effect.gen(function*() {
      // 4761 sources and 1587 destinations: more scores than are in memory at once.
      for (const [height, width] of [[8, 8], [92, 69]] as const) {
        const samples = [0.37, 0.71, 0.13].map((step) => sampleOf(height, width, step))
        const together = yield* predict(samples, height, width, 0.5)
        const size = together.length / samples.length
        for (const [i, sample] of samples.entries()) {
          const alone = yield* predict([sample], height, width, 0.5)
          assert.strictEqual(largestDifference(alone, together.subarray(i * size, (i + 1) * size)), 0)
        }
      }
    }))

  it("are those of the finest level, where nothing but the tokens themselves is read", () => {
    assert.deepStrictEqual(found.downsample, 1)
    assert.lengthOf(found.inputs, 1)
    assert.isUndefined(find(Onnx.read(network({ reads: "text" }))))
    assert.isUndefined(find(Onnx.read(network({ reads: "its size" }))))
    assert.isUndefined(find(Onnx.read(network())) && placesOf(found, { height: 1, width: 9 }, 0.5))
    assert.isUndefined(placesOf(found, { height: 4, width: 4 }, 0.05))
  })
})
