/**
 * One trace for each run.
 *
 * The pipeline opens Effect's own spans: `serena.run` over `prepare`, `execute` and `finalize`; under execute
 * `conditioning`, and for each `batch` its `sample` and `decode`; under finalize `encode` and `save`. Each sampling step is
 * an event of `sample`, and a network that has to be opened first is a `model.load`. This file says what a run was about,
 * in OpenTelemetry's words, and sends it all to a collector.
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
import { type HookSet, RunnerHooks } from "../runner/RunnerHooks.ts"
import { RuntimeContext } from "../runner/RuntimeContext.ts"
import { version } from "../version.ts"

export interface Options {
  /** Whether spans carry the prompts, which may be private; they don't unless this is set. */
  readonly prompts?: boolean | undefined
}

/**
 * Hooks that put attributes on the span of the run.
 *
 * Names are those of OpenTelemetry's conventions for generative AI where there is one, else `serena.`.
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
      "gen_ai.request.seed": images[0]?.seed ?? processing.seed,
      "serena.run.id": runId,
      "serena.sampler": sampler,
      "serena.scheduler": scheduler,
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

/** The same as a layer, for a program that needs no other hooks. */
export const layer = (options?: Options): Layer.Layer<RunnerHooks> => RunnerHooks.layer(make(options))

/**
 * Sends spans, logs and metrics by OTLP over HTTP.
 *
 * The standard variables decide (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_EXPORTER`, ...), and nothing is sent when none of them names an endpoint. The
 * body is JSON, or protobuf for `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`. What is left to send is sent when the layer's
 * scope closes. Telemetry that cannot be sent is dropped, with one warning in the log.
 */
export const layerOtlp = (options: {
  /** Base URL of the collector, such as `http://localhost:4318`; it goes over the endpoints of the environment. */
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
      Layer.effectDiscard(Effect.logWarning("Telemetry is not sent, as its settings cannot be used.", cause))
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

// What OpenTelemetry's specification says that holds when a variable is not set, and who we are unless told otherwise.
const defaults = Effect.gen(function*() {
  const name = yield* Config.option(Config.String("OTEL_SERVICE_NAME"))
  const attributes = yield* Config.String("OTEL_RESOURCE_ATTRIBUTES").pipe(Config.withDefault(""))
  const isNamed = Option.isSome(name) || /(?:^|,)\s*service\.name\s*=/.test(attributes)
  return variables({
    ...Object.fromEntries(signals.map((signal) => [`OTEL_${signal}_EXPORTER`, "otlp"])),
    ...(!isNamed && { OTEL_SERVICE_NAME: "serena", OTEL_SERVICE_VERSION: version })
  })
})

// Whoever looks for his traces in vain is told why, once.
const layerClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, (client) => {
    let told = false
    const tell = (url: string, reason: string) =>
      Effect.suspend(() => {
        if (told) return Effect.void
        told = true
        return Effect.logWarning(`Telemetry could not be sent to ${url}: ${reason}.`)
      })
    return HttpClient.transform(client, (response, { url }) =>
      Effect.onExit(response, (exit) => {
        if (Exit.isFailure(exit)) {
          return tell(url, Cause.hasInterruptsOnly(exit.cause) ? "there was no answer in time" : "it cannot be reached")
        }
        const { status } = exit.value
        return status >= 200 && status < 300 ? Effect.void : tell(url, `the answer was ${status}`)
      }))
  })
).pipe(Layer.provide(FetchHttpClient.layer))

/**
 * Makes the run a part of a trace that began elsewhere, as a W3C `traceparent` header names it. A header that is absent
 * or not valid is passed over.
 */
export const continueFrom =
  (traceparent: string | undefined) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Option.match(HttpTraceContext.w3c(Headers.fromInput({ traceparent })), {
      onNone: () => effect,
      onSome: (span) => Effect.withParentSpan(effect, span)
    })
