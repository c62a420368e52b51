import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import { fromFloat16, toFloat16 } from "../../src/core/float16.ts"
import * as NetworksModule from "../../src/models/Networks.ts"
import { Networks } from "../../src/models/Networks.ts"
import { startAhead } from "../../src/models/networkWorker.ts"
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import * as TensorBuffer from "../../src/models/TensorBuffer.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { mainThreadShare } from "../mainThread.ts"
import { embedded, platform } from "./fixtures.ts"
import * as GraphBuilder from "./onnx/GraphBuilder.ts"

const unet = `${embedded}/unet/model.onnx`

// The real thread, in a place where a test can end it.
const layerWatched = (threads: Array<Worker>) =>
  Layer.effect(
    Networks,
    NetworksModule.make(() => {
      const worker = new Worker(new URL("../../src/models/networkThread.ts", import.meta.url))
      threads.push(worker)
      return worker
    })
  ).pipe(Layer.provide(CommandOptions.layer({ threads: 1 })))

const bindUnet = Effect.fnUntraced(function*(batch = 2) {
  const network = yield* (yield* Networks).open(unet)
  const sample = TensorBuffer.make("float32", [batch, 4, 16, 16])
  const timestep = TensorBuffer.make("int64", [1])
  const states = TensorBuffer.make("float32", [batch, 77, 128])
  const out = TensorBuffer.make("float32", [batch, 4, 16, 16])
  const call = yield* network.bind({
    inputs: { sample: sample.tensor, timestep: timestep.tensor, encoder_hidden_states: states.tensor },
    outputs: { out_sample: out.tensor }
  })
  return { ...call, network, out: out.values, sample: sample.values }
})

