/**
 * Exports traces and metrics of a command to the collector that a flag or the environment names.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const unchanged = <A, E, R>(run: Effect.Effect<A, E, R>) => run

/**
 * The exporter, its hooks, and a wrapper that continues a trace from elsewhere. Without a collector they do nothing,
 * and the exporter's modules are not loaded.
 */
export const observe = Effect.fnUntraced(function*(endpoint: string | undefined) {
  const isConfigured = endpoint !== undefined ||
    Object.keys(process.env).some((name) => /^OTEL_EXPORTER_OTLP_.*ENDPOINT$/.test(name))
  if (!isConfigured) return { layer: Layer.empty, hooks: [], continued: unchanged }
  const { Metrics, Tracing } = yield* Effect.promise(() => import("../instrumentation/index.ts"))
  return {
    layer: Tracing.layerOtlp({ endpoint }),
    hooks: [Tracing.make(), Metrics.make()],
    continued: Tracing.continueFrom(process.env["TRACEPARENT"])
  }
})
