import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as DiffusionPipeline from "../../../src/diffusion/DiffusionPipeline.ts"
import { ImageDecoder } from "../../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../../src/images/ImageEncoder.ts"
import { Img2Img, Txt2Img } from "../../../src/processing/Processing.ts"
import { processImages } from "../../../src/runner/processImages.ts"
import { RunnerHooks } from "../../../src/runner/RunnerHooks.ts"
import * as MemoryBlobStore from "../../../src/runs/MemoryBlobStore.ts"
import * as MemoryRunStore from "../../../src/runs/MemoryRunStore.ts"
import { RunQueue, type RunQueueOptions } from "../../../src/server/host/RunQueue.ts"
import { runOf } from "../../../src/server/v1/RunView.ts"
import { Faults, ModelFaults, TestModel, TestRuntime } from "../../../src/testing/index.ts"
import * as PlainEncoder from "../../../src/testing/PlainEncoder.ts"
import { until } from "../serving.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const request = (seed: number, more: Parameters<typeof Txt2Img.make>[0] = {}) =>
  Txt2Img.make({ prompt: "a cat", seed, steps: 2, width: 64, height: 64, ...more })

const layer = (options: RunQueueOptions = {}, runtime: TestRuntime.LayerOptions = {}) =>
  RunQueue.layer(options).pipe(
    Layer.provide(
      Layer.fresh(Layer.mergeAll(ImageDecoder.layer, PlainEncoder.layer, MemoryRunStore.layer, MemoryBlobStore.layer))
    ),
    Layer.provide(TestRuntime.layer(runtime))
  )

/** A pipeline that writes no image before it is released. */
const hangingFiles = Effect.gen(function*() {
  const released = yield* Latch.make()
  let writing = 0
  const encoder = Layer.succeed(ImageEncoder, {
    encode: (...image) =>
      Effect.andThen(
        Effect.andThen(Effect.sync(() => writing++), released.await),
        PlainEncoder.encode(...image)
      ),
    warm: () => Effect.void
  })
  return {
    pipeline: DiffusionPipeline.layer.pipe(Layer.provide(encoder)),
    /** Waits until so many runs write their images. */
    writing: (count: number) => until(Effect.sync(() => writing), (runs) => runs === count),
    release: released.open
  }
})

/** Counts the denoising calls of a model. */
const counting = (model: ReturnType<typeof TestModel.make>) => {
  const counted = { calls: 0 }
  return {
    counted,
    model: {
      ...model,
      denoising: (shape: Parameters<typeof model.denoising>[0]) =>
        Effect.map(model.denoising(shape), (call) => ({
          ...call,
          run: (t: number) => Effect.suspend(() => (counted.calls++, call.run(t)))
        }))
    }
  }
}

const seeds = ({ images }: { readonly images: ReadonlyArray<{ readonly seed: number | bigint }> }) =>
  images.map(({ seed }) => seed)

