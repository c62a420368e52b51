/**
 * `npm run bench`: each figure with what it is measured against, both taken in this run, and their ratio.
 */
import { cpus } from "node:os"
import { coldStart } from "./coldStart.ts"
import { instrumentationCost } from "./instrumentationCost.ts"
import { runnerOverhead } from "./runnerOverhead.ts"
import { slowReaders } from "./slowReaders.ts"
import { wholeRun } from "./wholeRun.ts"

const print = (line: string) => process.stdout.write(`${line}\n`)
const row = (name: string, value: number, against: string, base: number, unit: string, ratio = value / base) =>
  print(
    `${name.padEnd(40)} ${value.toFixed(2).padStart(9)} ${unit}   ${against.padEnd(36)} ${
      base.toFixed(2).padStart(8)
    } ${unit}   ratio ${ratio.toFixed(3)}`
  )

print(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown processor"}; medians\n`)

const run = await wholeRun()
const calls = "the same onnxruntime calls, bare"
row("20-step run, picture in memory", run.inMemory.time, calls, run.bare, "ms", run.inMemory.ratio)
row("20-step run, picture synced to disk", run.saved.time, calls, run.bare, "ms", run.saved.ratio)

const runner = await runnerOverhead()
row("ProcessingRunner.run, no-op hooks", runner.runner, "the same stages in one Effect.gen", runner.bare, "us")
print(`  the runner adds ${(runner.runner - runner.bare).toFixed(2)} us to a run`)

// What comes on top of a run of any model, as a model that is no work shows it.
const adds = (microseconds: number, of: number) =>
  print(`  adds ${microseconds.toFixed(0)} us to a run: ${(microseconds / of / 10).toFixed(3)} %`)

const readers = await slowReaders()
row("20-step run, 100 slow readers of it", readers.run.hundred, "nobody reads", readers.run.none, "ms")
adds((readers.small.hundred - readers.small.none) * 1000, readers.run.none)

const { run: watched, small } = await instrumentationCost()
for (const name of ["tracing", "metrics", "progress", "cancellation", "all"] as const) {
  row(`20-step run, ${name}`, watched[name], "nothing switched on", watched.nothing, "ms")
  const added = small[name] - small.nothing
  print(
    `  adds ${added.toFixed(0)} us to a run, by a model that is no work: ${(added / watched.nothing / 10).toFixed(3)} %`
  )
}

const start = coldStart()
row("serena txt2img, process start to PNG", start.published, "node -e 0", start.node, "ms")
row("serena txt2img as published", start.published, "from sources", start.sources, "ms")
