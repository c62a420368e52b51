import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { Worker } from "node:worker_threads"
import * as NetworksModule from "../../src/models/Networks.ts"
import { Networks, type OpenOptions } from "../../src/models/Networks.ts"
import * as TensorBuffer from "../../src/models/TensorBuffer.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { embedded, platform } from "./fixtures.ts"

/** The real threads, with what they tell of their sessions written down. */
const watchedNetworks = (lowvram: boolean, told: Array<number>, threads: Array<Worker> = []) =>
  Layer.effect(
    Networks,
    NetworksModule.make(() => {
      const worker = new Worker(new URL("../../src/models/networkThread.ts", import.meta.url))
      worker.on("message", (message: object) => {
        if ("sessions" in message && typeof message.sessions === "number") told.push(message.sessions)
      })
      threads.push(worker)
      return worker
    })
  ).pipe(Layer.provide(CommandOptions.layer({ threads: 1, lowvram })), Layer.provideMerge(platform))

const bound = Effect.fnUntraced(function*(
  file: string,
  inputs: Readonly<Record<string, TensorBuffer.TensorBuffer>>,
  outputs: Readonly<Record<string, TensorBuffer.TensorBuffer>>,
  options: OpenOptions = {}
) {
  const network = yield* (yield* Networks).open(file, options)
  const tensors = (buffers: Readonly<Record<string, TensorBuffer.TensorBuffer>>) =>
    Object.fromEntries(Object.entries(buffers).map(([name, { tensor }]) => [name, tensor]))
  const { run } = yield* network.bind({ inputs: tensors(inputs), outputs: tensors(outputs) })
  return { network, run }
})

const wave = (buffer: TensorBuffer.TensorBuffer) => {
  for (let i = 0; i < buffer.values.length; i++) buffer.values[i] = Math.sin(i)
  buffer.push()
  return buffer
}

const decoder = `${embedded}/vae_decoder/model.onnx`

const decoding = Effect.fnUntraced(function*(options: OpenOptions = {}, file = decoder) {
  const image = TensorBuffer.make("float32", [1, 3, 32, 32])
  const latent = wave(TensorBuffer.make("float32", [1, 4, 4, 4]))
  return { image, ...(yield* bound(file, { latent_sample: latent }, { sample: image }, options)) }
})

/** What the networks of a run give when they take turns, as bytes. */
const program = Effect.gen(function*() {
  const out = TensorBuffer.make("float32", [1, 4, 4, 4])
  const unet = yield* bound(`${embedded}/unet/model.onnx`, {
    sample: wave(TensorBuffer.make("float32", [1, 4, 4, 4])),
    timestep: TensorBuffer.make("int64", [1]),
    encoder_hidden_states: wave(TensorBuffer.make("float32", [1, 77, 128]))
  }, { out_sample: out })
  const plain = yield* decoding()
  const tile = yield* decoding({ seamless: true })
  const preview = yield* decoding({ background: true })
  const results: Array<Float32Array> = []
  for (
    const { run, values } of [
      { run: unet.run, values: out.values },
      { run: unet.run, values: out.values },
      { run: plain.run, values: plain.image.values },
      { run: preview.run, values: preview.image.values },
      { run: unet.run, values: out.values },
      { run: tile.run, values: tile.image.values },
      { run: plain.run, values: plain.image.values }
    ]
  ) {
    values.fill(0)
    yield* run
    results.push(values.slice())
  }
  return Buffer.concat(results.map(({ buffer }) => new Uint8Array(buffer)))
}).pipe(Effect.scoped)

const sessionsOpen = Effect.map(Metric.snapshot, (all) => {
  const gauge = all.find(({ id }) => id === "serena_network_sessions_open")
  return gauge?.type === "Gauge" ? Number(gauge.state.value) : NaN
})

describe("with little memory", () => {
  it.effect("networks give the same bytes, with never more than one in memory", () =>
    Effect.gen(function*() {
      const many: Array<number> = []
      const expected = yield* program.pipe(Effect.provide(watchedNetworks(false, many)))
      assert.strictEqual(Math.max(...many), 3)

      const few: Array<number> = []
      const threads: Array<Worker> = []
      yield* Effect.gen(function*() {
        assert.isTrue((yield* program).equals(expected))
        assert.strictEqual(threads.length, 1)
        assert.strictEqual(Math.max(...few), 1)
        assert.strictEqual(few.at(-1), 0)
      }).pipe(Effect.provide(watchedNetworks(true, few, threads)))
    }))

  it.effect("a network that is run again without another in between stays", () => {
    const told: Array<number> = []
    return Effect.gen(function*() {
      const { run } = yield* decoding()
      yield* Effect.repeat(run, { times: 3 })
      assert.deepStrictEqual(told, [1])
      assert.strictEqual(yield* sessionsOpen, 1)
      yield* Effect.scoped(decoding())
      assert.deepStrictEqual(told, [1, 0, 1, 0])
      assert.strictEqual(yield* sessionsOpen, 0)
      yield* run
      assert.deepStrictEqual(told, [1, 0, 1, 0, 1])
    }).pipe(Effect.provide(watchedNetworks(true, told)))
  })

  it.effect("calls that are made at the same time wait for each other's network", () => {
    const told: Array<number> = []
    return Effect.gen(function*() {
      const a = yield* decoding()
      const b = yield* decoding({ seamless: true })
      yield* Effect.all([a.run, b.run, a.run, b.run], { concurrency: "unbounded" })
      assert.isTrue(a.image.values.some((value) => value !== 0))
      assert.isTrue(b.image.values.some((value) => value !== 0))
      assert.strictEqual(Math.max(...told), 1)
    }).pipe(Effect.provide(watchedNetworks(true, told)))
  })

  it.effect("a file that is gone when it is needed again is a typed error, and others go on", () => {
    const told: Array<number> = []
    return Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped()}/model.onnx`
      yield* fs.copyFile(decoder, file)
      const gone = yield* decoding({}, file)
      yield* fs.remove(file)
      yield* gone.run
      const { run } = yield* decoding()
      const error = yield* Effect.flip(gone.run)
      assert.strictEqual(error._tag, "NetworkLoadError")
      assert.include(error.message, file)
      yield* run
      assert.strictEqual(yield* sessionsOpen, 1)
    }).pipe(Effect.provide(watchedNetworks(true, told)))
  })

  it.effect("a thread that dies leaves no network in the count", () => {
    const threads: Array<Worker> = []
    return Effect.gen(function*() {
      const { network, run } = yield* decoding()
      yield* run
      assert.strictEqual(yield* sessionsOpen, 1)
      const asked = yield* Effect.forkChild(Effect.flip(Effect.forever(run)), { startImmediately: true })
      // No request at all: the thread throws when it comes to it, between two calls.
      threads[0]?.postMessage(null)
      assert.strictEqual((yield* Fiber.join(asked))._tag, "NetworkThreadDied")
      assert.isFalse(network.isOpen())
      assert.strictEqual(yield* sessionsOpen, 0)
      yield* (yield* decoding()).run
      assert.strictEqual(yield* sessionsOpen, 1)
    }).pipe(Effect.provide(watchedNetworks(true, [], threads)))
  })
})
