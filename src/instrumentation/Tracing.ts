/**
 * One trace per run.
 *
 * The pipeline opens Effect's own spans: `serena.run` over `prepare`, `execute` and `finalize`; under execute
 * `conditioning`, and for each `batch` its `sample` and `decode`, and for each `write` its `encode` and `save`. Each
 * sampling step is an event of `sample`, and opening a network is a `model.load`. This module adds attributes that
 * follow OpenTelemetry's conventions and exports everything to a collector.
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Option from "effect/Option"
import { toJson } from "../core/Seed.ts"
import { type HookSet, RunnerHooks } from "../runner/RunnerHooks.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import { version } from "../version.ts"

export interface Options {
  /** Whether spans include the prompts, which may be private. Off by default. */
  readonly prompts?: boolean | undefined
}

/**
 * Hooks that set attributes on the span of the run.
 *
 * Names follow OpenTelemetry's conventions for generative AI where one exists, and start with `serena.` otherwise.
 */
export const make = (options: Options = {}): HookSet => ({
  onPrepare: Effect.fnUntraced(function*({ batches, height, processing, runId, sampler, scheduler, width }) {
    const { device, model } = yield* RuntimeContext
    const images = batches.flat()
    yield* Effect.annotateCurrentSpan({
      "gen_ai.operation.name": "generate_content",
      "gen_ai.output.type": "image",
      "gen_ai.provider.name": "serena",
      "gen_ai.request.model": model.name,
      "gen_ai.request.choice.count": images.length,
      "gen_ai.request.seed": toJson(images[0]?.seed ?? processing.seed),
      "serena.run.id": runId,
      "serena.sampler": sampler.name,
      "serena.scheduler": scheduler.label,
      "serena.steps": processing.steps,
      "serena.cfg_scale": processing.cfg_scale,
      "serena.width": width,
      "serena.height": height,
      "serena.device": device.provider,
      ...(options.prompts === true && {
        "serena.prompt": processing.prompt,
        "serena.negative_prompt": processing.negative_prompt
      })
    })
  }),
  onFinalize: (_, { images, interrupted }) =>
    Effect.annotateCurrentSpan({ "serena.images": images.length, "serena.interrupted": interrupted })
})

/** The same hooks as a layer, for a program that needs no others. */
export const layer = (options?: Options): Layer.Layer<RunnerHooks> => RunnerHooks.layer(make(options))

/**
 * Exports spans, logs and metrics with OTLP over HTTP.
 *
 * The standard environment variables configure it (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
 * `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_EXPORTER`, ...). Nothing is sent unless one of
 * them names an endpoint. The body is JSON, or protobuf with `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`. Pending
 * telemetry is sent when the layer's scope closes. Telemetry that cannot be sent is dropped, with one warning in the
 * log.
 */
export const layerOtlp = (options: {
  /** Base URL of the collector, such as `http://localhost:4318`. Overrides the endpoints from the environment. */
  readonly endpoint?: string | undefined
} = {}): Layer.Layer<never> =>
  Layer.unwrap(Effect.gen(function*() {
    const environment = yield* ConfigProvider.ConfigProvider
    const protocol = yield* Config.Literals(["http/json", "http/protobuf"], "OTEL_EXPORTER_OTLP_PROTOCOL").pipe(
      Config.withDefault("http/json")
    )
    return Otlp.layerFromConfig().pipe(
      Layer.provide(protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
      Layer.provide(ConfigProvider.layer(
        ConfigProvider.orElse(
          ConfigProvider.orElse(endpoints(options.endpoint), environment),
          yield* defaults
        )
      ))
    )
  })).pipe(
    Layer.provide(layerClient),
    Layer.catchCause((cause) =>
      Layer.effectDiscard(Effect.logWarning("Telemetry is disabled because its settings are invalid.", cause))
    )
  )

const signals = ["TRACES", "METRICS", "LOGS"]

const variables = (env: Record<string, string>) => ConfigProvider.fromEnv({ env })

const endpoints = (endpoint: string | undefined) =>
  variables(
    endpoint === undefined ? {} : Object.fromEntries(
      signals.map((signal) => [
        `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`,
        `${endpoint.replace(/\/+$/, "")}/v1/${signal.toLowerCase()}`
      ])
    )
  )

// Defaults from OpenTelemetry's specification, and Serena's own service name.
const defaults = Effect.gen(function*() {
  const name = yield* Config.option(Config.String("OTEL_SERVICE_NAME"))
  const attributes = yield* Config.String("OTEL_RESOURCE_ATTRIBUTES").pipe(Config.withDefault(""))
  const isNamed = Option.isSome(name) || /(?:^|,)\s*service\.name\s*=/.test(attributes)
  return variables({
    ...Object.fromEntries(signals.map((signal) => [`OTEL_${signal}_EXPORTER`, "otlp"])),
    ...(!isNamed && { OTEL_SERVICE_NAME: "serena", OTEL_SERVICE_VERSION: version })
  })
})

// Logs the reason once, for anyone who is missing their traces.
const layerClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, (client) => {
    let reported = false
    const report = (url: string, reason: string) =>
      Effect.suspend(() => {
        if (reported) return Effect.void
        reported = true
        return Effect.logWarning(`Telemetry could not be sent to ${url}: ${reason}.`)
      })
    return HttpClient.transform(client, (response, { url }) =>
      Effect.onExit(response, (exit) => {
        if (Exit.isFailure(exit)) {
          return report(url, Cause.hasInterruptsOnly(exit.cause) ? "it did not answer in time" : "it cannot be reached")
        }
        const { status } = exit.value
        return status >= 200 && status < 300 ? Effect.void : report(url, `it answered with status ${status}`)
      }))
  })
).pipe(Layer.provide(FetchHttpClient.layer))

/**
 * Joins the run to a trace that started elsewhere, identified by a W3C `traceparent` header. A missing or invalid
 * header is ignored.
 */
export const continueFrom =
  (traceparent: string | undefined) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Option.match(HttpTraceContext.w3c(Headers.fromInput({ traceparent })), {
      onNone: () => effect,
      onSome: (span) => Effect.withParentSpan(effect, span)
    })
