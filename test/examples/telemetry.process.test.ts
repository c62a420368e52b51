import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { freePort } from "../server/sockets.ts"
import { folderWith, lines, run } from "./reader.ts"

it.live("a run is traced, with a collector or without one, and as a part of a larger trace", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("tracing")
    const [traced, larger] = yield* Effect.all([
      // Whoever listens on that port, the program ends as it should.
      run(folder, "traced.mts", { OTEL_EXPORTER_OTLP_TIMEOUT: "1000" }),
      run(folder, "larger.mts")
    ], { concurrency: 2 })
    assert.strictEqual(traced.code, 0, traced.stderr)
    assert.strictEqual(larger.code, 0, larger.stderr)
    assert.deepStrictEqual(lines(larger.stdout), [
      "prepare in serena.run",
      "conditioning in execute",
      "sample in batch",
      "decode in batch",
      "batch in execute",
      "encode in write",
      "save in write",
      "write in execute",
      "execute in serena.run",
      "finalize in serena.run",
      "serena.run in order",
      "order in 4bf92f35..."
    ])
  }))

it.live("runs are counted, and what was counted is served", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("metrics")
    const [counted, scraped] = yield* Effect.all([
      run(folder, "counted.mts"),
      run(folder, "scraped.mts", { PORT: String(yield* freePort) })
    ], { concurrency: 2 })
    assert.strictEqual(counted.code, 0, counted.stderr)
    assert.deepStrictEqual(lines(counted.stdout), [
      "serena_images_total 2",
      "serena_runs_failed_total{error_type=\"UnknownSampler\"} 1",
      "serena_runs_finished_total 1",
      "serena_runs_interrupted_total 0",
      "serena_runs_started_total 2",
      "serena_steps_total 5"
    ])
    assert.deepStrictEqual(lines(scraped.stdout), ["serena_runs_finished_total 1"], scraped.stderr)
  }))
