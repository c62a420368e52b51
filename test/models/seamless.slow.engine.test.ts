import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { Networks, type OpenOptions } from "../../src/models/Networks.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import { seamless } from "../../src/models/seamless.ts"
import * as TensorBuffer from "../../src/models/TensorBuffer.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { embedded, platform } from "./fixtures.ts"
import * as GraphBuilder from "./onnx/GraphBuilder.ts"

type Dims = readonly [batch: number, channels: number, height: number, width: number]

const wave = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + i * i * 0.01))

const sizeOf = (dims: Dims) => dims.reduce((product, dim) => product * dim, 1)

/** Moves rows down and columns right; what leaves on one side comes in on the other. */
const rolled = (values: Float32Array, [batch, channels, height, width]: Dims, down: number, right: number) => {
  const moved = new Float32Array(values.length)
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        moved[(plane * height + (y + down) % height) * width + (x + right) % width] =
          values[(plane * height + y) * width + x] ?? NaN
      }
    }
  }
  return moved
}

const furthest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? NaN))), 0)

/** A network with one image in and one out, as a function. */
const opened = Effect.fnUntraced(function*(
  file: string,
  options: OpenOptions,
  names: { readonly input: string; readonly output: string; readonly others?: (batch: number) => Others },
  input: Dims,
  output: Dims
) {
  const network = yield* (yield* Networks).open(file, options)
  const from = TensorBuffer.make("float32", input)
  const to = TensorBuffer.make("float32", output)
  const call = yield* network.bind({
    inputs: { [names.input]: from.tensor, ...names.others?.(input[0]) },
    outputs: { [names.output]: to.tensor }
  })
  return (values: Float32Array) =>
    Effect.gen(function*() {
      from.values.set(values)
      yield* call.run
      return to.values.slice()
    })
})

type Others = Readonly<Record<string, TensorBuffer.TensorBuffer["tensor"]>>

