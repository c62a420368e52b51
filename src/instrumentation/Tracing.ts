/**
 * One trace for each run.
 *
 * The pipeline opens Effect's own spans: `serena.run` over `prepare`, `execute` and `finalize`, with `conditioning`,
 * `batch`, `sample` and `decode` under execute, and `encode` and `save` under finalize; each sampling step is an event of
 * `sample`. This file says what a run was about, in OpenTelemetry's words, and sends it all to a collector.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Option from "effect/Option"
import type { HookSet } from "../runner/RunnerHooks.ts"
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

/**
 * Sends spans, logs and metrics by OTLP (JSON over HTTP).
 *
 * Without an endpoint, the standard variables decide (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`,
 * `OTEL_RESOURCE_ATTRIBUTES`, ...), and nothing is sent when none of them names one. What is left to send is sent when the
 * layer's scope closes.
 */
export const layerOtlp = (options: {
  /** Base URL of the collector, such as `http://localhost:4318`. */
  readonly endpoint?: string | undefined
} = {}): Layer.Layer<never> =>
  Layer.unwrap(Effect.gen(function*() {
    if (options.endpoint !== undefined) return Otlp.layerJson({ baseUrl: options.endpoint, resource })
    const named = yield* Effect.forEach(endpointVariables, (name) => Effect.option(Config.String(name)))
    return named.some(Option.isSome)
      ? Otlp.layerFromConfig({ resource }).pipe(Layer.provide(OtlpSerialization.layerJson))
      : Layer.empty
  })).pipe(Layer.provide(FetchHttpClient.layer))

const resource = { serviceName: "serena", serviceVersion: version }

const endpointVariables = [
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
  "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
  "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
]

/**
 * Makes the run a part of a trace that began elsewhere, as a W3C `traceparent` header names it. A header that is absent
 * or not valid is passed over, and the run begins a trace of its own.
 */
export const continueFrom = (traceparent: string | undefined) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Option.match(HttpTraceContext.fromHeaders(Headers.fromInput({ traceparent })), {
    onNone: () => effect,
    onSome: (span) => Effect.withParentSpan(effect, span)
  })
