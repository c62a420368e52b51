import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Metrics from "../../src/instrumentation/Metrics.ts"
import * as Tracing from "../../src/instrumentation/Tracing.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import type { Services } from "../../src/Serena.ts"
import * as Serena from "../../src/Serena.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as ModelFaults from "../../src/testing/ModelFaults.ts"
import * as TestModel from "../../src/testing/TestModel.ts"
import * as TestRuntime from "../../src/testing/TestRuntime.ts"
import { serena, withEnvironment } from "../cli/command.ts"
import { filesIn, lines, temporaryFolder } from "../cli/process.ts"
import * as Collector from "./collector.ts"

const prompt = "a secret wish"
const request = Txt2Img.make({ prompt, negative_prompt: "a secret fear", seed: 7, steps: 3, width: 64, height: 64 })
const hooks = RunnerHooks.layer(Tracing.make())
const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

/** Runs something under a test's runtime, then gives the spans that a collector was sent by then. */
const traced = Effect.fnUntraced(function*<A, E>(
  work: Effect.Effect<A, E, TestRuntime.Services>,
  options: TestRuntime.LayerOptions = {}
) {
  const collector = yield* Collector.make()
  const exit = yield* Effect.exit(Effect.provide(
    work,
    Layer.merge(Tracing.layerOtlp({ endpoint: collector.endpoint }), TestRuntime.layer({ hooks, ...options }))
  ))
  return { collector, exit, spans: collector.spans() }
})

const named = (spans: ReadonlyArray<Collector.ReceivedSpan>, name: string) => {
  const span = spans.find((span) => span.name === name)
  assert(span !== undefined, name)
  return span
}

/** What is logged, line by line. */
const logTo = (log: Array<string>) =>
  Logger.layer([Logger.make(({ logLevel, message }) => log.push(`${logLevel} ${String(message)}`))])