const written = Effect.fnUntraced(function*(bytes: Uint8Array, name = "model.onnx") {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* fs.makeTempDirectoryScoped()}/${name}`
  yield* fs.writeFile(file, bytes)
  return file
})

/** One convolution `[channels, channels, kernel, kernel]`, with an operator before and after it. */
const convolution = (
  channels: number,
  kernel: number,
  attributes: Readonly<Record<string, Onnx.Attribute>>,
  opset?: number
) => {
  const graph = GraphBuilder.make()
  const x = graph.input("x", "float32", ["batch", channels, "height", "width"])
  const weights = graph.constant(
    Onnx.tensor("float32", [channels, channels, kernel, kernel], wave(channels * channels * kernel ** 2))
  )
  const bias = graph.constant(Onnx.tensor("float32", [channels], wave(channels)))
  const y = graph.node("Conv", [graph.node("Neg", [x]), weights, bias], attributes)
  graph.output("y", graph.node("Tanh", [y]), "float32", ["batch", channels, "high", "wide"])
  return graph.toFile(opset)
}

const ints = (...values: ReadonlyArray<number>): Onnx.Attribute => ({ ints: values })

const xy = { input: "x", output: "y" }

const networks = Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads: 1 })), Layer.provideMerge(platform))

layer(networks)("a network opened seamless", (it) => {
  it.effect("reads the far side where it would read zeros", () =>
    Effect.gen(function*() {
      const graph = GraphBuilder.make()
      const x = graph.input("x", "float32", [1, 1, "height", "width"])
      // Each value becomes its left neighbour plus ten times its upper one.
      const weights = graph.constant(Onnx.tensor("float32", [1, 1, 3, 3], [0, 10, 0, 1, 0, 0, 0, 0, 0]))
      graph.output("y", graph.node("Conv", [x, weights], { pads: ints(1, 1, 1, 1) }), "float32", [1, 1, "h", "w"])
      const file = yield* written(graph.toFile())
      const image = Float32Array.of(1, 2, 3, 4, 5, 6)
      const dims: Dims = [1, 1, 2, 3]
      const plain = yield* opened(file, {}, xy, dims, dims)
      const circular = yield* opened(file, { seamless: true }, xy, dims, dims)
      assert.deepStrictEqual([...yield* plain(image)], [0, 1, 2, 10, 24, 35])
      assert.deepStrictEqual([...yield* circular(image)], [43, 51, 62, 16, 24, 35])
    }))

  for (
    const [name, kernel, attributes, opset] of [
      ["3 x 3", 3, { pads: ints(1, 1, 1, 1) }, 17],
      ["5 x 5", 5, { pads: ints(2, 2, 2, 2) }, 17],
      ["dilated", 3, { pads: ints(2, 2, 2, 2), dilations: ints(2, 2) }, 17],
      ["padded more in one direction", 3, { pads: ints(2, 1, 2, 1), dilations: ints(2, 1) }, 10],
      ["padded in one direction", 3, { pads: ints(0, 1, 0, 1), strides: ints(1, 1) }, 11]
    ] as const
  ) {
    it.effect(`with a convolution that is ${name} moves its output along with its input`, () =>
      Effect.gen(function*() {
        const file = yield* written(convolution(3, kernel, attributes, opset))
        const dims: Dims = [2, 3, 6, 7]
        const out: Dims = [2, 3, name === "padded in one direction" ? 4 : 6, 7]
        const image = wave(sizeOf(dims))
        const plain = yield* opened(file, {}, xy, dims, out)
        const circular = yield* opened(file, { seamless: true }, xy, dims, out)
        const down = out[2] === dims[2] ? [0, 1, 5] : [0]
        for (const [y, x] of down.flatMap((y) => [1, 4].map((x) => [y, x] as const))) {
          const moved = rolled(image, dims, y, x)
          assert.isBelow(furthest(yield* circular(moved), rolled(yield* circular(image), out, y, x)), 1e-6)
          assert.isAbove(furthest(yield* plain(moved), rolled(yield* plain(image), out, y, x)), 0.01)
        }
      }))
  }

  const vae = { input: "latent_sample", output: "sample" }
  it.effect("decodes a rolled latent into the rolled image", () =>
    Effect.gen(function*() {
      const latent: Dims = [1, 4, 12, 16]
      const image: Dims = [1, 3, 96, 128]
      const file = `${embedded}/vae_decoder/model.onnx`
      const decode = yield* opened(file, { seamless: true }, vae, latent, image)
      const plain = yield* opened(file, {}, vae, latent, image)
      const values = wave(sizeOf(latent))
      const moved = rolled(values, latent, 5, 3)
      assert.isBelow(furthest(yield* decode(moved), rolled(yield* decode(values), image, 40, 24)), 1e-4)
      assert.isAbove(furthest(yield* plain(moved), rolled(yield* plain(values), image, 40, 24)), 0.1)
    }))

  it.effect("denoises a rolled latent into the rolled prediction", () =>
    Effect.gen(function*() {
      const dims: Dims = [2, 4, 16, 16]
      const others = (batch: number): Others => {
        const timestep = TensorBuffer.make("int64", [1])
        timestep.values[0] = 500
        timestep.push()
        const states = TensorBuffer.make("float32", [batch, 77, 128])
        states.values.set(wave(states.values.length))
        return { timestep: timestep.tensor, encoder_hidden_states: states.tensor }
      }
      const names = { input: "sample", output: "out_sample", others }
      const file = `${embedded}/unet/model.onnx`
      const denoise = yield* opened(file, { seamless: true }, names, dims, dims)
      const plain = yield* opened(file, {}, names, dims, dims)
      const values = wave(sizeOf(dims))
      // Two latent values are one at the network's inner, halved size.
      const moved = rolled(values, dims, 6, 10)
      assert.isBelow(furthest(yield* denoise(moved), rolled(yield* denoise(values), dims, 6, 10)), 1e-4)
      assert.isAbove(furthest(yield* plain(moved), rolled(yield* plain(values), dims, 6, 10)), 0.01)
    }))

  it.effect("finds weights in files next to it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const model = Onnx.read(convolution(3, 3, { pads: ints(1, 1, 1, 1) }))
      const data: Array<Uint8Array> = []
      let offset = 0
      const initializers = model.graph.initializers.map((tensor): Onnx.Tensor => {
        if (!(tensor.data instanceof Uint8Array)) return tensor
        const { length } = tensor.data
        data.push(tensor.data)
        offset += length
        return { ...tensor, data: { location: "model.onnx_data", offset: offset - length, length } }
      })
      const bytes = Onnx.write({ ...model, graph: { ...model.graph, initializers } })
      const file = yield* written(bytes)
      yield* fs.writeFile(`${file}_data`, Buffer.concat(data))
      assert.lengthOf(data, 2)
      const dims: Dims = [1, 3, 4, 4]
      const inside = yield* written(convolution(3, 3, { pads: ints(1, 1, 1, 1) }))
      const a = yield* opened(file, { seamless: true }, xy, dims, dims)
      const b = yield* opened(inside, { seamless: true }, xy, dims, dims)
      assert.deepStrictEqual(yield* a(wave(48)), yield* b(wave(48)))

      yield* fs.remove(`${file}_data`)
      const error = yield* Effect.flip(Effect.flatMap(Networks, ({ open }) => open(file, { seamless: true })))
      assert.strictEqual(error._tag, "NetworkLoadError")
      assert.include(error.message, `The network ${file} does not load`)
    }))

  it.effect("has names for what it adds that the file does not have yet", () =>
    Effect.gen(function*() {
      const graph = GraphBuilder.make()
      const x = graph.input("seamless_1", "float32", [1, 1, 1, "width"])
      const weights = graph.constant(Onnx.tensor("float32", [1, 1, 1, 3], [1, 0, 0]))
      graph.output("seamless__2", graph.node("Conv", [x, weights], { pads: ints(0, 1, 0, 1) }), "float32", [1, 1, 1, 3])
      const file = yield* written(graph.toFile())
      const dims: Dims = [1, 1, 1, 3]
      const run = yield* opened(file, { seamless: true }, { input: "seamless_1", output: "seamless__2" }, dims, dims)
      assert.deepStrictEqual([...yield* run(Float32Array.of(1, 2, 3))], [3, 1, 2])
    }))

  it.effect("is another one than the plain one, and both may be open at once", () =>
    Effect.gen(function*() {
      const file = yield* written(convolution(1, 3, { pads: ints(1, 1, 1, 1) }))
      const dims: Dims = [1, 1, 4, 4]
      const plain = yield* opened(file, {}, xy, dims, dims)
      const circular = yield* opened(file, { seamless: true }, xy, dims, dims)
      const before = yield* plain(wave(16))
      assert.isAbove(furthest(before, yield* circular(wave(16))), 0.01)
      assert.deepStrictEqual(yield* plain(wave(16)), before)
    }))

  it.effect("names the file that cannot be read, and says why", () =>
    Effect.gen(function*() {
      const { open } = yield* Networks
      const fails = Effect.fnUntraced(function*(bytes: Uint8Array) {
        const file = yield* written(bytes)
        const error = yield* Effect.flip(open(file, { seamless: true }))
        assert.strictEqual(error._tag, "NetworkLoadError")
        assert.include(error.message, file)
        return error.message
      })
      assert.include(yield* fails(new TextEncoder().encode("<html>")), "it is not an ONNX file")
      assert.include(yield* fails(convolution(1, 3, { pads: ints(1, 1, 1, 1) }).slice(0, -9)), "it is truncated")
      assert.include(yield* fails(convolution(1, 3, { pads: ints(1, 1, 1, 1) }, 9)), "need version 10 or later")
      const nowhere = yield* Effect.flip(open("/nowhere/model.onnx", { seamless: true }))
      assert.strictEqual(nowhere._tag, "NetworkLoadError")
    }))
})

describe("a file made seamless", () => {
  it("is the same one when no convolution pads both sides alike", () => {
    for (
      const attributes of [
        {},
        { pads: ints(0, 0, 0, 0) },
        // A padding of down-sampling that was merged into its convolution.
        { pads: ints(0, 0, 1, 1), strides: ints(2, 2) },
        { auto_pad: { string: "SAME_UPPER" } }
      ]
    ) {
      const file = convolution(2, 3, attributes)
      assert.strictEqual(seamless(file), file)
    }
    const graph = GraphBuilder.make()
    const x = graph.input("x", "float32", [1, 1, "length"])
    const line = graph.node("Conv", [x, graph.constant(Onnx.tensor("float32", [1, 1, 3], [1, 2, 3]))], {
      pads: ints(1, 1)
    })
    const square = graph.node("Reshape", [line, graph.constant(Onnx.tensor("int64", [4], [1, 1, 1, -1]))])
    const weights = graph.constant(Onnx.tensor("float32", [1, 1, 3, 3], wave(9)))
    const up = graph.node("ConvTranspose", [square, weights], { pads: ints(1, 1, 1, 1) })
    graph.output("y", up, "float32", [1, 1, "h", "w"])
    const file = graph.toFile()
    assert.strictEqual(seamless(file), file)
  })

  it("keeps the bytes of its weights", () => {
    const changed = Buffer.from(seamless(convolution(3, 3, { pads: ints(1, 1, 1, 1) })))
    assert.isTrue(changed.includes(Buffer.from(wave(81).buffer)))
  })
})
