/**
 * The metrics of this process at `/metrics`, as Prometheus scrapes them. Like health checks, it requires no sign-in.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { prometheus } from "../instrumentation/Metrics.ts"
import * as Metrics from "../runs/metrics.ts"
import { RunStore } from "../runs/RunStore.ts"

/** The route. Gauges of the queue are those of the moment; while the store is out of reach, those of its last look. */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const store = yield* RunStore
    yield* router.add(
      "GET",
      "/metrics",
      Effect.map(
        Effect.andThen(Effect.ignore(Metrics.observe(store)), prometheus),
        (text) => HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
      )
    )
  })
)