describe("Tracing", () => {
  it.live("makes one trace of a run, each span below the one it is a part of", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(processImages({ ...request, n_iter: 2, batch_size: 2 }))
      const batch = ["    batch", "      sample", "      decode", "      decode"]
      const write = ["    write", "      encode", "      save", "      encode", "      save"]
      assert.deepStrictEqual(Collector.tree(spans), [
        "serena.run",
        "  prepare",
        "  execute",
        "    conditioning",
        ...batch,
        ...write,
        ...batch,
        ...write,
        "  finalize"
      ])
      assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 1)
      assert(spans.every(({ status }) => status.code === 1))
    }))

  it.live("says what the run was about, and who ran it", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(
        processImages({ ...request, sampler_name: "DPM++ 2M Karras", batch_size: 2 }, { runId: "my-run" })
      )
      const run = named(spans, "serena.run")
      assert.deepStrictEqual(run.attributes, {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.output.type": "image",
        "gen_ai.provider.name": "serena",
        "gen_ai.request.model": TestModel.make().name,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.seed": 7,
        "serena.run.id": "my-run",
        "serena.sampler": "DPM++ 2M",
        "serena.scheduler": "Karras",
        "serena.steps": 3,
        "serena.cfg_scale": 7,
        "serena.width": 64,
        "serena.height": 64,
        "serena.device": "cpu",
        "serena.images": 2,
        "serena.interrupted": false
      })
      assert.strictEqual(run.resource["service.name"], "serena")
      assert.match(String(run.resource["service.version"]), /^\d+\.\d+\.\d+/)
      assert.strictEqual(run.resource["telemetry.sdk.language"], "nodejs")
      assert.deepStrictEqual(named(spans, "batch").attributes, { "serena.batch.index": 0, "serena.batch.images": 2 })
      assert.deepStrictEqual(
        spans.filter(({ name }) => name === "save").map(({ attributes }) => attributes["serena.image.index"]),
        [0, 1]
      )
    }))

  it.live("has an event for each step, with its noise level", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(processImages(request))
      const { events } = named(spans, "sample")
      assert.deepStrictEqual(events.map(({ attributes, name }) => [name, attributes["serena.step"]]), [
        ["step", 1],
        ["step", 2],
        ["step", 3]
      ])
      const sigmas = events.map(({ attributes }) => Number(attributes["serena.sigma"]))
      assert.deepStrictEqual(sigmas, sigmas.toSorted((a, b) => b - a))
      assert.strictEqual(sigmas.at(-1), 0)
    }))

  it.live("keeps the prompts to itself unless it is asked for them", () =>
    Effect.gen(function*() {
      const failing = { faults: [Faults.die("finalize", new Error("full"))] }
      const silent = yield* traced(processImages(request))
      const failed = yield* traced(processImages(request), failing)
      for (const { collector, spans } of [silent, failed]) {
        assert.isAbove(spans.length, 3)
        assert.notInclude(collector.text(), "secret")
      }
      const telling = yield* traced(processImages(request), {
        hooks: RunnerHooks.layer(Tracing.make({ prompts: true }))
      })
      const { attributes } = named(telling.spans, "serena.run")
      assert.strictEqual(attributes["serena.prompt"], prompt)
      assert.strictEqual(attributes["serena.negative_prompt"], "a secret fear")
    }))

  it.live("says of a run that it failed, and of which error", () =>
    Effect.gen(function*() {
      const memory = yield* traced(processImages(request), {
        model: ModelFaults.outOfMemory({ step: 2 })(TestModel.make())
      })
      const run = named(memory.spans, "serena.run")
      assert.strictEqual(run.status.code, 2)
      assert.strictEqual(run.attributes["error.type"], "InferenceError")
      assert.include(run.status.message ?? "", "Failed to allocate memory")
      // Up to the span that failed, and none other.
      assert.sameMembers(
        memory.spans.filter(({ status }) => status.code === 2).map(({ name }) => name),
        ["serena.run", "execute", "batch", "sample"]
      )

      const defect = yield* traced(processImages(request), { faults: [Faults.die("execute", new TypeError("oops"))] })
      assert.strictEqual(named(defect.spans, "serena.run").attributes["error.type"], "TypeError")

      // Refused before it began.
      const refused = yield* traced(processImages({ ...request, steps: 1_000_000 }))
      assert.deepStrictEqual(Collector.tree(refused.spans), ["serena.run"])
      assert.strictEqual(named(refused.spans, "serena.run").attributes["error.type"], "InvalidProcessing")
    }))

  it.live("says of a run that it was interrupted, which is no error", () =>
    Effect.gen(function*() {
      const { fault, hanging } = yield* ModelFaults.hang({ step: 2 })
      const { spans } = yield* traced(
        Effect.gen(function*() {
          const run = yield* Effect.forkChild(processImages(request))
          yield* hanging
          yield* Fiber.interrupt(run)
        }),
        { model: fault(TestModel.make()) }
      )
      for (const name of ["serena.run", "execute", "batch", "sample"]) {
        const { attributes, status } = named(spans, name)
        assert.strictEqual(status.code, 0, name)
        assert.isTrue(attributes["effect.fiber.interrupted"], name)
        assert.isUndefined(attributes["error.type"], name)
      }
    }))

  it.live("is a part of the trace that its caller has begun", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(Effect.withSpan(processImages(request), "order"))
      assert.deepStrictEqual(Collector.tree(spans).slice(0, 3), ["order", "  serena.run", "    prepare"])
      assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 1)
    }))

  it.live("continues the trace of a traceparent header, and passes over one that is not valid", () =>
    Effect.gen(function*() {
      const [trace, parent] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"]
      const continued = yield* traced(processImages(request).pipe(Tracing.continueFrom(`00-${trace}-${parent}-01`)))
      const run = named(continued.spans, "serena.run")
      assert.deepStrictEqual([run.traceId, run.parentSpanId], [trace, parent])

      // Whoever asked decided that this trace is not recorded.
      const unsampled = yield* traced(processImages(request).pipe(Tracing.continueFrom(`00-${trace}-${parent}-00`)))
      assert.isTrue(unsampled.exit._tag === "Success")
      assert.deepStrictEqual(unsampled.spans, [])

      for (const header of [undefined, "", "nonsense", `00-${"0".repeat(32)}-${parent}-01`]) {
        const { spans } = yield* traced(processImages(request).pipe(Tracing.continueFrom(header)))
        assert.isUndefined(named(spans, "serena.run").parentSpanId, header)
      }
    }))

  it.live("has everything sent when its scope has closed, metrics as well", () =>
    Effect.gen(function*() {
      const { collector } = yield* traced(processImages(request), {
        hooks: RunnerHooks.layer(Tracing.make(), Metrics.make())
      })
      assert.sameMembers([...new Set(collector.requests.map(({ url }) => url))], ["/v1/traces", "/v1/metrics"])
      const metrics = new Map(collector.metrics().map((metric) => [metric.name, metric]))
      assert.isTrue(metrics.get("serena_runs_started_total")?.sum?.isMonotonic)
      const durations = metrics.get("serena_stage_duration_seconds")
      assert.strictEqual(durations?.unit, "s")
      assert.lengthOf(durations?.histogram?.dataPoints ?? [], 3)
    }))

  it.live("obeys the variables of OpenTelemetry", () =>
    Effect.gen(function*() {
      const sent = Effect.fnUntraced(function*(env: Record<string, string>, endpoint?: string) {
        const collector = yield* Collector.make()
        yield* processImages(request).pipe(
          Effect.provide(Layer.merge(
            Tracing.layerOtlp({ endpoint }).pipe(
              Layer.provide(environment({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, ...env }))
            ),
            TestRuntime.layer({ hooks })
          ))
        )
        return collector
      })
      const urls = ({ requests }: Collector.Collector) => requests.map(({ url }) => url).toSorted()

      const plain = yield* sent({})
      assert.deepStrictEqual(urls(plain), ["/v1/metrics", "/v1/traces"])
      assert.strictEqual(plain.requests[0]?.headers["content-type"], "application/json")

      const renamed = yield* sent({
        OTEL_SERVICE_NAME: "studio",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test,service.version=9",
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc",
        OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
        OTEL_METRICS_EXPORTER: "none"
      })
      assert.deepStrictEqual(urls(renamed), ["/v1/traces"])
      assert.strictEqual(renamed.requests[0]?.headers.authorization, "Bearer abc")
      assert.strictEqual(renamed.requests[0]?.headers["content-encoding"], "gzip")
      assert.include(named(renamed.spans(), "serena.run").resource, {
        "service.name": "studio",
        "service.version": "9",
        "deployment.environment": "test"
      })

      const byAttribute = yield* sent({ OTEL_RESOURCE_ATTRIBUTES: "service.name=gallery" })
      assert.strictEqual(named(byAttribute.spans(), "serena.run").resource["service.name"], "gallery")
      assert.isUndefined(named(byAttribute.spans(), "serena.run").resource["service.version"])

      const protobuf = yield* sent({ OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" })
      assert.strictEqual(protobuf.requests[0]?.headers["content-type"], "application/x-protobuf")
      assert.include(protobuf.text(), "serena.run")

      assert.deepStrictEqual(urls(yield* sent({ OTEL_SDK_DISABLED: "true" })), [])
      assert.deepStrictEqual(urls(yield* sent({ OTEL_EXPORTER_OTLP_ENDPOINT: "" })), [])

      // An endpoint in the program goes over those of the environment.
      const other = yield* Collector.make()
      const passedBy = yield* sent({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://localhost:1/" }, `${other.endpoint}/`)
      assert.deepStrictEqual(urls(passedBy), [])
      assert.deepStrictEqual(urls(other), ["/v1/metrics", "/v1/traces"])
    }))

  it.live("does a run no harm when no one takes its telemetry, and tells of it once", () =>
    Effect.gen(function*() {
      const closed = yield* Effect.scoped(Collector.make())
      const [silent, refusing] = [yield* Collector.make(Option.none()), yield* Collector.make(Option.some(401))]
      const bare = yield* Effect.provide(processImages(request), TestRuntime.layer())
      const run = Effect.fnUntraced(function*(env: Record<string, string>) {
        const log: Array<string> = []
        const processed = yield* processImages(request).pipe(
          Effect.provide(Layer.merge(
            Tracing.layerOtlp().pipe(Layer.provide([environment(env), logTo(log)])),
            TestRuntime.layer({ hooks })
          ))
        )
        assert.deepStrictEqual(processed.images[0]?.bytes, bare.images[0]?.bytes)
        return log
      })
      const timeout = { OTEL_EXPORTER_OTLP_TIMEOUT: "1000" }
      const logs = yield* Effect.all([
        run({ OTEL_EXPORTER_OTLP_ENDPOINT: closed.endpoint, ...timeout }),
        run({ OTEL_EXPORTER_OTLP_ENDPOINT: silent.endpoint, ...timeout }),
        run({ OTEL_EXPORTER_OTLP_ENDPOINT: refusing.endpoint, ...timeout }),
        run({ OTEL_EXPORTER_OTLP_ENDPOINT: "nonsense" }),
        run({ OTEL_EXPORTER_OTLP_PROTOCOL: "pigeon" })
      ], { concurrency: "unbounded" })
      const said = [
        "it cannot be reached",
        "it did not answer in time",
        "it answered with status 401",
        "settings",
        "settings"
      ]
      for (const [i, log] of logs.entries()) {
        assert.lengthOf(log, 1, log.join("\n"))
        assert.match(log[0] ?? "", /^Warn Telemetry /)
        assert.include(log[0] ?? "", said[i] ?? "")
      }
    }))

  it.live("shows the loading of a model in the run that waits for it, and in no later one", () =>
    Effect.gen(function*() {
      const collector = yield* Collector.make()
      const processing = { ...Txt2Img.make({ prompt, steps: 1 }), override_settings: { samples_save: false } }
      const serena: Layer.Layer<Services> = Serena.layer({ hooks, cmdOpts: { threads: 1 } })
      yield* Effect.andThen(processImages(processing), processImages(processing)).pipe(
        Effect.provide(Layer.merge(Tracing.layerOtlp({ endpoint: collector.endpoint }), serena))
      )
      const spans = collector.spans()
      const loads = spans.filter(({ name }) => name === "model.load")
      assert.sameMembers(loads.map(({ attributes }) => attributes["serena.network"]), [
        "text_encoder",
        "unet",
        "vae_decoder"
      ])
      assert(loads.every(({ attributes }) => attributes["serena.model"] === "shapes-128"))
      const [first, second] = spans.filter(({ name }) => name === "serena.run")
      assert(loads.every(({ traceId }) => traceId === first?.traceId))
      assert.deepStrictEqual(Collector.tree(spans.filter(({ traceId }) => traceId === second?.traceId)), [
        "serena.run",
        "  prepare",
        "  execute",
        "    conditioning",
        "    batch",
        "      sample",
        "      decode",
        "    write",
        "      encode",
        "  finalize"
      ])
    }))
})

describe("serena txt2img", () => {
  const command = (
    outdir: string
  ) => ["txt2img", prompt, ..."--steps 2 --seed 3 --threads 1 --outdir".split(" "), outdir]

  it.live("sends a trace where the environment or --otlp-endpoint says", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const [byVariable, byFlag] = [yield* Collector.make(), yield* Collector.make()]
      const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
      const first = yield* serena(command(outdir)).pipe(
        withEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: byVariable.endpoint })
      )
      const second = yield* serena([...command(outdir), "--otlp-endpoint", byFlag.endpoint]).pipe(withEnvironment({
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:1",
        OTEL_SERVICE_NAME: "batch-job",
        TRACEPARENT: `00-${trace}-00f067aa0ba902b7-01`
      }))
      for (const { code, stderr } of [first, second]) assert.strictEqual(code, 0, stderr)
      for (const collector of [byVariable, byFlag]) {
        const run = named(collector.spans(), "serena.run")
        assert.strictEqual(run.attributes["gen_ai.request.seed"], 3)
        assert.strictEqual(Collector.tree(collector.spans())[0], "serena.run")
        assert(collector.metrics().some(({ name }) => name === "serena_runs_finished_total"))
        assert.notInclude(collector.text(), "secret")
      }
      assert.isUndefined(named(byVariable.spans(), "serena.run").parentSpanId)
      assert.strictEqual(named(byVariable.spans(), "serena.run").resource["service.name"], "serena")
      assert.strictEqual(named(byFlag.spans(), "serena.run").traceId, trace)
      assert.strictEqual(named(byFlag.spans(), "serena.run").resource["service.name"], "batch-job")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("makes its images without a collector as well, and knows a URL", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const closed = yield* Effect.scoped(Collector.make())
      const flag = ["--otlp-endpoint", closed.endpoint]
      const [loud, quiet, wrong] = yield* Effect.all([
        serena([...command(outdir), ...flag]),
        serena([...command(outdir), ...flag, "--quiet"]),
        serena([...command(outdir), "--otlp-endpoint", "localhost:4318"])
      ], { concurrency: 2 }).pipe(withEnvironment({ OTEL_EXPORTER_OTLP_TIMEOUT: "1000" }))
      assert.strictEqual(loud.code, 0, loud.stderr)
      assert.include(loud.stderr, `Telemetry could not be sent to ${closed.endpoint}`)
      assert.deepStrictEqual({ code: quiet.code, stderr: quiet.stderr }, { code: 0, stderr: "" })
      assert.sameMembers([...lines(loud.stdout), ...lines(quiet.stdout)].map((path) => path.slice(outdir.length + 1)), [
        ...(yield* filesIn(outdir))
      ])
      assert.deepStrictEqual({ code: wrong.code, stdout: wrong.stdout }, { code: 2, stdout: "" })
      assert.match(wrong.stderr, /^The request cannot be processed\. Correct --otlp-endpoint: .*\n$/)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
