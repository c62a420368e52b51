import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { pipe } from "effect/Function"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { getEventListeners } from "node:events"
import { filled } from "../../src/core/Raster.ts"
import * as Cancellation from "../../src/instrumentation/Cancellation.ts"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { Img2Img, type Processing, Txt2Img } from "../../src/processing/Processing.ts"
import type { Stage } from "../../src/runner/Lifecycle.ts"
import type { Processed } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { type HookSet, RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import type { RunState } from "../../src/runner/RunState.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import { Faults, ModelFaults, PlainEncoder, RecordingHooks, TestModel, TestRuntime } from "../../src/testing/index.ts"

const steps = 6
const everyStep = Array.from({ length: steps }, (_, i) => i + 1)
const stages: ReadonlyArray<Stage> = ["prepare", "execute", "finalize"]

const request = (input: Parameters<typeof Txt2Img.make>[0] = {}) =>
  Txt2Img.make({ prompt: "a cat", seed: 7, steps, ...input })

/** What tells two runs' outcomes apart: each picture's file, and whether it was finished. */
const outcome = ({ images, interrupted }: Processed) => ({
  images: images.map(({ bytes, complete, seed }) => [seed, complete, Buffer.from(bytes).toString("base64")]),
  interrupted
})

const abortable = () => new AbortController()

const undisturbed = (processing: Processing = request()) =>
  Effect.provide(processImages(processing), TestRuntime.layer())

/** A run that asks something of its own state during a denoising call of one of its batches. */
const asking = (
  ask: (state: RunState) => Effect.Effect<void>,
  { batch = 1, step }: { readonly step: number; readonly batch?: number },
  processing = request()
) => {
  let running: RunState | undefined
  let batches = 0
  const model = ModelFaults.at({ step }, (call) =>
    Effect.suspend(() => {
      const state = running
      return ++batches === batch && state !== undefined ? Effect.andThen(ask(state), call) : call
    }))(TestModel.make())
  const hooks = RunnerHooks.layer({
    onPrepare: () =>
      Effect.map(RuntimeContext, ({ state }) => {
        running = state
      })
  })
  return Effect.gen(function*() {
    const processed = yield* processImages(processing)
    return { processed, progress: yield* running?.progress ?? Effect.die("no run") }
  }).pipe(Effect.provide(TestRuntime.layer({ model, hooks })))
}

describe("a run that is asked to end", () => {
  it.effect.each(everyStep)(
    "during step %d ends after it, and gives the picture as far as it is",
    (step) =>
      Effect.gen(function*() {
        const { processed, progress } = yield* asking((state) => state.interrupt, { step }, request({ n_iter: 2 }))
        assert.isTrue(processed.interrupted)
        assert.deepStrictEqual(processed.images.map(({ complete, path }) => [complete, path !== undefined]), [
          [step === steps, step === steps]
        ])
        assert.strictEqual(progress.samplingStep, step === steps ? 0 : step)
        assert.strictEqual(progress.passesDone, step === steps ? 1 : 0)
      })
  )

  it.effect("gives the latents of the last step, without their noise: another image for each step", () =>
    Effect.gen(function*() {
      const all = yield* Effect.forEach(everyStep, (step) => asking((state) => state.interrupt, { step }))
      const pictures = all.map(({ processed }) => Buffer.from(processed.images[0]?.pixels ?? []).toString("base64"))
      assert.strictEqual(new Set(pictures).size, steps)
      assert.deepStrictEqual(outcome(all.at(-1)?.processed ?? assert.fail()), outcome(yield* undisturbed()))
    }))

  it.effect.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])(
    "during call %d of a sampler that makes two for each step ends after that call",
    (step) =>
      Effect.gen(function*() {
        const heun = request({ sampler_name: "Heun" })
        const { processed } = yield* asking((state) => state.interrupt, { step }, heun)
        assert.deepStrictEqual(processed.images.map(({ complete }) => complete), [step === 2 * steps - 1])
      })
  )

  it.effect("saves an unfinished image when the settings say so", () =>
    Effect.gen(function*() {
      const { processed } = yield* asking(
        (state) => state.interrupt,
        { step: 2 },
        request({ override_settings: { save_incomplete_images: true } })
      )
      assert.deepStrictEqual(processed.images.map(({ complete, path }) => [complete, path !== undefined]), [
        [false, true]
      ])
    }))

  it.effect.each(["interrupt", "stop"] as const)(
    "by %s before the first step gives no picture",
    (ask) =>
      Effect.gen(function*() {
        const hooks = RunnerHooks.layer({
          onPrepare: () => Effect.flatMap(RuntimeContext, ({ state }) => state[ask])
        })
        const { images, interrupted } = yield* Effect.provide(processImages(request()), TestRuntime.layer({ hooks }))
        assert.deepStrictEqual([images, interrupted], [[], true])
      })
  )

  it.effect.each([1, 2, 3])(
    "leaves the finished pictures of the batches before, asked in batch %d",
    (batch) =>
      Effect.gen(function*() {
        const three = request({ n_iter: 3, batch_size: 2 })
        const { processed } = yield* asking((state) => state.interrupt, { step: 3, batch }, three)
        const whole = yield* undisturbed(three)
        assert.strictEqual(processed.images.length, batch * 2)
        assert.deepStrictEqual(
          outcome(processed).images.slice(0, (batch - 1) * 2),
          outcome(whole).images.slice(0, (batch - 1) * 2)
        )
        assert.isTrue(processed.images.slice(-2).every(({ complete }) => !complete))
      })
  )

  it.effect("leaves the next run unharmed", () =>
    Effect.gen(function*() {
      const hooks = RunnerHooks.layer({
        onPrepare: ({ runId }) =>
          Effect.flatMap(RuntimeContext, ({ state }) => runId === "first" ? state.interrupt : Effect.void)
      })
      yield* Effect.gen(function*() {
        yield* processImages(request(), { runId: "first" })
        assert.deepStrictEqual(outcome(yield* processImages(request())), outcome(yield* undisturbed()))
      }).pipe(Effect.provide(TestRuntime.layer({ hooks })))
    }))
})

