import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as RunState from "../../src/runner/RunState.ts"

describe("RunState", () => {
  it.effect("begins waiting, at the time of the clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1234)
      const { progress } = yield* RunState.make("run")
      assert.deepStrictEqual(yield* progress, {
        runId: "run",
        activity: "waiting",
        text: "",
        passesDone: 0,
        passCount: 0,
        samplingStep: 0,
        samplingSteps: 0,
        timeStarted: 1234,
        interrupted: false,
        skipped: false,
        stopping: false,
        preview: undefined,
        images: [],
        extraImages: [],
        ended: false
      })
    }))

  it.effect("keeps what an update does not name", () =>
    Effect.gen(function*() {
      const { progress, update } = yield* RunState.make("run")
      yield* update({ activity: "sampling", samplingSteps: 20 })
      yield* update({ samplingStep: 3 })
      const { activity, runId, samplingStep, samplingSteps } = yield* progress
      assert.deepStrictEqual({ activity, runId, samplingStep, samplingSteps }, {
        activity: "sampling",
        runId: "run",
        samplingStep: 3,
        samplingSteps: 20
      })
    }))

  it.effect("leaves a reader what it got", () =>
    Effect.gen(function*() {
      const { progress, update } = yield* RunState.make("run")
      const before = yield* progress
      yield* update({ samplingStep: 1 })
      assert.strictEqual(before.samplingStep, 0)
    }))

  it.effect("remembers who asked the run to end, and how", () =>
    Effect.gen(function*() {
      const { interrupt, progress, skip, stop } = yield* RunState.make("run")
      const flags = Effect.map(progress, ({ interrupted, skipped, stopping }) => [interrupted, skipped, stopping])
      yield* stop
      assert.deepStrictEqual(yield* flags, [false, false, true])
      yield* skip
      assert.deepStrictEqual(yield* flags, [false, true, true])
      yield* interrupt
      assert.deepStrictEqual(yield* flags, [true, true, true])
    }))

  it.effect("gives a late reader the newest value at once, and every later one", () =>
    Effect.gen(function*() {
      const { changes, update } = yield* RunState.make("run")
      for (const samplingStep of [1, 2, 3]) yield* update({ samplingStep })
      const seen = yield* Queue.unbounded<number>()
      yield* Effect.forkScoped(Stream.runForEach(changes, ({ samplingStep }) => Queue.offer(seen, samplingStep)))
      assert.strictEqual(yield* Queue.take(seen), 3)
      for (const samplingStep of [4, 5, 6]) {
        yield* update({ samplingStep })
        assert.strictEqual(yield* Queue.take(seen), samplingStep)
      }
    }))

  it.effect("gives any number of readers the same", () =>
    Effect.gen(function*() {
      const { changes, update } = yield* RunState.make("run")
      const readers = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () =>
          Effect.forkChild(
            changes.pipe(Stream.filter(({ activity }) => activity === "saving"), Stream.runHead)
          )
      )
      yield* update({ activity: "sampling" })
      yield* update({ activity: "saving" })
      const seen = yield* Effect.forEach(readers, Fiber.join)
      assert.isTrue(seen.every((progress) => progress._tag === "Some" && progress.value.activity === "saving"))
    }))

  it.effect("is not slowed by a slow reader, who goes on with the newest value", () =>
    Effect.gen(function*() {
      const { changes, update } = yield* RunState.make("run")
      const reading = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const reader = yield* changes.pipe(
        Stream.tap(() => Effect.andThen(Deferred.succeed(reading, undefined), Deferred.await(goOn))),
        Stream.map(({ samplingStep }) => samplingStep),
        Stream.takeUntil((step) => step === 10_000),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* Deferred.await(reading)
      for (let samplingStep = 1; samplingStep <= 10_000; samplingStep++) yield* update({ samplingStep })
      yield* Deferred.succeed(goOn, undefined)
      const seen = yield* Fiber.join(reader)
      assert.strictEqual(seen[0], 0)
      assert.strictEqual(seen.at(-1), 10_000)
      assert.isBelow(seen.length, 5)
    }))
})

const fractionOf = (progress: Partial<RunState.RunProgress>) =>
  Effect.map(
    Effect.flatMap(RunState.make("run"), ({ progress }) => progress),
    (start) => RunState.fraction({ ...start, ...progress })
  )

describe("RunState.fraction", () => {
  it.effect.each(
    [
      [{}, 0],
      [{ passCount: 2 }, 0.01],
      [{ passCount: 1, samplingSteps: 8, samplingStep: 2 }, 0.26],
      [{ passCount: 2, samplingSteps: 20, samplingStep: 5 }, 0.135],
      [{ passCount: 2, passesDone: 1, samplingSteps: 20 }, 0.51],
      [{ passCount: 2, passesDone: 1, samplingSteps: 20, samplingStep: 10 }, 0.76],
      [{ passCount: 1, samplingSteps: 20, samplingStep: 20 }, 1],
      [{ passCount: 1, passesDone: 1, samplingSteps: 20, samplingStep: 20 }, 1],
      [{ samplingSteps: 20, samplingStep: 20 }, 0]
    ] as const
  )("of %j is %d, as stable-diffusion-webui counts", ([progress, share]) =>
    Effect.gen(function*() {
      assert.closeTo(yield* fractionOf(progress), share, 1e-12)
    }))
})

describe("RunState.eta", () => {
  it.effect("is the time that is left at the pace so far", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10_000)
      const { progress, update } = yield* RunState.make("run")
      assert.strictEqual(RunState.eta(yield* progress, 20_000), 0)
      yield* update({ passCount: 1, samplingSteps: 8, samplingStep: 2 })
      assert.closeTo(RunState.eta(yield* progress, 11_000), 1 / 0.26 - 1, 1e-9)
      yield* update({ passesDone: 1, samplingStep: 8 })
      assert.strictEqual(RunState.eta(yield* progress, 14_000), 0)
    }))
})

describe("the end of a run", () => {
  it.effect("is the end of its changes, for early and late readers", () =>
    Effect.gen(function*() {
      const { changes, update } = yield* RunState.make("run")
      const early = yield* Effect.forkChild(Stream.runLast(changes), { startImmediately: true })
      yield* update({ samplingStep: 3 })
      yield* update({ ended: true })
      for (const last of [yield* Fiber.join(early), yield* Stream.runLast(changes)]) {
        const { ended, samplingStep } = yield* Effect.fromOption(last)
        assert.deepStrictEqual([ended, samplingStep], [true, 3])
      }
    }))
})
