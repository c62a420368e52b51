/** An OpenTelemetry collector on this machine, that keeps what it is sent. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { gunzipSync } from "node:zlib"

// OTLP/JSON, as opentelemetry-proto defines it: 64-bit numbers are text, ids are lower-case hex.
const Value = Schema.Struct({
  stringValue: Schema.optionalKey(Schema.String),
  boolValue: Schema.optionalKey(Schema.Boolean),
  intValue: Schema.optionalKey(Schema.Union([Schema.Int, Schema.String])),
  doubleValue: Schema.optionalKey(Schema.Finite)
})
const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Value }))
const nanos = Schema.String.check(Schema.isPattern(/^\d{19}$/))

const Span = Schema.Struct({
  traceId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)),
  spanId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
  parentSpanId: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/))),
  name: Schema.String,
  startTimeUnixNano: nanos,
  endTimeUnixNano: nanos,
  attributes: Attributes,
  events: Schema.Array(Schema.Struct({ name: Schema.String, timeUnixNano: nanos, attributes: Attributes })),
  status: Schema.Struct({ code: Schema.Literals([0, 1, 2]), message: Schema.optionalKey(Schema.String) })
})

const Resource = Schema.Struct({ attributes: Attributes })

const Traces = Schema.Struct({
  resourceSpans: Schema.Array(Schema.Struct({
    resource: Resource,
    scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) }))
  }))
})

const Metrics = Schema.Struct({
  resourceMetrics: Schema.Array(Schema.Struct({
    resource: Resource,
    scopeMetrics: Schema.Array(Schema.Struct({
      metrics: Schema.Array(Schema.Struct({
        name: Schema.String,
        unit: Schema.String,
        sum: Schema.optionalKey(Schema.Struct({ isMonotonic: Schema.Boolean })),
        histogram: Schema.optionalKey(Schema.Struct({
          dataPoints: Schema.Array(Schema.Struct({ attributes: Attributes, count: Schema.Int, sum: Schema.Finite }))
        }))
      }))
    }))
  }))
})

const decodeTraces = Schema.decodeUnknownSync(Schema.fromJsonString(Traces))
const decodeMetrics = Schema.decodeUnknownSync(Schema.fromJsonString(Metrics))

export type Fields = Readonly<Record<string, string | number | boolean>>

/** A span, with attributes as plain values. */
export interface ReceivedSpan extends Omit<typeof Span.Type, "attributes" | "events"> {
  readonly attributes: Fields
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: Fields }>
  readonly resource: Fields
}

export interface Collector {
  /** The base URL to send to. */
  readonly endpoint: string
  readonly requests: ReadonlyArray<{ readonly url: string; readonly headers: IncomingHttpHeaders }>
  readonly spans: () => ReadonlyArray<ReceivedSpan>
  readonly metrics: () => ReadonlyArray<
    (typeof Metrics.Type)["resourceMetrics"][number]["scopeMetrics"][number]["metrics"][number]
  >
  /** Everything that was sent, as text. */
  readonly text: () => string
}

const plain = (attributes: typeof Attributes.Type): Fields =>
  Object.fromEntries(attributes.map(({ key, value }) => {
    const { boolValue, doubleValue, intValue, stringValue } = value
    return [key, stringValue ?? boolValue ?? doubleValue ?? (intValue === undefined ? "" : Number(intValue))]
  }))

/** A collector that gives this answer to everything; without one it never answers. */
export const make = (
  answer: Option.Option<number> = Option.some(200)
): Effect.Effect<Collector, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly collector: Collector; readonly close: () => void }>((resume) => {
        const requests: Array<{ url: string; headers: IncomingHttpHeaders; body: string }> = []
        const server = createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const bytes = Buffer.concat(chunks)
            const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes
            requests.push({ url: request.url ?? "", headers: request.headers, body: body.toString() })
            if (Option.isSome(answer)) {
              response.writeHead(answer.value, { "content-type": "application/json" }).end("{}")
            }
          })
        })
        const bodies = (url: string) => requests.filter((request) => request.url.endsWith(url)).map(({ body }) => body)
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const collector: Collector = {
            endpoint: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
            requests,
            text: () => requests.map(({ body }) => body).join("\n"),
            spans: () =>
              bodies("/v1/traces").flatMap((body) =>
                decodeTraces(body).resourceSpans.flatMap(({ resource, scopeSpans }) =>
                  scopeSpans.flatMap(({ spans }) =>
                    spans.map((span) => ({
                      ...span,
                      resource: plain(resource.attributes),
                      attributes: plain(span.attributes),
                      events: span.events.map(({ attributes, name }) => ({ name, attributes: plain(attributes) }))
                    }))
                  )
                )
              ),
            // Later values go over earlier ones, so the last message says it all.
            metrics: () =>
              bodies("/v1/metrics").slice(-1).flatMap((body) =>
                decodeMetrics(body).resourceMetrics.flatMap(({ scopeMetrics }) =>
                  scopeMetrics.flatMap(({ metrics }) => metrics)
                )
              )
          }
          resume(Effect.succeed({
            collector,
            close: () => {
              server.close()
              server.closeAllConnections()
            }
          }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ collector }) => collector
  )

/** The names of the spans, each indented below its parent, in the order in which they began. */
export const tree = (spans: ReadonlyArray<ReceivedSpan>): ReadonlyArray<string> => {
  const ids = new Set(spans.map(({ spanId }) => spanId))
  const began = spans.map((span, index) => ({ span, index })).sort((a, b) =>
    Number(BigInt(a.span.startTimeUnixNano) - BigInt(b.span.startTimeUnixNano)) || b.index - a.index
  ).map(({ span }) => span)
  const below = (parent: string | undefined, depth: number): ReadonlyArray<string> =>
    began.filter(({ parentSpanId }) =>
      parent === undefined ? parentSpanId === undefined || !ids.has(parentSpanId) : parentSpanId === parent
    ).flatMap(({ name, spanId }) => [`${"  ".repeat(depth)}${name}`].concat(below(spanId, depth + 1)))
  return below(undefined, 0)
}
