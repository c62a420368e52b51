import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as AdapterFile from "../../../src/models/adapters/AdapterFile.ts"
import { fitted, strengthOf } from "../../../src/models/adapters/fitted.ts"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import { Graph } from "../../../src/models/graph/Graph.ts"
import { conv, linear } from "../../../src/models/graph/layers.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { safetensors, type Written } from "../checkpoint/safetensorsFile.ts"
import { layerModels } from "../fixtures.ts"
import { opening } from "../networks/references.ts"
import { largestDifference } from "../numbers.ts"

const count = (shape: ReadonlyArray<number>) => shape.reduce((product, size) => product * size, 1)

/** A tensor of made-up numbers, the same for the same seed. */
const tensor = (seed: number, ...shape: ReadonlyArray<number>): Written => ({
  shape,
  values: Array.from({ length: count(shape) }, (_, i) => Math.fround(Math.sin(seed * 7 + i * 1.7) * 0.8))
})

/** A product of matrices, row by row. */
const times = (a: Written, b: Written): Written => {
  const [rows = 1, inner = 1] = a.shape
  const columns = count(b.shape) / inner
  return {
    shape: [rows, columns],
    values: Array.from({ length: rows * columns }, (_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns]
      return Array.from(
        { length: inner },
        (_, k) => (a.values[row * inner + k] ?? 0) * (b.values[k * columns + column] ?? 0)
      )
        .reduce((sum, value) => sum + value, 0)
    })
  }
}

const sum = (a: Written, b: Written, factor = 1): Written => ({
  shape: a.shape,
  values: Array.from(a.values, (value, i) => value + factor * (b.values[i] ?? 0))
})

const first = ({ shape: [rows = 1, columns = 1], values }: Written, height: number, width: number): Written => ({
  shape: [height, width],
  values: Array.from({ length: rows * columns }, (_, i) => i)
    .filter((i) => i / columns < height && i % columns < width)
    .map((i) => values[i] ?? 0)
})

const name = "lora_unet_layer_0"
type Tensors = Readonly<Record<string, Written>>

