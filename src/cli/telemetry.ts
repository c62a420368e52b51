/**
 * Exports traces and metrics of a command to the collector that a flag or the environment names, and counts its runs
 * for others who export.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const unchanged = <A, E, R>(run: Effect.Effect<A, E, R>) => run

/**
 * The exporter, its hooks, and a wrapper that continues a trace from elsewhere. Without a collector they do nothing but
 * count, when `counts` asks for it; otherwise their modules are not even loaded.
 */
export const observe = Effect.fnUntraced(function*(endpoint: string | undefined, { counts = false } = {}) {
  const isConfigured = endpoint !== undefined ||
    Object.keys(process.env).some((name) => /^OTEL_EXPORTER_OTLP_.*ENDPOINT$/.test(name))
  if (!isConfigured && !counts) return { layer: Layer.empty, hooks: [], continued: unchanged }
  const { Metrics, Tracing } = yield* Effect.promise(() => import("../instrumentation/index.ts"))
  if (!isConfigured) return { layer: Layer.empty, hooks: [Metrics.make()], continued: unchanged }
  return {
    layer: Tracing.layerOtlp({ endpoint }),
    hooks: [Tracing.make(), Metrics.make()],
    continued: Tracing.continueFrom(process.env["TRACEPARENT"])
  }
})