describe("RunQueue", () => {
  it.live("runs one after the other, in the order in which they came", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* Faults.hang("execute")
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const done: Array<string> = []
        const taken = yield* Effect.forEach(["a", "b", "c"], (taskId, i) => queue.submitWaiting(request(i), { taskId }))
        const waiting = yield* Effect.forEach(taken, ({ result, run }) =>
          Effect.forkChild(Effect.tap(result, () => Effect.sync(() => done.push(run.taskId ?? "")))))
        yield* hanging
        const status = Effect.map(queue.list, (all) =>
          all.map(({ status }) => status))
        assert.deepStrictEqual((yield* status).map(({ _tag }) => _tag), ["Running", "Queued", "Queued"])
        assert.deepStrictEqual((yield* status)[2], { _tag: "Queued", ahead: 2 })
        yield* release
        yield* Effect.forEach(waiting, Fiber.join)
        assert.deepStrictEqual(done, ["a", "b", "c"])
        assert.deepStrictEqual((yield* status).map(({ _tag }) => _tag), ["Done", "Done", "Done"])
      }).pipe(Effect.provide(layer({}, { faults: [fault] })))
    }))

  it.live("runs as many at once as it may", () =>
    Effect.gen(function*() {
      const { fault, release } = yield* Faults.hang("execute")
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        yield* Effect.forEach([1, 2, 3], (seed) => queue.submitWaiting(request(seed)))
        assert.deepStrictEqual((yield* queue.list).map(({ status }) => status._tag), ["Running", "Running", "Queued"])
        yield* release
      }).pipe(Effect.provide(layer({ concurrency: 2 }, { faults: [fault] })))
    }))

  it.live("prepares the next run while one decodes, and writes the images of one while the next has the networks", () =>
    Effect.gen(function*() {
      const { hanging, fault, release } = yield* ModelFaults.hang("decode", { times: 1 })
      const files = yield* hangingFiles
      const { counted, model } = counting(fault(TestModel.make()))
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const tags = Effect.map(queue.list, (all) => all.map(({ status }) => status._tag))
        const current = Effect.map(queue.current, (run) => Option.getOrUndefined(run)?.id)
        const [first, second, third] = [
          yield* queue.submitWaiting(request(1)),
          yield* queue.submitWaiting(request(2)),
          yield* queue.submitWaiting(request(3))
        ]
        yield* hanging
        const prepared = yield* until(
          queue.get(second.run.id),
          (run) => Option.exists(run, ({ status }) => status._tag === "Running" && status.progress?.passCount === 1)
        )
        assert.isTrue(Option.isSome(prepared))
        assert.deepStrictEqual(yield* tags, ["Running", "Running", "Queued"])
        assert.strictEqual(counted.calls, 2)
        assert.strictEqual(yield* current, first.run.id)
        yield* release
        // The first one is found until its images are written. No third one begins before that.
        yield* files.writing(2)
        assert.strictEqual(counted.calls, 4)
        assert.deepStrictEqual(yield* tags, ["Running", "Running", "Queued"])
        assert.isTrue(yield* queue.cancel(first.run.id))
        yield* files.release
        assert.strictEqual((yield* Effect.flip(first.result))._tag, "RunCancelled")
        assert.deepStrictEqual(seeds(yield* second.result), [2])
        assert.deepStrictEqual(seeds(yield* third.result), [3])
      }).pipe(Effect.provide(layer({}, { model, pipeline: files.pipeline })))
    }))

  it.live("shows the run that has the networks, and waits at the end for those that write their images", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 2 })
      const files = yield* hangingFiles
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const first = yield* queue.submitWaiting(request(1, { steps: 1 }))
        const second = yield* queue.submitWaiting(request(2, { steps: 5 }))
        yield* files.writing(1)
        yield* hanging
        assert.deepStrictEqual(Option.map(yield* queue.current, ({ id }) => id), Option.some(second.run.id))
        assert.isTrue(yield* queue.interrupt(second.run.id))
        const draining = yield* Effect.forkChild(queue.drain(0), { startImmediately: true })
        yield* release
        yield* files.writing(2)
        assert.isUndefined(draining.pollUnsafe())
        yield* files.release
        const [one, other] = [yield* first.result, yield* second.result]
        assert.deepStrictEqual([one.interrupted, other.interrupted], [false, true])
        yield* Fiber.join(draining)
      }).pipe(Effect.provide(layer({}, { model: fault(TestModel.make()), pipeline: files.pipeline })))
    }))

  it.live("refuses what the queue has no place for, and takes it when there is one again", () =>
    Effect.gen(function*() {
      const { fault, release } = yield* Faults.hang("execute")
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const first = yield* queue.submitWaiting(request(1))
        yield* queue.submitWaiting(request(2))
        const full = yield* Effect.flip(queue.submitWaiting(request(3)))
        assert.strictEqual(full._tag, "QueueFull")
        if (full._tag === "QueueFull") assert.isAtLeast(full.retryAfter, 1)
        yield* release
        yield* first.result
        const again = yield* queue.submitWaiting(request(3))
        assert.deepStrictEqual(seeds(yield* again.result), [3])
      }).pipe(Effect.provide(layer({ queue: 1 }, { faults: [fault] })))
    }))

  it.live("gives other work a place: it waits for its turn, counts against the queue, and is in no list", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* Faults.hang("execute")
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const done: Array<string> = []
        const work = (name: string) => queue.occupy(Effect.sync(() => done.push(name)))
        const { result } = yield* queue.submitWaiting(request(1))
        yield* hanging
        const given = yield* Effect.forkChild(work("given up"), { startImmediately: true })
        assert.strictEqual((yield* Effect.flip(queue.submitWaiting(request(2))))._tag, "QueueFull")
        yield* Fiber.interrupt(given)
        const waiting = yield* Effect.forkChild(work("waited"), { startImmediately: true })
        assert.strictEqual((yield* Effect.flip(work("refused")))._tag, "QueueFull")
        assert.lengthOf(yield* queue.list, 1)
        assert.deepStrictEqual(done, [])
        yield* release
        yield* Fiber.join(waiting)
        assert.deepStrictEqual(done, ["waited"])
        assert.deepStrictEqual(seeds(yield* result), [1])
        const holding = yield* Effect.forkChild(queue.occupy(Effect.never), { startImmediately: true })
        const next = yield* queue.submitWaiting(request(3))
        assert.deepStrictEqual((yield* queue.list).map(({ status }) => status._tag), ["Done", "Queued"])
        yield* Fiber.interrupt(holding)
        assert.deepStrictEqual(seeds(yield* next.result), [3])
      }).pipe(Effect.provide(layer({ queue: 1 }, { faults: [fault] })))
    }))

  it.live("cancels a run that waits, and one that runs; the next one is unharmed", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const [first, second, third] = [
          yield* queue.submitWaiting(request(1)),
          yield* queue.submitWaiting(request(2)),
          yield* queue.submitWaiting(request(3))
        ]
        yield* hanging
        assert.isTrue(yield* queue.cancel(second.run.id))
        assert.strictEqual((yield* Effect.flip(second.result))._tag, "RunCancelled")
        assert.isTrue(yield* queue.cancel(first.run.id))
        assert.strictEqual((yield* Effect.flip(first.result))._tag, "RunCancelled")
        yield* release
        assert.deepStrictEqual(seeds(yield* third.result), [3])
        assert.isFalse(yield* queue.cancel(third.run.id))
        assert.isFalse(yield* queue.cancel("nobody"))
      }).pipe(Effect.provide(layer({}, { model: fault(TestModel.make()) })))
    }))

  it.live("gives what an interrupted run has, and goes on after a skipped batch", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const { run, result } = yield* queue.submitWaiting(request(1, { n_iter: 2, steps: 5 }), { taskId: "task" })
        yield* hanging
        assert.isTrue(yield* queue.interrupt("task"))
        yield* release
        const processed = yield* result
        assert.isTrue(processed.interrupted)
        assert.deepStrictEqual(processed.images.map(({ complete }) => complete), [false])
        assert.deepStrictEqual(
          Option.map(yield* queue.get(run.id), ({ status }) => status),
          Option.some({ _tag: "Done" as const, interrupted: true })
        )
      }).pipe(Effect.provide(layer({}, { model: fault(TestModel.make()) })))
    }))

  it.effect("asks a run that takes too long to give what it has", () =>
    Effect.gen(function*() {
      const queue = yield* RunQueue
      const { result } = yield* queue.submitWaiting(request(1, { steps: 20 }))
      const waiting = yield* Effect.forkChild(result)
      yield* TestClock.adjust("1 minute")
      const { images, interrupted } = yield* Fiber.join(waiting)
      assert.isTrue(interrupted)
      assert.deepStrictEqual(images.map(({ complete }) => complete), [false])
    }).pipe(Effect.provide(layer({ maxRunSeconds: 5 }, { model: TestModel.make({ stepDuration: "1 second" }) }))))

  it.effect("outlives jumps of the clock: no run is lost, and no progress leaves its bounds", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-01-01T00:00:00Z"))
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      const queue = yield* Layer.build(layer({}, { model: fault(TestModel.make()) })).pipe(
        Effect.map((context) => Context.get(context, RunQueue))
      )
      const running = yield* queue.submitWaiting(request(1), { keep: true })
      const waiting = yield* queue.submitWaiting(request(2), { keep: true })
      yield* hanging
      for (
        const time of ["2025-12-31T23:00:00Z", "2025-12-31T22:30:00Z", "2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z"]
      ) {
        yield* TestClock.setTime(Date.parse(time))
        const seen = yield* queue.list
        assert.deepStrictEqual(seen.map(({ id }) => id), [running.run.id, waiting.run.id], time)
        for (const run of seen) {
          const { status } = runOf(run, Date.parse(time))
          if (status._tag !== "Running") continue
          assert.isAtLeast(status.progress.eta, 0)
          assert.isAtLeast(status.progress.fraction, 0)
          assert.isAtMost(status.progress.fraction, 1)
        }
      }
      // The clock goes back between the end of the runs and now.
      yield* release
      assert.deepStrictEqual(seeds(yield* running.result), [1])
      assert.deepStrictEqual(seeds(yield* waiting.result), [2])
      yield* TestClock.setTime(Date.parse("2025-12-31T23:30:00Z"))
      const later = yield* queue.submitWaiting(request(3))
      assert.deepStrictEqual(seeds(yield* later.result), [3])
      // And far forward: what has ended is forgotten, and the queue still works.
      yield* TestClock.adjust("4 hours")
      assert.deepStrictEqual(yield* queue.list, [])
      assert.deepStrictEqual(seeds(yield* (yield* queue.submitWaiting(request(4))).result), [4])
    }))

  it.live("tells what a run failed with, and runs the next one", () =>
    Effect.gen(function*() {
      const queue = yield* RunQueue
      const failed = yield* queue.submitWaiting(request(1))
      assert.strictEqual((yield* Effect.flip(failed.result))._tag, "NetworkThreadDied")
      const next = yield* queue.submitWaiting(request(2))
      assert.deepStrictEqual(seeds(yield* next.result), [2])
    }).pipe(Effect.provide(layer({}, { model: ModelFaults.threadDied({ step: 1 })(TestModel.make()) }))))

  it.live("keeps results that are asked to be kept, as many as fit", () =>
    Effect.gen(function*() {
      const { images: [one] } = yield* Effect.provide(processImages(request(1)), TestRuntime.layer())
      const size = one?.bytes.length ?? 0
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const run = Effect.fnUntraced(function*(seed: number, keep: boolean) {
          const { run, result } = yield* queue.submitWaiting(request(seed), { keep })
          yield* result
          return run.id
        })
        const [dropped, first, second] = [yield* run(1, false), yield* run(2, true), yield* run(3, true)]
        assert.isTrue(Option.isNone(yield* queue.result(dropped)))
        assert.deepStrictEqual(Option.map(yield* queue.result(first), seeds), Option.some([2]))
        const third = yield* run(4, true)
        assert.isTrue(Option.isNone(yield* queue.result(first)))
        assert.deepStrictEqual(Option.map(yield* queue.result(second), seeds), Option.some([3]))
        assert.deepStrictEqual(Option.map(yield* queue.result(third), seeds), Option.some([4]))
        yield* run(5, false)
        yield* run(6, false)
        yield* run(7, false)
        assert.lengthOf(yield* queue.list, 5)
      }).pipe(Effect.provide(layer({ keepInMemory: { bytes: size * 2.5, runs: 5 } })))
    }))

  it.live("lets go of init images and pixels when a run ends, whether its result is kept or not", () => {
    let seenPixels: Array<WeakRef<Uint8Array>> = []
    const watching = RunnerHooks.layer({
      onFinalize: (_, { images }) =>
        Effect.sync(() => {
          seenPixels = images.map(({ pixels }) => new WeakRef(pixels))
        })
    })
    return Effect.gen(function*() {
      const queue = yield* RunQueue
      // A function of its own, so that nothing here refers to what it has seen.
      const pixels = Effect.fnUntraced(function*(keep: boolean) {
        const { result } = yield* queue.submitWaiting(request(1), { keep })
        yield* result
        return seenPixels
      })
      const inputs = Effect.gen(function*() {
        const image = new Uint8Array(1000)
        const { result } = yield* queue.submitWaiting(Img2Img.make({ prompt: "no image", init_images: [image] }))
        assert.strictEqual((yield* Effect.flip(result))._tag, "InvalidProcessing")
        return new WeakRef(image)
      })
      const seen = [...yield* pixels(false), ...yield* pixels(true), yield* inputs]
      assert.lengthOf(seen, 3)
      // Collected in a later turn, when the fibers of the runs have ended.
      yield* until(
        Effect.sync(() => {
          collectGarbage()
          return seen.filter((bytes) => bytes.deref() !== undefined)
        }),
        (held) => held.length === 0
      )
      assert.lengthOf(yield* queue.list, 3)
    }).pipe(Effect.provide(layer({}, { hooks: watching })))
  })

  it.live("shows a run from its place in the queue to its end", () =>
    Effect.gen(function*() {
      const { fault, release } = yield* Faults.hang("execute")
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        yield* queue.submitWaiting(request(1))
        const { run } = yield* queue.submitWaiting(request(2))
        const tags: Array<string> = []
        const watching = yield* Effect.forkChild(
          Stream.runForEach(queue.watch(run.id), ({ status }) => Effect.sync(() => tags.push(status._tag)))
        )
        yield* until(Effect.sync(() => tags.length), (count) => count > 0)
        yield* release
        yield* Fiber.join(watching)
        assert.strictEqual(tags[0], "Queued")
        assert.include(tags, "Running")
        assert.strictEqual(tags.at(-1), "Done")
      }).pipe(Effect.provide(layer({}, { faults: [fault] })))
    }))

  it.live("drains: turns away who waits, asks who runs for what there is, and takes nothing more", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      yield* Effect.gen(function*() {
        const queue = yield* RunQueue
        const running = yield* queue.submitWaiting(request(1, { steps: 5 }))
        const waiting = yield* queue.submitWaiting(request(2))
        yield* hanging
        const draining = yield* Effect.forkChild(queue.drain(0))
        assert.strictEqual((yield* Effect.flip(waiting.result))._tag, "ShuttingDown")
        assert.strictEqual((yield* Effect.flip(queue.submitWaiting(request(3))))._tag, "ShuttingDown")
        yield* until(
          queue.current,
          (run) =>
            Option.exists(run, ({ status }) => status._tag === "Running" && status.progress?.interrupted === true)
        )
        yield* release
        assert.isTrue((yield* running.result).interrupted)
        yield* Fiber.join(draining)
      }).pipe(Effect.provide(layer({}, { model: fault(TestModel.make()) })))
    }))
})