layer(layerModels())("a weight with an adapter's change in it", (it) => {
  const write = Effect.fnUntraced(function*(file: string, tensors: Tensors) {
    const fs = yield* FileSystem.FileSystem
    const path = (yield* Path.Path).join(yield* fs.makeTempDirectoryScoped(), file)
    yield* fs.writeFile(path, safetensors(tensors))
    return path
  })
  const lay = Effect.fnUntraced(function*(weight: Written, adapter: Tensors, ranks?: number) {
    const source = yield* openSafetensors(yield* write("base.safetensors", { "layer.0.weight": weight }))
    const opened = yield* AdapterFile.open(
      yield* write(
        "lora.safetensors",
        Object.fromEntries(Object.entries(adapter).map(([role, one]) => [`${name}.${role}`, one]))
      )
    )
    const { changes, warnings } = fitted(
      [{ name: "x", opened, ranks }],
      new Map([
        ["unet", [{ layer: "layer.0", names: ["layer.0"], shape: weight.shape }]]
      ])
    )
    return { w: Weights.of(source).changed(changes.get("unet") ?? new Map()).at("layer.0"), warnings }
  })
  // The weight that a layer uses, by what it makes of each input alone.
  const used = Effect.fnUntraced(function*(weight: Written, adapter: Tensors, strength: number, ranks?: number) {
    const { w, warnings } = yield* lay(weight, adapter, ranks)
    assert.deepStrictEqual(warnings, [])
    const [rows = 1, columns = 1, ...kernel] = weight.shape
    const graph = new Graph()
    const x = graph.input("x", "float32", ["n", columns, ...kernel])
    graph.output("y", kernel.length === 0 ? linear(w, x) : conv(w, x))
    const run = yield* opening(graph)
    const identity = Array.from({ length: columns ** 2 }, (_, i) => i % (columns + 1) === 0 ? 1 : 0)
    const found = yield* run({
      x: { dims: [columns, columns, ...kernel], values: identity },
      [strengthOf(0)]: { dims: [], values: [strength] }
    }, { y: [columns, rows, ...kernel] })
    const y = found("y")
    return Float32Array.from(
      { length: rows * columns },
      (_, i) => y[(i % columns) * rows + Math.floor(i / columns)] ?? NaN
    )
  }, Effect.scoped)
  const expect = (found: Float32Array, { values }: Written) =>
    assert.isBelow(largestDifference(found, Float32Array.from(values)), 2e-6)

  const weight = tensor(1, 6, 4)
  const [up, down] = [tensor(2, 6, 3), tensor(3, 3, 4)]
  const lora = { "lora_up.weight": up, "lora_down.weight": down }

  it.effect("counts the first ranks alone, and divides alpha by all of them", () =>
    Effect.gen(function*() {
      const found = yield* used(weight, { ...lora, alpha: { shape: [], values: [1.5] } }, 0.8, 2)
      expect(found, sum(weight, times(first(up, 6, 2), first(down, 2, 4)), 0.8 * 0.5))
    }))

  it.effect("takes a scale that the file states for alpha over rank", () =>
    Effect.gen(function*() {
      const found = yield* used(weight, { ...lora, scale: { shape: [1], values: [0.25] } }, 2)
      expect(found, sum(weight, times(up, down), 0.5))
    }))

  it.effect("has the bias of LoRA's second half, which goes through the same scale", () =>
    Effect.gen(function*() {
      const bias = tensor(12, 6)
      const found = yield* used(weight, {
        "lora_A.weight": down,
        "lora_B.weight": up,
        "lora_B.bias": bias,
        alpha: { shape: [], values: [6] }
      }, 0.5)
      // Each input alone gives its column and the bias.
      const columns = { shape: [6, 4], values: Array.from({ length: 24 }, (_, i) => bias.values[i >> 2] ?? 0) }
      expect(found, sum(weight, sum(times(up, down), columns), 0.5 * 2))
    }))

  it.effect("leaves inputs that it does not know as they are: an inputs' layer of nine channels", () =>
    Effect.gen(function*() {
      const nine = tensor(4, 6, 9, 1, 1)
      const found = yield* used(nine, {
        "lora_up.weight": tensor(2, 6, 3, 1, 1),
        "lora_down.weight": tensor(3, 3, 4, 1, 1)
      }, 1)
      const change = times(up, down).values
      const padded = Array.from({ length: 54 }, (_, i) => i % 9 < 4 ? change[Math.floor(i / 9) * 4 + i % 9] ?? 0 : 0)
      expect(found, sum(nine, { shape: nine.shape, values: padded }))
    }))

  it.effect.each(["newer", "older"])("is GLoRA's, by the %s order of its tensors", (order) =>
    Effect.gen(function*() {
      const [a, b, c, d] = [tensor(5, 4, 2), tensor(6, 2, 4), tensor(7, 6, 2), tensor(8, 2, 4)]
      const [one, two] = order === "newer" ? ["1", "2"] : ["2", "1"]
      const found = yield* used(weight, {
        [`a${one}.weight`]: a,
        [`a${two}.weight`]: b,
        [`b${one}.weight`]: c,
        [`b${two}.weight`]: d,
        alpha: { shape: [1], values: [1] }
      }, 0.7)
      expect(found, sum(weight, sum(times(times(weight, a), b), times(c, d)), 0.35))
    }))

  // Cayley's rotation of pairs of rows by blocks [n, 2, 2], whose one free number is q: forwards or backwards.
  const turned = (of: Written, blocks: Written, pairs: ReadonlyArray<readonly [number, number]>, sign: number) => {
    const [, width = 1] = of.shape
    const values = Array.from(of.values)
    for (const [block, [one, other]] of pairs.entries()) {
      const q = sign * ((blocks.values[block * 4 + 1] ?? 0) - (blocks.values[block * 4 + 2] ?? 0))
      const [cos, sin] = [(1 - q * q) / (1 + q * q), 2 * q / (1 + q * q)]
      for (let column = 0; column < width; column++) {
        const [a, b] = [of.values[one * width + column] ?? 0, of.values[other * width + column] ?? 0]
        values[one * width + column] = cos * a + sin * b
        values[other * width + column] = cos * b - sin * a
      }
    }
    return { shape: of.shape, values }
  }

  it.effect("is turned by blocks of rows, in a straight line from the old weight to the new one", () =>
    Effect.gen(function*() {
      const [eight, blocks, rescale] = [tensor(9, 8, 3), tensor(10, 4, 2, 2), tensor(13, 8, 1)]
      const free = turned(eight, blocks, [[0, 1], [2, 3], [4, 5], [6, 7]], -1)
      const whole = {
        shape: free.shape,
        values: free.values.map((value, i) => value * (rescale.values[Math.floor(i / 3)] ?? 0))
      }
      const found = yield* used(eight, { oft_blocks: blocks, rescale }, 0.6)
      expect(found, sum(eight, sum(whole, eight, -1), 0.6))
    }))

  it.effect("is turned by a butterfly's stages, each of which pairs rows of twice the distance", () =>
    Effect.gen(function*() {
      const [eight, blocks] = [tensor(9, 8, 3), tensor(11, 2, 4, 2, 2)]
      const [near, far] = [0, 16].map((from) => ({
        shape: [4, 2, 2],
        values: Array.from(blocks.values).slice(from, from + 16)
      }))
      const once = turned(eight, near ?? blocks, [[0, 1], [2, 3], [4, 5], [6, 7]], 1)
      const twice = turned(once, far ?? blocks, [[0, 2], [1, 3], [4, 6], [5, 7]], 1)
      expect(yield* used(eight, { oft_blocks: blocks }, 1), twice)
    }))

  it.effect("stays as it is under what does not fit, with the reason", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [tensors: Tensors, reason: RegExp]> = [
        [{ ...lora, "lora_down.weight": tensor(3, 3, 5) }, /its change is \[6, 5\], where the layer is \[6, 4\]/],
        [{ ...lora, "lora_down.weight": tensor(3, 2, 4) }, /its tensors do not fit each other/],
        [{ ...lora, alpha: { shape: [2], values: [1, 1] } }, /its alpha is not one finite number/],
        [{ ...lora, alpha: { shape: [], values: [NaN] } }, /its alpha is not one finite number/],
        [{ ...lora, dora_scale: tensor(3, 2, 4) }, /its norms are \[2, 4\]/],
        [{ "lora_up.weight": up, "lora_down.weight": { shape: [0, 4], values: [] } }, /is empty/],
        [{ "lora_up.weight": up }, /make up no change/],
        [{ oft_blocks: tensor(3, 2, 2, 2) }, /it turns 4 rows, where the layer has 6/],
        [{ oft_blocks: tensor(3, 2, 3) }, /its blocks are of a shape that is not read/],
        [
          { oft_blocks: { shape: [1, 640, 640], values: new Float32Array(640 ** 2) } },
          /blocks have 640 rows, and .* 512/
        ],
        [{ ...lora, diff_b: tensor(3, 5) }, /it has 5 numbers for the bias of 6/]
      ]
      for (const [tensors, reason] of cases) {
        const { w, warnings } = yield* lay(weight, tensors)
        assert.deepStrictEqual(w.changes, [])
        assert.strictEqual(warnings.length, 1)
        assert.match(warnings[0] ?? "", reason)
      }
    }).pipe(Effect.scoped))
})
