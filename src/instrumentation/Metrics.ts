/**
 * Counts and durations of runs, as Effect metrics.
 *
 * These hooks count runs, images and the duration of each stage. The engine counts sampling steps, and the models count
 * loads, queueing and cache hits, with or without hooks. `prometheus` here, OTLP in `Tracing.layerOtlp` and Effect's
 * `Metric.snapshot` all export every metric.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { errorType } from "../runner/errorType.ts"
import type { Stage } from "../runner/Lifecycle.ts"
import { type HookSet, RunnerHooks } from "../runner/RunnerHooks.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

/** Runs that started. A request refused earlier, for example because its model is missing, does not count. */
export const started = counter("serena_runs_started_total", "Runs started")

/** Runs that returned everything they were asked for. */
export const finished = counter("serena_runs_finished_total", "Runs finished")

/** Runs that failed, with the error's tag as `error_type`. */
export const failed = counter("serena_runs_failed_total", "Runs failed, by error")

/** Runs that were ended early, with or without a result. */
export const interrupted = counter("serena_runs_interrupted_total", "Runs ended early by request")

/** Images returned by runs. */
export const images = counter("serena_images_total", "Images generated")

/** Duration of each stage in seconds, however it ended, with its name as `stage`. */
export const stageDuration = Metric.histogram("serena_stage_duration_seconds", {
  description: "Duration of a stage of a run",
  attributes: { unit: "seconds" },
  boundaries: [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
})

const durations: Readonly<Record<Stage, Metric.Histogram<number>>> = {
  prepare: Metric.withAttributes(stageDuration, { stage: "prepare" }),
  execute: Metric.withAttributes(stageDuration, { stage: "execute" }),
  finalize: Metric.withAttributes(stageDuration, { stage: "finalize" })
}

/** Hooks that update the metrics. */
export const make = (): HookSet => {
  const endedEarly = new WeakSet<RuntimeContext["Service"]>()

  // The exit of the run's scope is its outcome, including what other hooks did to it.
  const begin = Effect.gen(function*() {
    const context = yield* RuntimeContext
    const scope = yield* Effect.serviceOption(Scope.Scope)
    yield* Metric.update(started, 1)
    if (Option.isSome(scope)) {
      yield* Scope.addFinalizerExit(scope.value, (exit) => count(exit, endedEarly.has(context)))
    }
  })

  return {
    around: (stage, effect) => {
      const measured = Effect.flatMap(Clock.Clock, (clock) => {
        const since = clock.currentTimeNanosUnsafe()
        const measure = Effect.suspend(() =>
          Metric.update(durations[stage], Number(clock.currentTimeNanosUnsafe() - since) / 1e9)
        )
        return Effect.ensuring(effect, measure)
      })
      return stage === "prepare" ? Effect.andThen(begin, measured) : measured
    },
    onFinalize: (_, result) =>
      Effect.flatMap(RuntimeContext, (context) => {
        if (result.interrupted) endedEarly.add(context)
        return Metric.update(images, result.images.length)
      })
  }
}

const count = (exit: Exit.Exit<unknown, unknown>, endedEarly: boolean): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) return Metric.update(endedEarly ? interrupted : finished, 1)
  const type = errorType(exit.cause)
  return type === undefined
    ? Metric.update(interrupted, 1)
    : Metric.update(Metric.withAttributes(failed, { error_type: type }), 1)
}

/** The same hooks as a layer, for a program that needs no others. */
export const layer: Layer.Layer<RunnerHooks> = RunnerHooks.layer(make())

/**
 * All metrics of this process, including those of other libraries, in Prometheus text format 0.0.4.
 *
 * Serve it as `text/plain; version=0.0.4`, or let Effect's `PrometheusMetrics.layerHttp` do that.
 */
export const prometheus: Effect.Effect<string> = Effect.andThen(
  // Rates need an initial value, so counters that may still be zero are exported from the start.
  Effect.forEach([started, finished, interrupted, images], (metric) => Metric.value(metric), { discard: true }),
  PrometheusMetrics.format()
)