describe("Networks", () => {
  it.effect("reads and writes shared buffers in place", () =>
    Effect.gen(function*() {
      const { out, run, sample } = yield* bindUnet()
      sample.fill(0.5)
      assert.isTrue(out.every((value) => value === 0))
      yield* run
      assert.isTrue(out.some((value) => value !== 0))
      const first = out.slice()
      yield* run
      assert.deepStrictEqual(out.slice(), first)
    }).pipe(Effect.provide(layerWatched([]))))

  it.effect("says which inputs and outputs a network has, and of which type", () =>
    Effect.gen(function*() {
      const { inputs, outputs } = yield* (yield* Networks).open(unet)
      assert.deepStrictEqual(inputs.map(({ name, type }) => [name, type]), [
        ["sample", "float32"],
        ["timestep", "int64"],
        ["encoder_hidden_states", "float32"]
      ])
      assert.deepStrictEqual(outputs.map(({ name }) => name), ["out_sample"])
    }).pipe(Effect.provide(layerWatched([]))))

  it.effect("starts no thread before a network is opened, and one for all", () => {
    const threads: Array<Worker> = []
    return Effect.gen(function*() {
      const { open } = yield* Networks
      assert.strictEqual(threads.length, 0)
      yield* Effect.all([open(unet), open(`${embedded}/vae_decoder/model.onnx`)], { concurrency: 2 })
      assert.strictEqual(threads.length, 1)
    }).pipe(Effect.provide(layerWatched(threads)))
  })

  it.effect("takes networks that were opened ahead, and closes those of a model that is not used", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const copied = Effect.fnUntraced(function*(part: string) {
        yield* fs.makeDirectory(`${folder}/${part}`)
        yield* fs.copyFile(`${embedded}/vae_decoder/model.onnx`, `${folder}/${part}/model.onnx`)
        return `${folder}/${part}/model.onnx`
      })
      const [first, second, third] = [yield* copied("first"), yield* copied("second"), yield* copied("third")]
      startAhead([first, second])
      const { open } = yield* Networks
      yield* open(third)
      yield* Effect.forEach([first, second], (file) => fs.remove(file))
      assert.deepStrictEqual((yield* open(first)).outputs.map(({ name }) => name), ["sample"])
      yield* open(`${embedded}/vae_decoder/model.onnx`)
      assert.strictEqual((yield* Effect.flip(open(second)))._tag, "NetworkLoadError")
    }).pipe(Effect.scoped, Effect.provide([platform, Layer.provide(Networks.layer, CommandOptions.layer())])))

  it.effect("runs what is in the background in a thread apart, without a turn among the others", () => {
    const threads: Array<Worker> = []
    return Effect.gen(function*() {
      const { run } = yield* bindUnet(16)
      const decoder = yield* (yield* Networks).open(`${embedded}/vae_decoder/model.onnx`, { background: true })
      const latent = TensorBuffer.make("float32", [1, 4, 2, 2])
      const image = TensorBuffer.make("float32", [1, 3, 16, 16])
      const preview = yield* decoder.bind({
        inputs: { latent_sample: latent.tensor },
        outputs: { sample: image.tensor }
      })
      const runs = yield* Effect.forkChild(Effect.all([run, run, run]), { startImmediately: true })
      yield* preview.run
      assert.isUndefined(runs.pollUnsafe())
      assert.isTrue(image.values.some((value) => value !== 0))
      assert.strictEqual(threads.length, 2)
      yield* Fiber.join(runs)
    }).pipe(Effect.provide(layerWatched(threads)))
  })

  it.effect("ends its thread, and all networks with it, when the layer's scope closes", () => {
    const threads: Array<Worker> = []
    return Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const { run } = yield* bindUnet()
        yield* run
        assert.notStrictEqual(threads[0]?.threadId, -1)
      }).pipe(Effect.scoped, Effect.provide(layerWatched(threads)))
      assert.strictEqual(threads[0]?.threadId, -1)
    })
  })

  it.effect("fails with a typed error when its thread dies in a call, and goes on with a new thread", () => {
    const threads: Array<Worker> = []
    return Effect.gen(function*() {
      const { network, run } = yield* bindUnet()
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.forever(run)), { startImmediately: true })
      // No request at all: the thread throws when it comes to it, between two calls. Ending it from outside, in the
      // middle of native code, would end the whole process.
      threads[0]?.postMessage(null)
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "NetworkThreadDied")
      assert.isFalse(network.isOpen())
      assert.strictEqual((yield* Effect.flip(run))._tag, "NetworkThreadDied")

      const again = yield* bindUnet()
      yield* again.run
      assert.strictEqual(threads.length, 2)
    }).pipe(Effect.provide(layerWatched(threads)))
  })

  it.effect("gives a typed error for buffers of a wrong shape, and stays usable", () =>
    Effect.gen(function*() {
      const network = yield* (yield* Networks).open(unet)
      const wrong = TensorBuffer.make("float32", [1, 3])
      const call = yield* network.bind({ inputs: { sample: wrong.tensor }, outputs: { out_sample: wrong.tensor } })
      const error = yield* Effect.flip(call.run)
      assert.strictEqual(error._tag, "InferenceError")
      assert.include(error.message, unet)
      const { run } = yield* bindUnet()
      yield* run
    }).pipe(Effect.provide(layerWatched([]))))

  it.effect("is interrupted only after the call in flight has ended", () =>
    Effect.gen(function*() {
      const { out, run, sample } = yield* bindUnet(16)
      sample.fill(0.5)
      const begun = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(Effect.andThen(Deferred.succeed(begun, undefined), run), {
        startImmediately: true
      })
      yield* Deferred.await(begun)
      assert.isTrue(out.every((value) => value === 0))
      yield* Fiber.interrupt(fiber)
      const written = out.slice()
      assert.isTrue(written.some((value) => value !== 0))
    }).pipe(Effect.provide(layerWatched([]))))

  it.effect("leaves a waiting call at once when that is interrupted", () =>
    Effect.gen(function*() {
      const a = yield* bindUnet(16)
      const b = yield* bindUnet(1)
      b.sample.fill(0.5)
      const first = yield* Effect.forkChild(a.run, { startImmediately: true })
      const second = yield* Effect.forkChild(b.run, { startImmediately: true })
      yield* Fiber.interrupt(second)
      yield* Fiber.join(first)
      assert.isTrue(b.out.every((value) => value === 0))
    }).pipe(Effect.provide(layerWatched([]))))

  it.live("leaves the main thread free", () =>
    Effect.gen(function*() {
      const { run } = yield* bindUnet(8)
      yield* run
      assert.isBelow(yield* mainThreadShare(Effect.repeat(run, { times: 19 })), 0.25)
    }).pipe(Effect.provide(layerWatched([]))))

  it.effect("takes a fraction of the memory for a large call, whose attention it computes in slices", () =>
    Effect.gen(function*() {
      const network = yield* (yield* Networks).open(unet)
      const needed = (rows: number, side: number) =>
        Effect.map(
          network.estimate({
            sample: [rows, 4, side, side],
            timestep: [1],
            encoder_hidden_states: [rows, 77, 128]
          }),
          (estimate) => (estimate?.needed ?? NaN) / 2 ** 20
        )
      // In their scores alone: 64, 512 and 8192 MiB.
      assert.isBelow(yield* needed(2, 32), 100)
      assert.isBelow(yield* needed(2, 64), 300)
      assert.isBelow(yield* needed(2, 128), 400)
    }).pipe(Effect.provide(layerWatched([]))))

  it.effect("says what a call takes at least where its graph does not, once a smaller one was measured", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const graph = GraphBuilder.make()
      const x = graph.input("x", "float32", ["batch", 4, "height", "width"])
      // The size of what `NonZero` makes is in no shape.
      const found = graph.node("Cast", [graph.node("NonZero", [x])], { to: { int: Onnx.typeNumber("float32") } })
      graph.output("y", graph.node("Add", [x, graph.node("ReduceMin", [found])]), "float32", [
        "batch",
        4,
        "height",
        "width"
      ])
      const file = `${yield* fs.makeTempDirectoryScoped()}/model.onnx`
      yield* fs.writeFile(file, graph.toFile())
      const network = yield* (yield* Networks).open(file)
      assert.isUndefined(yield* network.estimate({ x: [1, 4, 2048, 2048] }))

      const [from, to] = [
        TensorBuffer.make("float32", [1, 4, 1024, 1024]),
        TensorBuffer.make("float32", [1, 4, 1024, 1024])
      ]
      from.values.fill(1)
      yield* TensorBuffer.run(network, { inputs: { x: from }, outputs: { y: to } })
      assert.isUndefined(yield* network.estimate({ x: [1, 4, 1024, 1024] }))
      const estimate = yield* network.estimate({ x: [1, 4, 2048, 2048] })
      assert.isTrue(estimate?.isLeast)
      // Four int64 and four float32 numbers for each of 4M values, and that four times.
      assert.isAbove(estimate?.needed ?? NaN, 4 * 128 * 2 ** 20)
    }).pipe(Effect.provide([layerWatched([]), platform])))
})

describe("float16", () => {
  it("is the nearest half of every number", () => {
    for (let half = 0; half < 0x1_0000; half++) {
      const value = fromFloat16(half)
      if (Number.isNaN(value)) continue
      assert.strictEqual(toFloat16(value), half)
    }
    assert.strictEqual(fromFloat16(toFloat16(65_520)), Infinity)
    assert.strictEqual(fromFloat16(toFloat16(1 + 2 ** -11)), 1)
    assert.strictEqual(fromFloat16(toFloat16(1 + 3 * 2 ** -11)), 1 + 2 ** -9)
    assert.isNaN(fromFloat16(toFloat16(NaN)))
  })
})
