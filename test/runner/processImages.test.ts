import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { ModelNotFound } from "../../src/model/ModelError.ts"
import { Models } from "../../src/model/Models.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { InvalidProcessing } from "../../src/processing/InvalidProcessing.ts"
import { Limits } from "../../src/processing/Limits.ts"
import { Options } from "../../src/processing/Options.ts"
import { type Processing, Txt2Img } from "../../src/processing/Processing.ts"
import { Pipeline } from "../../src/runner/Pipeline.ts"
import type { Processed } from "../../src/runner/Processed.ts"
import { processImages } from "../../src/runner/processImages.ts"
import type { ProcessingRequest } from "../../src/runner/ProcessingRequest.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { CaptureContext, RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import { Faults, TestContext, TestModel, TestPipeline, TestRuntime } from "../../src/testing/index.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, width: 8, height: 8 })

/** Captures from settings, with models that `load` gives. */
const capturing = (
  load: Models["Service"]["load"],
  { cmdOpts, opts }: Pick<TestContext.Overrides, "cmdOpts" | "opts"> = {}
) =>
  CaptureContext.layer.pipe(Layer.provide(
    Layer.mergeAll(Layer.succeed(Models, { load }), Options.layer(opts), CommandOptions.layer(cmdOpts), Runs.layer)
  ))

/** A pipeline whose execute writes down the context it runs in. */
const watched = () => {
  const contexts: Array<RuntimeContext["Service"]> = []
  const pipeline = TestPipeline.layer({
    execute: Effect.fnUntraced(function*(state) {
      contexts.push(yield* RuntimeContext)
      return yield* TestPipeline.execute(state)
    })
  })
  return { contexts, pipeline }
}

describe("processImages", () => {
  it.effect("delegates to the runner: each stage of the pipeline is called once, with the request", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const requests: Array<ProcessingRequest<Processing>> = []
      const plain = TestPipeline.make()
      const pipeline = Layer.succeed(Pipeline, {
        prepare: (request) => {
          calls.push("prepare")
          requests.push(request)
          return plain.prepare(request)
        },
        execute: (state) => {
          calls.push("execute")
          return plain.execute(state)
        },
        finalize: (state, executed) => {
          calls.push("finalize")
          return plain.finalize(state, executed)
        }
      })
      const processed = yield* processImages(cat, { runId: "r1" }).pipe(Effect.provide(TestRuntime.layer({ pipeline })))
      assert.deepStrictEqual(calls, ["prepare", "execute", "finalize"])
      assert.deepStrictEqual(requests, [{ processing: cat, runId: "r1" }])
      assert.strictEqual(requests[0]?.processing, cat)
      assert.strictEqual(processed.images.length, 1)
    }))

  it.effect("gives what the pipeline's finalize gave, itself", () =>
    Effect.gen(function*() {
      const results: Array<Processed> = []
      const pipeline = TestPipeline.layer({
        finalize: (state) =>
          Effect.sync(() => {
            const result = { images: [], extraImages: [], interrupted: false, warnings: [], state }
            results.push(result)
            return result
          })
      })
      const processed = yield* processImages(cat).pipe(Effect.provide(TestRuntime.layer({ pipeline })))
      assert.strictEqual(results.length, 1)
      assert.strictEqual(processed, results[0])
    }))

  it.effect("captures the context once for a run, and gives it back when the run ends, however it ends", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const hang = yield* Faults.hang("execute")
      const capture = Layer.effect(
        CaptureContext,
        Effect.map(CaptureContext, ({ capture }) =>
          CaptureContext.of({
            capture: (request) =>
              Effect.tap(capture(request), () =>
                Effect.acquireRelease(
                  Effect.sync(() => log.push("captured")),
                  () => Effect.sync(() => log.push("given back"))
                ))
          }))
      ).pipe(Layer.provide(TestContext.layer()))
      const through = (...faults: ReadonlyArray<Faults.Fault>) =>
        processImages(cat).pipe(
          Effect.exit,
          Effect.provide(
            Layer.mergeAll(capture, TestPipeline.layer().pipe(Faults.layer(...faults)), RunnerHooks.layerNoop)
          )
        )
      const expected = ["captured", "given back"]

      yield* through()
      assert.deepStrictEqual(log.splice(0), expected)
      yield* through(Faults.fail("execute", new InvalidProcessing({ problems: [] })))
      assert.deepStrictEqual(log.splice(0), expected)
      yield* through(Faults.die("finalize", "bug"))
      assert.deepStrictEqual(log.splice(0), expected)
      const fiber = yield* Effect.forkChild(through(hang.fault))
      yield* hang.hanging
      assert.deepStrictEqual(log, ["captured"])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log.splice(0), expected)
      yield* through()
      assert.deepStrictEqual(log, expected)
    }))

  it.effect("fails when the context cannot be captured, before any stage", () =>
    Effect.gen(function*() {
      const error = new ModelNotFound({ model: "sd15", searched: [], known: [] })
      const calls: Array<string> = []
      const layer = Layer.mergeAll(
        capturing(() => Effect.fail(error)),
        TestPipeline.layer({ prepare: () => Effect.die("prepare was called") }),
        RunnerHooks.layer({
          around: (stage, effect) => {
            calls.push(stage)
            return effect
          }
        })
      )
      assert.strictEqual(yield* processImages(cat).pipe(Effect.provide(layer), Effect.flip), error)
      assert.isEmpty(calls)
    }))

  it.effect("refuses a request over the process's limits before a model is loaded", () =>
    Effect.gen(function*() {
      const layer = Layer.mergeAll(
        capturing(() => Effect.die("a model was loaded"), { cmdOpts: { limits: Limits.make({ max_steps: 10 }) } }),
        TestPipeline.layer(),
        RunnerHooks.layerNoop
      )
      const error = yield* processImages(cat).pipe(Effect.provide(layer), Effect.flip)
      assert.isTrue(error instanceof InvalidProcessing && error.problems[0]?.path === "steps")
    }))

  it.effect("loads the model that the options and the request's overrides name", () =>
    Effect.gen(function*() {
      const loaded: Array<string> = []
      const load = (name: string) =>
        Effect.sync(() => {
          loaded.push(name)
          return TestModel.make({ name })
        })
      const { contexts, pipeline } = watched()
      const layer = Layer.mergeAll(
        capturing(load, { opts: { sd_model_checkpoint: "a" } }),
        pipeline,
        RunnerHooks.layerNoop
      )
      yield* Effect.andThen(
        processImages(cat),
        processImages({ ...cat, override_settings: { sd_model_checkpoint: "b" } })
      ).pipe(Effect.provide(layer))
      assert.deepStrictEqual(loaded, ["a", "b"])
      assert.deepStrictEqual(contexts.map(({ model }) => model.name), ["a", "b"])
    }))
})

