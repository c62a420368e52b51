/**
 * `npm run bench:cluster`: what a second worker adds, and what a thousand readers cost.
 *
 *     npm run bench:cluster -- [--pairs 5] [--runs 40] [--readers 1000] [--json] [--keep]
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { begin, compared, figure, reportFlags } from "./report.ts"
import { readers } from "./server/readers.ts"
import { workers } from "./workers.ts"

const { values } = parseArgs({
  options: {
    ...reportFlags,
    pairs: { type: "string", default: "5" },
    runs: { type: "string", default: "40" },
    readers: { type: "string", default: "1000" }
  }
})
const report = begin("cluster", "npm run bench:cluster", values)

const pairs = await Effect.runPromise(
  workers({ pairs: Number(values.pairs), runs: Number(values.runs) }).pipe(
    Effect.scoped,
    Effect.provide(NodeServices.layer)
  )
)
report.add(
  compared(
    "runs per second of two workers of one thread, from PostgreSQL",
    "/s",
    pairs.map(({ two }) => two),
    "one worker of one thread",
    pairs.map(({ one }) => one),
    { isRate: true, target: 1.8 }
  )
)

const count = Number(values.readers)
const { delay, ended, memory, seconds } = await readers({ readers: count, runs: 10 })
const of = `${count} readers of the events of 10 runs`
report.add(
  figure(`${of}: how many see the end`, "", [ended], { isRate: true, target: count }),
  figure("the same: from the end of a run to its event at a reader, p50", "ms", [delay.p50]),
  figure("the same: from the end of a run to its event at a reader, p99", "ms", [delay.p99]),
  figure("the same: memory of the server for each reader", "kB", [(memory.most - memory.before) * 1000 / count]),
  compared("the same: time of the runs", "s", [seconds.read], "without readers", [seconds.unread])
)
report.end()