describe("a run that is asked to skip", () => {
  const three = request({ n_iter: 3 })

  it.effect.each(everyStep)("during step %d of a batch ends that batch only", (step) =>
    Effect.gen(function*() {
      const { processed, progress } = yield* asking((state) => state.skip, { step, batch: 2 }, three)
      const whole = yield* undisturbed(three)
      assert.deepStrictEqual(processed.images.map(({ complete }) => complete), [true, step === steps, true])
      for (const i of [0, 2]) assert.deepStrictEqual(processed.images[i]?.bytes, whole.images[i]?.bytes)
      assert.strictEqual(processed.interrupted, step < steps)
      assert.strictEqual(progress.passesDone, 3)
      assert.isFalse(progress.skipped)
    }))

  it.effect("before the first step takes no notice", () =>
    Effect.gen(function*() {
      const hooks = RunnerHooks.layer({
        onPrepare: () => Effect.flatMap(RuntimeContext, ({ state }) => state.skip)
      })
      const processed = yield* Effect.provide(processImages(three), TestRuntime.layer({ hooks }))
      assert.deepStrictEqual(outcome(processed), outcome(yield* undisturbed(three)))
    }))
})

describe("a run that is asked to stop", () => {
  const three = request({ n_iter: 3 })

  it.effect.each(everyStep)("during step %d finishes the batch and begins no other", (step) =>
    Effect.gen(function*() {
      const { processed } = yield* asking((state) => state.stop, { step, batch: 2 }, three)
      const whole = yield* undisturbed(three)
      assert.deepStrictEqual(outcome(processed).images, outcome(whole).images.slice(0, 2))
      assert.isTrue(processed.interrupted)
    }))

  it.effect("in its last batch has given all, and was not interrupted", () =>
    Effect.gen(function*() {
      const { processed } = yield* asking((state) => state.stop, { step: 1, batch: 3 }, three)
      assert.deepStrictEqual(outcome(processed), outcome(yield* undisturbed(three)))
    }))
})