describe("the context of a run", () => {
  it.effect("has exactly five members: model, opts, device, state, cmdOpts", () =>
    Effect.gen(function*() {
      const { contexts, pipeline } = watched()
      yield* processImages(cat).pipe(Effect.provide(TestRuntime.layer({ pipeline, cmdOpts: { device: "cuda" } })))
      const [context] = contexts
      assert.isDefined(context)
      assert.sameMembers(Object.keys(context), ["model", "opts", "device", "state", "cmdOpts"])
      assert.deepStrictEqual(context.device, { provider: "cuda" })
      assert.strictEqual(context.cmdOpts.device, "cuda")
    }))

  it.effect("is the same for all stages and hooks of the run", () =>
    Effect.gen(function*() {
      const seen = new Set<RuntimeContext["Service"]>()
      const see = Effect.map(RuntimeContext, (context) => void seen.add(context))
      const pipeline = TestPipeline.layer({
        prepare: (request) => Effect.andThen(see, TestPipeline.prepare(request)),
        execute: (state) => Effect.andThen(see, TestPipeline.execute(state)),
        finalize: (state, executed) => Effect.andThen(see, TestPipeline.finalize(state, executed))
      })
      const hooks = RunnerHooks.layer({ onPrepare: () => see, onExecute: () => see, onFinalize: () => see })
      yield* processImages(cat).pipe(Effect.provide(TestRuntime.layer({ pipeline, hooks })))
      assert.strictEqual(seen.size, 1)
    }))

  it.effect("holds options that no one can change", () =>
    Effect.gen(function*() {
      const { contexts, pipeline } = watched()
      const capture = capturing(() => Effect.succeed(TestModel.make()))
      yield* processImages({ ...cat, override_settings: { samples_save: false } }).pipe(
        Effect.provide(Layer.mergeAll(capture, pipeline, RunnerHooks.layerNoop))
      )
      const [context] = contexts
      assert.isDefined(context)
      assert.isFrozen(context)
      assert.isFrozen(context.opts)
      assert.throws(() => Object.assign(context.opts, { samples_save: true }), TypeError)
      assert.throws(() => Object.assign(context, { opts: Options.defaults }), TypeError)
      assert.isFalse(context.opts.samples_save)
    }))

  it.effect("does not see options that a hook changes during the run; the next run does", () =>
    Effect.gen(function*() {
      const { contexts, pipeline } = watched()
      const context = TestContext.layer()
      const hooks = RunnerHooks.layerEffect(
        Effect.map(Options, ({ set }) => [{ onPrepare: () => Effect.orDie(set({ randn_source: "NV" })) }])
      ).pipe(Layer.provide(context))
      yield* Effect.gen(function*() {
        const { snapshot } = yield* Options
        yield* processImages(cat)
        assert.strictEqual((yield* snapshot).randn_source, "NV")
        yield* processImages(cat)
      }).pipe(Effect.provide(Layer.mergeAll(context, pipeline, hooks)))
      assert.deepStrictEqual(contexts.map(({ opts }) => opts.randn_source), ["CPU", "NV"])
    }))

  it.effect("does not see options that another fiber changes during the run", () =>
    Effect.gen(function*() {
      const hang = yield* Faults.hang("execute")
      const { contexts, pipeline } = watched()
      yield* Effect.gen(function*() {
        const { set } = yield* Options
        const fiber = yield* Effect.forkChild(processImages(cat))
        yield* hang.hanging
        yield* set({ randn_source: "NV", samples_save: false })
        yield* hang.release
        yield* Fiber.join(fiber)
      }).pipe(Effect.provide(TestRuntime.layer({ pipeline: pipeline.pipe(Faults.layer(hang.fault)) })))
      assert.deepStrictEqual(contexts.map(({ opts }) => opts), [Options.defaults])
    }))

  it.effect("is each run's own when two run at once, with a state of its own", () =>
    Effect.gen(function*() {
      const { contexts, pipeline } = watched()
      const hang = yield* Faults.hang("finalize")
      yield* Effect.gen(function*() {
        const first = yield* Effect.forkChild(processImages(cat, { runId: "first" }))
        const second = yield* Effect.forkChild(processImages(cat, { runId: "second" }))
        yield* hang.hanging
        const [one, two] = contexts
        assert.isDefined(one)
        assert.isDefined(two)
        assert.notStrictEqual(one, two)
        assert.notStrictEqual(one.state, two.state)
        yield* one.state.update({ activity: "sampling" })
        yield* one.state.interrupt
        const [progress1, progress2] = [yield* one.state.progress, yield* two.state.progress]
        assert.deepStrictEqual([progress1.runId, progress1.activity, progress1.interrupted], [
          "first",
          "sampling",
          true
        ])
        assert.deepStrictEqual([progress2.runId, progress2.activity, progress2.interrupted], [
          "second",
          "waiting",
          false
        ])
        yield* hang.release
        yield* Fiber.join(first)
        yield* Fiber.join(second)
      }).pipe(Effect.provide(TestRuntime.layer({ pipeline: pipeline.pipe(Faults.layer(hang.fault)) })))
    }))

  it.effect("has the request's override_settings, which no other run has", () =>
    Effect.gen(function*() {
      const { contexts, pipeline } = watched()
      yield* Effect.gen(function*() {
        yield* processImages({ ...cat, override_settings: { samples_save: false, eta_noise_seed_delta: 31337 } })
        yield* processImages(cat)
        assert.deepStrictEqual(yield* (yield* Options).snapshot, Options.defaults)
      }).pipe(Effect.provide(TestRuntime.layer({ pipeline })))
      assert.deepStrictEqual(contexts.map(({ opts }) => opts), [
        { ...Options.defaults, samples_save: false, eta_noise_seed_delta: 31337 },
        Options.defaults
      ])
    }))

  it.effect("of a failed run leaves the next run unharmed", () =>
    Effect.gen(function*() {
      const outcome = yield* Deferred.make<void>()
      const pipeline = TestPipeline.layer({
        execute: (state) =>
          Effect.gen(function*() {
            const context = yield* RuntimeContext
            yield* context.state.interrupt
            if (!(yield* Deferred.isDone(outcome))) {
              yield* Deferred.succeed(outcome, undefined)
              return yield* Effect.die("bug")
            }
            return yield* TestPipeline.execute(state)
          })
      })
      const run = processImages(cat, { runId: "next" })
      const [failed, next] = yield* Effect.all([Effect.exit(processImages(cat)), run]).pipe(
        Effect.provide(TestRuntime.layer({ pipeline }))
      )
      assert.isTrue(Exit.hasDies(failed))
      assert.deepStrictEqual(
        next,
        yield* run.pipe(Effect.provide(TestRuntime.layer({ pipeline: TestPipeline.layer() })))
      )
    }))
})
