/**
 * What each hook set costs: a trace sent to a collector by OTLP, metrics, progress on standard error, ways to end a
 * run, and all of them, of the same run.
 *
 * Whole runs of the embedded model vary more from one to the next than instrumentation adds to them. So the same is
 * done with a model that is almost no work: what comes on top there, in microseconds, comes on top of any run of these
 * steps.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import * as Cancellation from "../../src/instrumentation/Cancellation.ts"
import * as Metrics from "../../src/instrumentation/Metrics.ts"
import * as Progress from "../../src/instrumentation/Progress.ts"
import * as Tracing from "../../src/instrumentation/Tracing.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { combine } from "../../src/runner/Lifecycle.ts"
import type { Pipeline } from "../../src/runner/Pipeline.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { type HookSet, RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import type { CaptureContext } from "../../src/runner/RuntimeContext.ts"
import * as Serena from "../../src/Serena.ts"
import * as TestRuntime from "../../src/testing/TestRuntime.ts"
import { compared, figure, type Row } from "./report.ts"

const steps = 20

const processing = (size: number) =>
  Txt2Img.make({
    prompt: "a red circle",
    seed: 1,
    steps,
    width: size,
    height: size,
    override_settings: { samples_save: false, live_previews_enable: false }
  })

// In a thread of its own, as a collector is another process.
const collector = `
  const { parentPort } = require("node:worker_threads")
  const { createServer } = require("node:http")
  const server = createServer((request, response) => request.resume().on("end", () => response.end("{}")))
  server.listen(0, "127.0.0.1", () => parentPort.postMessage("http://127.0.0.1:" + server.address().port))
`

type Services = CaptureContext | Pipeline | RunnerHooks

const names = {
  tracing: "tracing, exported by OTLP",
  metrics: "metrics",
  progress: "progress",
  cancellation: "cancellation: a time limit, a signal",
  all: "tracing, metrics, progress and a limit"
}
type Name = keyof typeof names | "nothing"
type Times = Readonly<Record<Name, Array<number>>>

/** Of all in turn, in this process: runs of the embedded model, and what is added to one of the arithmetic model. */
export const instrumentationCost = async (): Promise<ReadonlyArray<Row>> => {
  const thread = new Worker(collector, { eval: true })
  const [endpoint] = await once(thread, "message")
  const scope = Scope.makeUnsafe()
  const build = <A>(layer: Layer.Layer<A>) => Effect.runPromise(Layer.buildWithScope(layer, scope))
  try {
    const progress = await Effect.runPromise(Effect.provide(Progress.make(), Stdio.layerTest({})))
    const exporter = await build(Tracing.layerOtlp({ endpoint: String(endpoint) }))
    const variants: ReadonlyArray<readonly [Name, ReadonlyArray<HookSet>, Context.Context<never>]> = [
      ["nothing", [], Context.empty()],
      ["tracing", [Tracing.make()], exporter],
      ["metrics", [Metrics.make()], Context.empty()],
      ["progress", [progress], Context.empty()],
      [
        "cancellation",
        [Cancellation.timeout("1 hour"), Cancellation.onSignal(new AbortController().signal)],
        Context.empty()
      ],
      ["all", [Tracing.make(), Metrics.make(), progress, Cancellation.timeout("1 hour")], exporter]
    ]
    const measure = async (services: Context.Context<Services>, size: number, rounds: number): Promise<Times> => {
      const request = processing(size)
      const run = (hooks: ReadonlyArray<HookSet>, exporter: Context.Context<never>) =>
        Effect.runPromiseWith(
          services.pipe(Context.add(RunnerHooks, RunnerHooks.of(combine(hooks))), Context.merge(exporter))
        )(processImages(request))
      const times: Times = {
        nothing: [],
        tracing: [],
        metrics: [],
        progress: [],
        cancellation: [],
        all: []
      }
      for (const [, hooks, exporter] of variants) await run(hooks, exporter)
      for (let round = 0; round < rounds; round++) {
        // Each has each place in the order as often.
        for (let i = 0; i < variants.length; i++) {
          const variant = variants[(i + round) % variants.length]
          if (variant === undefined) continue
          const [name, hooks, exporter] = variant
          const begun = performance.now()
          await run(hooks, exporter)
          times[name].push(performance.now() - begun)
        }
      }
      return times
    }
    const run = await measure(await build(Serena.layer()), 128, 15)
    const small = await measure(await build(TestRuntime.layer()), 8, 200)
    return (["tracing", "metrics", "progress", "cancellation", "all"] as const).flatMap((name) => [
      compared(`a run with ${names[name]}`, "ms", run[name], "without", run.nothing),
      figure(
        `added to any run by ${names[name]}`,
        "us",
        small[name].map((time, i) => (time - (small.nothing[i] ?? NaN)) * 1000)
      )
    ])
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await thread.terminate()
  }
}