/** Counts the denoising buffers that are held. */
const counting = () => {
  const held = { now: 0, ever: 0 }
  const fault: ModelFaults.ModelFault = (model) => ({
    ...model,
    denoising: (shape) =>
      Effect.andThen(
        Effect.acquireRelease(
          Effect.sync(() => {
            held.now++
            held.ever++
          }),
          () => Effect.sync(() => held.now--)
        ),
        model.denoising(shape)
      )
  })
  return { held, fault }
}

describe("a run that is interrupted", () => {
  type Hang = Effect.Effect<
    {
      readonly model?: (model: LoadedModel) => LoadedModel
      readonly faults?: ReadonlyArray<Faults.Fault>
      readonly hooks?: HookSet
      readonly hanging: Effect.Effect<void>
      readonly processing?: Processing
    }
  >
  const inModel = (place: ModelFaults.Place): Hang =>
    Effect.map(ModelFaults.hang(place, { times: 1 }), ({ fault, hanging }) => ({ model: fault, hanging }))
  const once = (hanging: Latch.Latch) => {
    let hung = false
    return Effect.suspend(() => {
      if (hung) return Effect.void
      hung = true
      return Effect.andThen(hanging.open, Effect.never)
    })
  }
  const inPrepare: Hang = Effect.gen(function*() {
    const hanging = yield* Latch.make()
    const hang = once(hanging)
    const fault: Faults.Fault = (pipeline) => ({
      ...pipeline,
      prepare: (request) => Effect.andThen(hang, pipeline.prepare(request))
    })
    return { faults: [fault], hanging: hanging.await }
  })
  const inHook = (hook: "onPrepare" | "onExecute" | "onFinalize"): Hang =>
    Effect.gen(function*() {
      const hanging = yield* Latch.make()
      const hang = once(hanging)
      return { hooks: { [hook]: () => hang }, hanging: hanging.await }
    })
  const inFinalize: Hang = Effect.gen(function*() {
    const hanging = yield* Latch.make()
    const hang = once(hanging)
    const fault: Faults.Fault = (pipeline) => ({
      ...pipeline,
      finalize: (state, executed) => Effect.andThen(hang, pipeline.finalize(state, executed))
    })
    return { faults: [fault], hanging: hanging.await }
  })

  const inEncoding: Hang = Effect.gen(function*() {
    const raster = filled({ width: 64, height: 64 }, 3, 100)
    const picture = yield* Effect.orDie(PlainEncoder.encode({ raster, infotext: "" }))
    return {
      ...yield* inModel("encode"),
      processing: Img2Img.make({ prompt: "a cat", seed: 7, steps, init_images: [picture] })
    }
  })

  const beforeExecute = ["around:prepare:start", "around:prepare:end", "onPrepare", "around:execute:start"]
  const throughExecute = [...beforeExecute, "around:execute:end"]
  const throughFinalize = [...throughExecute, "onExecute", "around:finalize:start", "around:finalize:end"]

  const places: ReadonlyArray<readonly [name: string, hang: Hang, hooks: ReadonlyArray<string>]> = [
    ["prepare", inPrepare, ["around:prepare:start", "around:prepare:end"]],
    ["onPrepare", inHook("onPrepare"), ["around:prepare:start", "around:prepare:end", "onPrepare"]],
    ["the embedding", inModel("embed"), throughExecute],
    ["the encoding of a picture to begin with", inEncoding, throughExecute],
    ...everyStep.map((step) => [`step ${step}`, inModel({ step }), throughExecute] as const),
    ["the decoding", inModel("decode"), throughExecute],
    ["onExecute", inHook("onExecute"), [...throughExecute, "onExecute"]],
    ["finalize", inFinalize, throughFinalize],
    ["onFinalize", inHook("onFinalize"), [...throughFinalize, "onFinalize"]]
  ]

  it.effect.each(places)("in %s gives nothing, calls no later hook, holds nothing, leaves the next run unharmed", (
    [, hang, hooksCalled]
  ) =>
    Effect.gen(function*() {
      const { faults = [], hanging, hooks = {}, model = (model) => model, processing = request() } = yield* hang
      const recording = yield* RecordingHooks.make
      const { fault: count, held } = counting()
      const layer = TestRuntime.layer({
        model: pipe(TestModel.make(), count, model),
        faults,
        hooks: RunnerHooks.layer(recording.hooks, hooks)
      })
      yield* Effect.gen(function*() {
        const { list } = yield* Runs
        const finalized: Array<string> = []
        const fiber = yield* Effect.forkChild(
          Effect.ensuring(processImages(processing), Effect.sync(() => finalized.push("caller")))
        )
        yield* hanging
        assert.strictEqual((yield* list).length, 1)
        yield* Fiber.interrupt(fiber)

        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.deepStrictEqual((yield* recording.calls).map(({ hook }) => hook), [...hooksCalled])
        assert.strictEqual(held.now, 0)
        assert.deepStrictEqual([yield* list, finalized], [[], ["caller"]])
        assert.deepStrictEqual(outcome(yield* processImages(processing)), outcome(yield* undisturbed(processing)))
      }).pipe(Effect.provide(layer))
    }))

  it.effect.each(everyStep)(
    "in step %d holds its memory until the network's call has ended",
    (step) =>
      Effect.gen(function*() {
        const { fault, hanging, release } = yield* ModelFaults.hang({ step }, { inFlight: true })
        const { fault: count, held } = counting()
        const layer = TestRuntime.layer({ model: pipe(TestModel.make(), count, fault) })
        const fiber = yield* Effect.forkChild(Effect.provide(processImages(request()), layer))
        yield* hanging
        yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([held.now, fiber.pollUnsafe()], [1, undefined])
        yield* release
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.strictEqual(held.now, 0)
      })
  )

  it.effect("makes no further call of the network", () =>
    Effect.gen(function*() {
      const model = TestModel.make({ stepDuration: "1 second" })
      const calls: Array<number> = []
      const count = ModelFaults.at({ step: 4 }, (call) => Effect.andThen(Effect.sync(() => calls.push(4)), call))
      const fiber = yield* Effect.forkChild(
        Effect.provide(processImages(request()), TestRuntime.layer({ model: count(model) }))
      )
      yield* TestClock.adjust("2500 millis")
      yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(calls, [])
    }))
})

