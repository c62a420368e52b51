import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Semaphore from "effect/Semaphore"
import * as TestClock from "effect/testing/TestClock"
import parse from "parse-prometheus-text-format"
import * as Metrics from "../../src/instrumentation/Metrics.ts"
import { inTurn } from "../../src/models/metrics.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { type HookSet, RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import * as Serena from "../../src/Serena.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as ModelFaults from "../../src/testing/ModelFaults.ts"
import * as TestModel from "../../src/testing/TestModel.ts"
import * as TestRuntime from "../../src/testing/TestRuntime.ts"

const request = Txt2Img.make({ prompt: "a red ring", seed: 7, steps: 3, width: 64, height: 64 })

/** Metrics of the test's own, and nobody else's. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Metric.MetricRegistry, new Map())

const withHooks = (options: TestRuntime.LayerOptions = {}) =>
  Effect.provide(TestRuntime.layer({ hooks: Metrics.layer, ...options }))

/** What Prometheus would read, each sample by its name and labels. */
const samples = Effect.map(Metrics.prometheus, (text) => {
  // The parser puts histograms of different labels into one, unless it is not told that they are histograms.
  const families = parse(text.replaceAll(/^# TYPE \S+ histogram$/gm, ""))
  return new Map(families.flatMap(({ metrics, name }) =>
    metrics.map(({ labels = {}, value }) => {
      const pairs = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
      return [pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`, Number(value)] as const
    })
  ))
})

describe("Metrics", () => {
  it.effect("counts runs by how they ended, images and steps", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(withHooks()(processImages({ ...request, batch_size: 2 })), { times: 1 })
      yield* Effect.exit(
        withHooks({ model: ModelFaults.outOfMemory({ step: 3 })(TestModel.make()) })(processImages(request))
      )
      yield* Effect.exit(withHooks({ faults: [Faults.die("prepare", new RangeError("oops"))] })(processImages(request)))

      const { fault, hanging } = yield* ModelFaults.hang("decode")
      const hung = yield* Effect.forkChild(withHooks({ model: fault(TestModel.make()) })(processImages(request)))
      yield* hanging
      yield* Fiber.interrupt(hung)

      const found = yield* samples
      const counts = [
        ["serena_runs_started_total", 5],
        ["serena_runs_finished_total", 2],
        ["serena_runs_failed_total{error_type=\"InferenceError\"}", 1],
        ["serena_runs_failed_total{error_type=\"RangeError\"}", 1],
        ["serena_runs_interrupted_total", 1],
        ["serena_images_total", 4],
        // Two runs to their end, two steps before the memory was full, and three before the decoding.
        ["serena_steps_total", 3 + 3 + 2 + 3]
      ] as const
      for (const [name, value] of counts) assert.strictEqual(found.get(name), value, name)
    }).pipe(isolated))

  it.effect("counts a run that ended early and gave what it had as interrupted", () =>
    Effect.gen(function*() {
      const stop = RunnerHooks.layer(Metrics.make(), {
        around: (stage, effect) =>
          stage === "execute"
            ? Effect.andThen(Effect.flatMap(RuntimeContext, ({ state }) => state.interrupt), effect)
            : effect
      })
      const processed = yield* withHooks({ hooks: stop })(processImages(request))
      assert.isTrue(processed.interrupted)
      const found = yield* samples
      assert.strictEqual(found.get("serena_runs_interrupted_total"), 1)
      assert.strictEqual(found.get("serena_runs_finished_total"), 0)
    }).pipe(isolated))

  it.effect("counts a run that a hook has ended", () =>
    Effect.gen(function*() {
      const failing = (hooks: HookSet) =>
        Effect.exit(withHooks({ hooks: RunnerHooks.layer(Metrics.make(), hooks) })(processImages(request)))
      yield* failing({ onPrepare: () => Effect.die(new Error("no quota")) })
      yield* failing({ onFinalize: () => Effect.interrupt })
      const found = yield* samples
      assert.strictEqual(found.get("serena_runs_failed_total{error_type=\"Error\"}"), 1)
      assert.strictEqual(found.get("serena_runs_interrupted_total"), 1)
      assert.strictEqual(found.get("serena_runs_finished_total"), 0)
    }).pipe(isolated))

  it.effect("measures the seconds of each stage", () =>
    Effect.gen(function*() {
      const slow = { model: ModelFaults.delay({ step: 2 }, "7 seconds")(TestModel.make()) }
      const run = yield* Effect.forkChild(withHooks(slow)(processImages(request)))
      yield* TestClock.adjust("7 seconds")
      yield* Fiber.join(run)
      const found = yield* samples
      assert.strictEqual(found.get("serena_stage_duration_seconds_sum{stage=\"execute\"}"), 7)
      assert.strictEqual(found.get("serena_stage_duration_seconds_bucket{stage=\"execute\",le=\"5\"}"), 0)
      assert.strictEqual(found.get("serena_stage_duration_seconds_bucket{stage=\"execute\",le=\"10\"}"), 1)
      for (const stage of ["prepare", "execute", "finalize"]) {
        assert.strictEqual(found.get(`serena_stage_duration_seconds_count{stage="${stage}"}`), 1, stage)
      }
    }).pipe(isolated))

  it.effect("tells how many network calls wait for their turn, and how long they did", () =>
    Effect.gen(function*() {
      const turn = yield* Semaphore.make(1)
      const latch = yield* Latch.make()
      const running = yield* Effect.forkChild(inTurn(turn, latch.await), { startImmediately: true })
      const waiting = yield* Effect.forkChild(inTurn(turn, Effect.succeed("done")), { startImmediately: true })
      const leaving = yield* Effect.forkChild(inTurn(turn, Effect.void), { startImmediately: true })
      assert.strictEqual((yield* samples).get("serena_network_queue_length"), 2)
      yield* Fiber.interrupt(leaving)
      assert.strictEqual((yield* samples).get("serena_network_queue_length"), 1)
      yield* TestClock.adjust("3 seconds")
      yield* latch.open
      yield* Fiber.join(running)
      assert.strictEqual(yield* Fiber.join(waiting), "done")
      const found = yield* samples
      assert.strictEqual(found.get("serena_network_queue_length"), 0)
      assert.strictEqual(found.get("serena_network_wait_seconds_sum"), 3)
      assert.strictEqual(found.get("serena_network_wait_seconds_count"), 2)
      assert.strictEqual(found.get("serena_network_wait_seconds_bucket{le=\"0.001\"}"), 1)
    }).pipe(isolated))

  it.live("counts what the models do: loads, calls, what is remembered", () =>
    Effect.gen(function*() {
      const small = { ...request, steps: 1, width: 128, height: 128, override_settings: { samples_save: false } }
      const resident = yield* Effect.gen(function*() {
        yield* Effect.all([processImages(small), processImages({ ...small, prompt: "a blue ring" })], {
          concurrency: 2
        })
        yield* processImages(small)
        yield* Effect.exit(processImages({ ...small, override_settings: { sd_model_checkpoint: "nope" } }))
        return (yield* samples).get("serena_models_resident")
      }).pipe(Effect.provide(Layer.fresh(Serena.layer())))
      assert.strictEqual(resident, 1)
      const found = yield* samples
      const counts = [
        ["serena_models_resident", 0],
        ["serena_model_loads_total", 1],
        ["serena_model_load_failures_total{error_type=\"ModelNotFound\"}", 1],
        ["serena_cache_misses_total{cache=\"tokenizer\"}", 1],
        // Two prompts and the negative one, which is empty; three runs, with two prompts each.
        ["serena_cache_misses_total{cache=\"embedding\"}", 3],
        ["serena_cache_hits_total{cache=\"embedding\"}", 3],
        ["serena_network_queue_length", 0],
        // Three texts, three steps, three pictures.
        ["serena_network_wait_seconds_count", 9]
      ] as const
      for (const [name, value] of counts) assert.strictEqual(found.get(name), value, name)
    }).pipe(isolated))

  it.effect("gives Prometheus text: each metric with its type and what it is, in seconds", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        [...(yield* samples)],
        ["started", "finished", "interrupted"].map((name): [string, number] => [`serena_runs_${name}_total`, 0]).concat(
          [
            ["serena_images_total", 0]
          ]
        )
      )
      yield* withHooks()(processImages(request))
      const text = yield* Metrics.prometheus
      const families = new Map(parse(text).map((family) => [family.name, family]))
      assert.sameMembers([...families.keys()], [
        "serena_runs_started_total",
        "serena_runs_finished_total",
        "serena_runs_interrupted_total",
        "serena_images_total",
        "serena_steps_total",
        "serena_stage_duration_seconds"
      ])
      for (const { help, name, type } of families.values()) {
        assert.notStrictEqual(help, "", name)
        assert.strictEqual(type, name.endsWith("_total") ? "COUNTER" : "HISTOGRAM", name)
      }
      // A unit is said by the name, and is no label.
      assert.notInclude(text, "unit=")
      assert.match(text, /\n$/)
    }).pipe(isolated))
})
