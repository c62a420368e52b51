import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { existsSync, readFileSync } from "node:fs"
import type { ElementType, StoredTensor } from "../../../src/models/checkpoint/WeightSource.ts"
import { bytesOf } from "../../../src/models/checkpoint/WeightSource.ts"
import { Graph } from "../../../src/models/graph/Graph.ts"
import { linear } from "../../../src/models/graph/layers.ts"
import { relu } from "../../../src/models/graph/operators.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { layerModels } from "../fixtures.ts"
import { opening } from "./references.ts"

const status = "/proc/self/status"
const MiB = 2 ** 20

/** Bytes that the process has of its own, without the files that it maps. */
const own = (): number => Number(/RssAnon:\s*(\d+)/.exec(readFileSync(status, "utf8"))?.[1]) * 1024

/** Layers of so many numbers on each side: 16 MiB of weights each in float32. */
const side = 2048
const layers = 24

/** A file of as many zeros as the layers have weights, which takes no space. */
const zeros = Effect.fnUntraced(function*(type: ElementType, scaled: boolean) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.realPath(yield* fs.makeTempFileScoped())
  const length = side * side * bytesOf[type]
  yield* fs.truncate(file, layers * length + 4)
  const tensors = new Map<string, StoredTensor>()
  for (let i = 0; i < layers; i++) {
    const [weight, scale] = [`${i}.weight`, `${i}.scale_weight`]
    tensors.set(weight, { name: weight, type, shape: [side, side], file, offset: i * length, length })
    if (scaled) tensors.set(scale, { name: scale, type: "F32", shape: [1], file, offset: layers * length, length: 4 })
  }
  return Weights.of({ tensors, metadata: {}, files: [] })
})

layer(layerModels())("memory of weights", (it) => {
  it.effect.each<readonly [what: string, type: ElementType, scaled: boolean]>([
    ["in float16", "F16", false],
    ["in bfloat16", "BF16", false],
    ["in fp8", "F8_E4M3", false],
    ["in scaled fp8", "F8_E4M3", true]
  ])(
    "%s is that of a few layers, not of all: each is converted when it is used",
    ([, type, scaled], { skip }) =>
      Effect.gen(function*() {
        if (!existsSync(status)) return skip("only Linux tells private memory from mapped files")
        const weights = yield* zeros(type, scaled)
        const graph = new Graph()
        graph.output(
          "y",
          weights.list.reduce((x, w) => relu(linear(w, x)), graph.input("x", "float32", ["rows", side]))
        )
        const before = own()
        const run = yield* opening(graph)
        assert.isBelow(own() - before, 100 * MiB, "after opening")
        yield* run({ x: { dims: [1, side], values: new Float32Array(side) } }, { y: [1, side] })
        // The allocator keeps what the call took at its peak. All layers at once would take 384 MiB.
        assert.isBelow(own() - before, 200 * MiB, "after a call")
      }).pipe(Effect.scoped)
  )
})
