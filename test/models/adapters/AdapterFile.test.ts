import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { InvalidModelFile } from "../../../src/model/ModelError.ts"
import * as AdapterFile from "../../../src/models/adapters/AdapterFile.ts"
import { fitted } from "../../../src/models/adapters/fitted.ts"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import { Graph } from "../../../src/models/graph/Graph.ts"
import { conv, linear } from "../../../src/models/graph/layers.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { unetLayers } from "../../../src/models/networks/layerNames.ts"
import { contents, matching, unpack } from "../checkpoint/data.ts"

describe("an adapter's file", () => {
  it.effect("of every layout is read by its header and a few numbers: each layer with its tensors", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("adapters/*.safetensors")
      for (const name of matching("adapters/*.safetensors").filter((name) => !name.includes(".cases."))) {
        const { layers, unknown } = yield* AdapterFile.open(join(folder, name))
        assert.deepStrictEqual(unknown, [], name)
        assert.deepStrictEqual(layers.filter(({ problem }) => problem !== undefined), [], name)
        assert.isAbove(layers.length, 19, name)
      }
      const { layers } = yield* AdapterFile.open(join(folder, "adapters/sd1-peft-metadata.safetensors"))
      assert.deepStrictEqual([...new Set(layers.map(({ alpha }) => alpha))], [1.5])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("that is a checkpoint, or no file of weights, is refused", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("checkpoints/sd15.safetensors")
      const checkpoint = yield* Effect.flip(AdapterFile.open(join(folder, "checkpoints/sd15.safetensors")))
      assert.include(checkpoint.message, "it holds no LoRA or other adapter")
      const text = join(folder, "text.safetensors")
      writeFileSync(text, "<html>not found</html>")
      assert.instanceOf(yield* Effect.flip(AdapterFile.open(text)), InvalidModelFile)
      assert.instanceOf(yield* Effect.flip(AdapterFile.open(join(folder, "missing.safetensors"))), InvalidModelFile)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("with any header opens or is refused with the typed error, and what fits can be built", () =>
    Effect.gen(function*() {
      const folder = yield* unpack("checkpoints/sd15.safetensors")
      const base = yield* openSafetensors(join(folder, "checkpoints/sd15.safetensors"))
      const weights = Weights.of(base, "model.diffusion_model.")
      const layers = unetLayers(weights)
      let state = 20261129
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return state % below
      }
      const seen = { refused: 0, warned: 0, built: 0 }
      for (const id of ["sd1-locon", "sd1-loha", "sd1-lokr", "sd1-dora", "sd1-oft", "sd1-full-and-norm"]) {
        for (let i = 0; i < 4; i++) {
          const path = join(folder, "adapters", `${id}-${i}.safetensors`)
          mkdirSync(dirname(path), { recursive: true })
          writeFileSync(path, mutated(contents(`adapters/${id}.safetensors`), random))
          const result = yield* Effect.match(AdapterFile.open(path), { onFailure: (e) => e, onSuccess: (file) => file })
          if (result instanceof InvalidModelFile) {
            seen.refused++
            continue
          }
          const { changes, warnings } = fitted(
            [{ name: id, opened: result, ranks: 1 + random(4) }],
            new Map([["unet", layers]])
          )
          seen.warned += Math.min(1, warnings.length)
          const own = changes.get("unet") ?? new Map()
          const changed = weights.changed(own)
          for (const { layer, shape } of layers.filter(({ layer }) => own.has(layer))) {
            const w = changed.at(layer)
            const [, inputs = 1] = shape
            const graph = new Graph()
            if (shape.length === 1) continue
            if (shape.length === 2) linear(w, graph.input("x", "float32", ["n", inputs]))
            else conv(w, graph.input("x", "float32", ["n", inputs, "h", "w"]))
            assert.isAbove(graph.file().bytes.length, 0)
            seen.built++
          }
        }
      }
      for (const count of Object.values(seen)) assert.isAbove(count, 0)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

// A file with some of its tensors renamed, turned round, of another type, or cut off.
const mutated = (bytes: Uint8Array<ArrayBuffer>, random: (below: number) => number): Uint8Array => {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
  const header: Record<string, { dtype: string; shape: Array<number> }> = JSON.parse(
    Buffer.from(bytes.subarray(8, 8 + length)).toString()
  )
  const names = Object.keys(header).filter((name) => name !== "__metadata__")
  for (let edits = 1 + random(6); edits > 0; edits--) {
    const name = names[random(names.length)] ?? ""
    const tensor = header[name]
    if (tensor === undefined) continue
    const edit = random(6)
    if (edit === 0) tensor.shape = tensor.shape.toReversed()
    if (edit === 1) tensor.shape = [tensor.shape.reduce((product, size) => product * size, 1)]
    if (edit === 2) tensor.dtype = tensor.dtype === "F16" ? "I16" : "I32"
    if (edit === 3) tensor.shape = [1, ...tensor.shape]
    if (edit === 4) tensor.shape = [...tensor.shape, 2]
    if (edit === 5) {
      delete header[name]
      header[name.replace(/[^.]+$/, "alpha")] = tensor
    }
  }
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  const file = Buffer.concat([size, text, bytes.subarray(8 + length)])
  return random(8) === 0 ? file.subarray(0, random(file.length)) : file
}
