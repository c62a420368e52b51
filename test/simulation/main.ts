/**
 * `npm run simulate`: prints what a cluster of 1 to 1000 workers asks of its database.
 *
 * `npm run simulate -- load=0.9 beatEvery=5` overrides parameters, `workers=30` simulates only so many, and `measure`
 * first measures the statements on this machine.
 */
import * as Effect from "effect/Effect"
import { defaults, measured, type Parameters, type Result, simulate } from "./cluster.ts"
import { measure } from "./measure.ts"

const args = process.argv.slice(2)

const given: Partial<Parameters> = Object.fromEntries(
  args.filter((arg) => arg !== "measure").map((arg) => {
    const [name = "", value = ""] = arg.split("=")
    const like: unknown = Reflect.get(defaults, name)
    if (typeof like !== "number" && typeof like !== "boolean") throw new Error(`there is no parameter ${name}`)
    return [name, typeof like === "boolean" ? value === "true" : Number(value)]
  })
)

const titles = ["workers", "statements/s", "cores", "heard/s", "connections", "wait p50 / p99", "begins again", "limit"]

const seconds = (value: number) => value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(1)} s`

const row = (workers: number, result: Result): ReadonlyArray<string> => [
  String(workers),
  result.statementsPerSecond.toFixed(0),
  result.coreShare.toFixed(3),
  result.deliveriesPerSecond.toFixed(0),
  String(result.connections),
  `${seconds(result.wait.p50)} / ${seconds(result.wait.p99)}`,
  result.recovered.most === 0 ? "" : seconds(result.recovered.p50),
  result.limit
]

const times = args.includes("measure") ? await Effect.runPromise(measure) : measured
if (args.includes("measure")) {
  const rounded = JSON.stringify(
    times,
    (_, value: unknown) => typeof value === "number" ? Number(value.toFixed(4)) : value,
    2
  )
  process.stdout.write(`${rounded}\n\n`)
}
const sizes = given.workers === undefined ? [1, 3, 10, 100, 1000] : [given.workers]
process.stdout.write(`| ${titles.join(" | ")} |\n|${titles.map(() => " --- |").join("")}\n`)
for (const workers of sizes) {
  // Few workers need longer for as many runs.
  const duration = Math.max(200, Math.min(20_000, 60_000 / workers))
  const result = simulate({ ...times, duration, ...given, workers })
  process.stdout.write(`| ${row(workers, result).join(" | ")} |\n`)
}
