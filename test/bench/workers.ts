/**
 * Two workers of one thread each, against one: runs per second of a cluster on PostgreSQL, whose server is started for
 * this. One worker and two are measured in turn, by the same runs.
 */
import * as Effect from "effect/Effect"
import { temporaryFolder } from "../cli/process.ts"
import { server, worker } from "../cluster/cluster.ts"
import { postgres } from "../runs/postgres.ts"

const request = { prompt: "a red circle", steps: 20, width: 128, height: 128 }

/** Runs per second with one worker and with two, for each pair. */
export const workers = Effect.fnUntraced(function*(
  { pairs, runs }: { readonly pairs: number; readonly runs: number }
) {
  const database = yield* postgres
  const places = { database: yield* database.database, blobs: yield* temporaryFolder }
  const front = yield* server(places, ["--queue", String(2 * runs)])
  // The second one takes what the label asks of it, so that both are warm before the clock starts.
  const start = (label: string) => worker(places, ["--label", label])
  const submit = (count: number, requires: ReadonlyArray<string>) =>
    Effect.forEach(
      Array.from({ length: count }, (_, seed) => seed),
      (seed) => front.submit({ ...request, seed, requires })
    )
  /** Runs per second, from the moment the queue moves until the last run has ended. */
  const rate = Effect.gen(function*() {
    yield* front.request("PATCH", "/v1/queue", { paused: true })
    const ids = yield* submit(runs, [])
    const begun = performance.now()
    yield* front.request("PATCH", "/v1/queue", { paused: false })
    // A reader of their events would cost the front end more than this.
    for (const { id } of ids) while ((yield* front.get(id)).status._tag !== "Done") yield* Effect.sleep(50)
    return runs / (performance.now() - begun) * 1000
  })
  const warm = (label: string) =>
    Effect.flatMap(submit(2, [label]), Effect.forEach(({ id }) => front.end(id), { discard: true }))

  yield* start("first")
  yield* warm("first")
  const found: Array<{ readonly one: number; readonly two: number }> = []
  for (let pair = 0; pair < pairs; pair++) {
    const one = yield* rate
    const two = yield* Effect.scoped(Effect.gen(function*() {
      const second = yield* start("second")
      yield* warm("second")
      const measured = yield* rate
      yield* second.send("SIGTERM")
      yield* second.end
      return measured
    }))
    found.push({ one, two })
  }
  return found
})