/** A run of 1 second a step under hooks, in a fiber. */
const slow = (hooks: HookSet, processing = request(), faults: ReadonlyArray<Faults.Fault> = []) =>
  processImages(processing).pipe(
    Effect.provide(TestRuntime.layer({
      model: TestModel.make({ stepDuration: "1 second" }),
      hooks: RunnerHooks.layer(hooks),
      faults
    })),
    Effect.forkChild
  )

describe("Cancellation.timeout", () => {
  it.effect("ends a run with nothing when its time is over, after the network's call in flight", () =>
    Effect.gen(function*() {
      const fiber = yield* slow(Cancellation.timeout("3500 millis"))
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("can be caught: the caller's own fiber is not interrupted", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(processImages(request()))
      assert.isTrue(Exit.hasInterrupts(exit))
    }).pipe(Effect.provide(TestRuntime.layer({ hooks: RunnerHooks.layer(Cancellation.timeout(0)) }))))

  it.effect("keeps what there is, when asked to", () =>
    Effect.gen(function*() {
      const fiber = yield* slow(Cancellation.timeout("3500 millis", { mode: "keep" }), request({ n_iter: 2 }))
      yield* TestClock.adjust("4 seconds")
      const { images, interrupted } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([images.map(({ complete }) => complete), interrupted], [[false], true])
    }))

  it.effect("lets the batch end, when asked to", () =>
    Effect.gen(function*() {
      const fiber = yield* slow(Cancellation.timeout("3500 millis", { mode: "stop" }), request({ n_iter: 2 }))
      yield* TestClock.adjust("6 seconds")
      const { images, interrupted } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([images.map(({ complete }) => complete), interrupted], [[true], true])
    }))

  it.effect.each(["interrupt", "keep", "stop"] as const)(
    "changes nothing of a run that is in time (%s)",
    (mode) =>
      Effect.gen(function*() {
        const fiber = yield* slow(Cancellation.timeout("6001 millis", { mode }))
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), outcome(yield* undisturbed()))
      })
  )

  it.effect.each(stages)("ends a run whose %s does not end", (stage) =>
    Effect.gen(function*() {
      const { fault } = yield* Faults.hang(stage)
      const fiber = yield* slow(Cancellation.timeout("1 minute"), request(), [fault])
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("counts from the beginning of prepare to the end of finalize, hooks and all", () =>
    Effect.gen(function*() {
      const faults = stages.map((stage) => Faults.delay(stage, "1 second"))
      const hooks = { onPrepare: () => Effect.sleep("1 second"), onExecute: () => Effect.sleep("1 second") }
      const run = (duration: number) =>
        processImages(request()).pipe(
          Effect.provide(
            TestRuntime.layer({ faults, hooks: RunnerHooks.layer(Cancellation.timeout(duration), hooks) })
          ),
          Effect.forkChild
        )
      const [short, long] = [yield* run(4999), yield* run(5001)]
      yield* TestClock.adjust("4999 millis")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(short)))
      yield* TestClock.adjust("1 milli")
      yield* Fiber.join(long)
    }))

  it.effect("gives each of several runs at once its own deadline, and later ones theirs", () =>
    Effect.gen(function*() {
      const layer = TestRuntime.layer({
        model: TestModel.make({ stepDuration: "1 second" }),
        hooks: RunnerHooks.layer(Cancellation.timeout("4500 millis"))
      })
      yield* Effect.gen(function*() {
        const first = yield* Effect.forkChild(processImages(request()))
        yield* TestClock.adjust("3 seconds")
        const second = yield* Effect.forkChild(processImages(request()))
        const quick = yield* Effect.forkChild(processImages(request({ steps: 4 })))
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(first)))
        assert.isUndefined(second.pollUnsafe())
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* Fiber.join(quick)).images.length, 1)
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(second)))
        const later = yield* Effect.forkChild(processImages(request({ steps: 4 })))
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual((yield* Fiber.join(later)).images.length, 1)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("of infinite length never ends a run", () =>
    Effect.gen(function*() {
      const fiber = yield* slow(Cancellation.timeout("Infinity"))
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(fiber)
    }))

  it.effect("lets what prepare began next to the run go on after prepare, and end with the run", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const warm = Effect.sleep("1 day").pipe(Effect.onInterrupt(() => Effect.sync(() => seen.push("warm"))))
      const hooks = RunnerHooks.layer(Cancellation.timeout("1 hour"), {
        onExecute: () => Effect.sync(() => seen.push("onExecute")),
        onFinalize: () => Effect.sync(() => seen.push("onFinalize"))
      })
      yield* processImages(request()).pipe(
        Effect.provide(TestRuntime.layer({ model: TestModel.make({ warm }), hooks }))
      )
      assert.deepStrictEqual(seen, ["onExecute", "onFinalize", "warm"])
    }))
})

