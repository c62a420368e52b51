import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { readFileSync } from "node:fs"
import * as Onnx from "../../../src/models/onnx/Onnx.ts"
import { skeleton } from "../../../src/models/onnx/skeleton.ts"
import { sketched } from "../../../src/models/onnx/slicedAttention.ts"
import { withOverhead, workingMemory } from "../../../src/models/onnx/workingMemory.ts"
import { embedded, platform } from "../fixtures.ts"
import * as GraphBuilder from "./GraphBuilder.ts"

const MiB = 2 ** 20

/** An embedded network, for latents of so many rows and values. */
const embeddedNetwork = {
  unet: (rows: number, side: number) => ({
    sample: [rows, 4, side, side],
    timestep: [1],
    encoder_hidden_states: [rows, 77, 128]
  }),
  vae_decoder: (rows: number, side: number) => ({ latent_sample: [rows, 4, side, side] }),
  vae_encoder: (rows: number, side: number) => ({ sample: [rows, 3, side * 8, side * 8] })
}

const needed = (part: keyof typeof embeddedNetwork, rows: number, side: number) =>
  workingMemory(Onnx.read(skeleton(`${embedded}/${part}/model.onnx`)), embeddedNetwork[part](rows, side))

describe("the memory of a call", () => {
  // Growth of the resident size by one call, onnxruntime 1.30, Linux x64.
  it.each(
    [
      ["unet", 2, 32, 41],
      ["unet", 1, 64, 305],
      ["unet", 2, 64, 610],
      ["unet", 4, 64, 1217],
      ["unet", 1, 96, 1548],
      ["unet", 1, 128, 4784],
      ["vae_decoder", 1, 64, 68],
      ["vae_decoder", 1, 96, 171],
      ["vae_decoder", 1, 128, 273],
      ["vae_encoder", 1, 64, 38],
      ["vae_encoder", 1, 128, 145]
    ] as const
  )(
    "of %s with %i rows of %i latent values a side is what was measured, with a little to spare",
    (part, rows, side, measured) => {
      const bytes = withOverhead(needed(part, rows, side) ?? NaN) / MiB
      assert.isAtLeast(bytes, measured)
      assert.isAtMost(bytes, measured * 1.25 + 32)
    }
  )

  // The same, of the denoiser with its attention in slices.
  it.each([[2, 64, 118], [1, 128, 133]] as const)(
    "of unet in slices with %i rows of %i latent values a side is what was measured, with a little to spare",
    (rows, side, measured) => {
      const model = sketched(Onnx.read(skeleton(`${embedded}/unet/model.onnx`)))
      const bytes = withOverhead(workingMemory(model, embeddedNetwork.unet(rows, side)) ?? NaN) / MiB
      assert.isAtLeast(bytes, measured)
      assert.isAtMost(bytes, measured * 1.25 + 32)
    }
  )

  it("of attention grows with the square of the positions, and with the rows", () => {
    const { constant, input, node, output, toFile } = GraphBuilder.make()
    const x = input("x", "float32", ["batch", "positions", 8])
    const across = constant(Onnx.tensor("float32", [8, 8], new Float32Array(64)))
    const scores = node("MatMul", [node("MatMul", [x, across]), node("Transpose", [x], { perm: { ints: [0, 2, 1] } })])
    output("y", node("MatMul", [node("Softmax", [scores], { axis: { int: -1 } }), x]), "float32", [
      "batch",
      "positions",
      8
    ])
    const model = Onnx.read(toFile())
    const small = workingMemory(model, { x: [1, 1024, 8] }) ?? NaN
    // Scores before and after the softmax.
    assert.closeTo(small / (2 * 4 * 1024 ** 2), 1, 0.02)
    assert.closeTo((workingMemory(model, { x: [1, 4096, 8] }) ?? NaN) / small, 16, 0.5)
    assert.closeTo((workingMemory(model, { x: [3, 1024, 8] }) ?? NaN) / small, 3, 0.01)
  })

  it("is unknown where an operator is, or the size of an input", () => {
    const { input, node, output, toFile } = GraphBuilder.make()
    output("y", node("NonMaxSuppression", [input("x", "float32", ["n"])]), "float32", ["n"])
    const model = Onnx.read(toFile())
    assert.isUndefined(workingMemory(model, { x: [4] }))
    assert.isUndefined(workingMemory(model, {}))
  })
})

describe("the structure of a file", () => {
  it("has the nodes, shapes and small numbers of the whole file, in a fraction of its bytes", () => {
    const path = `${embedded}/unet/model.onnx`
    const whole = readFileSync(path)
    const bytes = skeleton(path)
    assert.isBelow(bytes.length, whole.length / 20)
    const [left, right] = [Onnx.read(whole).graph, Onnx.read(bytes).graph]
    assert.deepStrictEqual(
      left.nodes.map(({ op, inputs }) => [op, inputs]),
      right.nodes.map(({ op, inputs }) => [op, inputs])
    )
    assert.deepStrictEqual(
      left.initializers.map(({ dims, name }) => [name, dims]),
      right.initializers.map(({ dims, name }) => [name, dims])
    )
    assert.deepStrictEqual(left.inputs.map(({ dims }) => dims), right.inputs.map(({ dims }) => dims))
  })

  it.effect("of a truncated file cannot be read", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dir = yield* fs.makeTempDirectoryScoped()
      const whole = readFileSync(`${embedded}/unet/model.onnx`)
      for (const length of [1, 3, 1000, whole.length - 1]) {
        yield* fs.writeFile(`${dir}/cut.onnx`, whole.subarray(0, length))
        assert.throws(() => skeleton(`${dir}/cut.onnx`), /it is truncated|not an ONNX file/)
      }
    }).pipe(Effect.provide(platform)))
})
