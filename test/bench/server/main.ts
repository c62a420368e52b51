/**
 * `npm run bench:server`: what the server costs beside the library and beside other servers, and how it fares in a
 * crowd. Both sides of a ratio are measured in this run, in turn.
 *
 * Usage: `node --expose-gc main.ts [CHECKOUT]`. With the folder of another checkout, only the images per second of its
 * server and of this one are compared.
 */
import { cpus } from "node:os"
import { median } from "../median.ts"
import { crowd, type CrowdOptions } from "./crowd.ts"
import { roundTrip } from "./roundTrip.ts"
import { throughput } from "./throughput.ts"
import { trivial } from "./trivial.ts"

const print = (line: string) => process.stdout.write(`${line}\n`)

print(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown processor"}\n`)

const clients = 16
const printThroughput = async (baseline: string, against?: string) => {
  print(`Images of 128 x 128 in 4 steps per second, for ${clients} clients`)
  const { baseline: other, perSecond, ratios } = await throughput(clients, against)
  print(`  ${perSecond.toFixed(1)}   ${baseline} ${other.toFixed(1)}   ratio ${median(ratios).toFixed(3)}`)
  print(`  of neighbours ${ratios[0]?.toFixed(3)} to ${ratios.at(-1)?.toFixed(3)}\n`)
}
const [, , checkout] = process.argv
if (checkout !== undefined) {
  await printThroughput(checkout, checkout)
  process.exit(0)
}

print("A picture of 128 x 128 in 4 steps, 100 times over HTTP and 100 times by the library")
const { direct, http, ratio } = await roundTrip()
for (const share of ["p50", "p99"] as const) {
  print(
    `  ${share}  HTTP ${http[share].toFixed(1)} ms   library ${direct[share].toFixed(1)} ms   ratio ${
      (http[share] / direct[share]).toFixed(3)
    }`
  )
}
print(`  median of neighbours' ratios ${ratio.toFixed(3)}\n`)

await printThroughput("one client")

print("Requests per second of 32 connections, and processor time of the server for each")
for (const { bytes, path, rates } of await trivial()) {
  print(`  GET ${path}, ${bytes} bytes`)
  for (const [side, { cost, perSecond }] of Object.entries(rates)) {
    print(
      `    ${side.padEnd(10)} ${perSecond.toFixed(0).padStart(6)} /s   ${cost.toFixed(1).padStart(5)} us` +
        (side === "serena" ? "" : `   Serena's rate ${(rates.serena.perSecond / perSecond).toFixed(2)}`) +
        (side === "serena" ? "" : `, cost ${(rates.serena.cost / cost).toFixed(2)}`)
    )
  }
}

const inCrowd = async (name: string, options: CrowdOptions) => {
  print(`\n${options.clients} clients at once for ${options.seconds} s, ${name}`)
  const { after, answered, before, fewest, longestRetry, overtaken, p50, p99, refused, wrong } = await crowd(options)
  print(`  ${answered} answered, ${refused} told to come back (after ${longestRetry} s at most), ${wrong.length} wrong`)
  for (const what of wrong) print(`    ${what}`)
  print(`  each client has had ${fewest} pictures at least; nobody was overtaken by more than ${overtaken}`)
  print(`  p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms: ratio ${(p99 / p50).toFixed(2)}`)
  print(
    `  memory ${before.toFixed(0)} MB after ${options.settled} answers, ${after.toFixed(0)} MB at the end: ratio ${
      (after / before).toFixed(3)
    }`
  )
}
await inCrowd("with room for all in the queue", { clients: 200, seconds: 60, queue: 256, settled: 1000 })
await inCrowd("with the default queue", { clients: 200, seconds: 30, settled: 1000 })
