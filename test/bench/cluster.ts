/**
 * `npm run bench:cluster`: what a second worker adds, and what a thousand readers cost.
 *
 *     npm run bench:cluster -- [--pairs 5] [--runs 40] [--readers 1000]
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { cpus } from "node:os"
import { parseArgs } from "node:util"
import { readers } from "./server/readers.ts"
import { workers } from "./workers.ts"

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "5" },
    runs: { type: "string", default: "40" },
    readers: { type: "string", default: "1000" }
  }
})
const print = (line: string) => process.stdout.write(`${line}\n`)

print(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown processor"}\n`)

const { one, ratio, two } = await Effect.runPromise(
  workers({ pairs: Number(values.pairs), runs: Number(values.runs) }).pipe(
    Effect.scoped,
    Effect.provide(NodeServices.layer)
  )
)
print("Runs of 128 x 128 in 20 steps from PostgreSQL, by workers of one thread each")
print(`  one ${one.toFixed(2)} /s   two ${two.toFixed(2)} /s   ratio ${ratio.toFixed(3)} (median of pairs)\n`)

const count = Number(values.readers)
const { delay, ended, memory, seconds } = await readers({ readers: count, runs: 10 })
print(`${count} readers of the events of 10 runs of 64 x 64 in 2 batches of 10 steps`)
print(`  ${ended} have seen the end, after p50 ${delay.p50} ms, p99 ${delay.p99} ms, ${delay.longest} ms at most`)
print(
  `  the runs took ${seconds.read.toFixed(2)} s, and ${seconds.unread.toFixed(2)} s when nobody read: ratio ${
    (seconds.read / seconds.unread).toFixed(3)
  }`
)
print(
  `  memory ${memory.before.toFixed(0)} MB before, ${memory.most.toFixed(0)} MB at most, ${
    memory.after.toFixed(0)
  } MB after: ${((memory.most - memory.before) * 1000 / count).toFixed(0)} kB for each reader`
)