describe("Cancellation.onSignal", () => {
  it.effect("ends a run with nothing when the signal is aborted, after the network's call in flight", () =>
    Effect.gen(function*() {
      const controller = abortable()
      const fiber = yield* slow(Cancellation.onSignal(controller.signal))
      yield* TestClock.adjust("2500 millis")
      controller.abort()
      yield* TestClock.adjust("499 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect.each(everyStep)("keeps what there is after step %d, when told so", (step) =>
    Effect.gen(function*() {
      const controller = abortable()
      const fiber = yield* slow(Cancellation.onSignal(controller.signal, { mode: "keep" }))
      yield* TestClock.adjust(step * 1000 - 500)
      controller.abort()
      yield* TestClock.adjust("500 millis")
      const { images, interrupted } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(images.map(({ complete }) => complete), [step === steps])
      assert.strictEqual(interrupted, step < steps)
    }))

  it.effect.each(stages)("ends a run whose %s does not end", (stage) =>
    Effect.gen(function*() {
      const controller = abortable()
      const { fault, hanging } = yield* Faults.hang(stage)
      const fiber = yield* slow(Cancellation.onSignal(controller.signal), request({ steps: 1 }), [fault])
      yield* TestClock.adjust("1 second")
      yield* hanging
      controller.abort()
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("that is aborted already lets no stage begin", () =>
    Effect.gen(function*() {
      let prepared = false
      const fault: Faults.Fault = (pipeline) => ({
        ...pipeline,
        prepare: (request) => {
          prepared = true
          return pipeline.prepare(request)
        }
      })
      const fiber = yield* slow(Cancellation.onSignal(AbortSignal.abort()), request(), [fault])
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.isFalse(prepared)
    }))

  it.effect.each(["keep", "stop"] as const)(
    "that is aborted already gives no picture (%s)",
    (mode) =>
      Effect.gen(function*() {
        const fiber = yield* slow(Cancellation.onSignal(AbortSignal.abort(), { mode }))
        const { images, interrupted } = yield* Fiber.join(fiber)
        assert.deepStrictEqual([images, interrupted], [[], true])
      })
  )

  it.effect.each(["interrupt", "keep", "stop"] as const)(
    "leaves no listener behind, however the run ends (%s)",
    (mode) =>
      Effect.gen(function*() {
        const { signal } = abortable()
        const hooks = Cancellation.onSignal(signal, { mode })
        const listeners = () => getEventListeners(signal, "abort").length
        const whole = yield* slow(hooks)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(listeners(), 1)
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(whole)
        assert.strictEqual(listeners(), 0)

        const failing = yield* slow(hooks, request(), [Faults.die("execute", "bug")])
        assert.isTrue(Exit.hasDies(yield* Fiber.await(failing)))
        assert.strictEqual(listeners(), 0)

        const { fault, hanging } = yield* Faults.hang("execute")
        const interrupted = yield* slow(hooks, request(), [fault])
        yield* hanging
        yield* Fiber.interrupt(interrupted)
        assert.strictEqual(listeners(), 0)
      })
  )
})

describe("Cancellation.when", () => {
  it.effect("ends runs for a reason of one's own", () =>
    Effect.gen(function*() {
      const closing = yield* Latch.make()
      const fiber = yield* slow(Cancellation.when(() => closing.await, { mode: "keep" }))
      yield* TestClock.adjust("1500 millis")
      yield* closing.open
      yield* TestClock.adjust("500 millis")
      const { images } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(images.map(({ complete }) => complete), [false])
    }))

  it.effect("is one of several: the first reason ends the run", () =>
    Effect.gen(function*() {
      const sets = [
        Cancellation.timeout("1 hour"),
        Cancellation.onSignal(abortable().signal),
        Cancellation.timeout("2500 millis", { mode: "keep" })
      ]
      const fiber = yield* processImages(request()).pipe(
        Effect.provide(TestRuntime.layer({
          model: TestModel.make({ stepDuration: "1 second" }),
          hooks: RunnerHooks.layer(...sets)
        })),
        Effect.forkChild
      )
      yield* TestClock.adjust("3 seconds")
      assert.isTrue((yield* Fiber.join(fiber)).interrupted)
    }))

  it.effect("ends runs also from among isolated hooks", () =>
    Effect.gen(function*() {
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(processImages(request()))))
    }).pipe(
      Effect.provide(TestRuntime.layer({ hooks: RunnerHooks.layer(RunnerHooks.isolated(Cancellation.timeout(0))) }))
    ))

  it.effect("lets the stage's own failure through", () =>
    Effect.gen(function*() {
      const exit = yield* processImages(request({ sampler_name: "nonsense" })).pipe(
        Effect.exit,
        Effect.provide(TestRuntime.layer({ hooks: RunnerHooks.layer(Cancellation.timeout("1 hour")) }))
      )
      assert.strictEqual(Option.getOrThrow(Exit.findErrorOption(exit))._tag, "UnknownSampler")
    }))
})
