/**
 * `npm run bench:checkpoint`: full-size checkpoints beside bare sessions, as ratios of two sides taken in one run.
 *
 *     npm run bench:checkpoint -- [--size 512] [--rounds 5] [--sdxl] [--optimised] [--sd15 FILE] [--json]
 *
 * Random checkpoints are written to the temporary folder first and removed at the end: 2.1 GB of Stable Diffusion 1.5,
 * with `--sdxl` 6.9 GB of SDXL as well; `--optimised` takes 9 GB of disk and 5 GB of memory more. The sides of a step
 * have a process each and are asked in turn: a machine that slows down slows all of them. Linux only.
 */
import { execFileSync, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { median } from "../median.ts"
import { write } from "./fullSize.ts"
import type { Whole } from "./models.ts"
import type { Opened, Stepped } from "./side.ts"

const { values: given } = parseArgs({
  options: {
    size: { type: "string", default: "512" },
    rounds: { type: "string", default: "5" },
    sdxl: { type: "boolean", default: false },
    optimised: { type: "boolean", default: false },
    sd15: { type: "string" },
    "sdxl-file": { type: "string" },
    json: { type: "boolean", default: false }
  }
})

/** A figure with what it should be at most, and how far single measurements of it lie apart. */
interface Figure {
  readonly name: string
  readonly unit: string
  readonly value: number
  readonly least: number
  readonly most: number
  readonly aim: number | null
}

const figures: Array<Figure> = []

const figure = (name: string, unit: string, values: ReadonlyArray<number>, aim: number | null) => {
  const found: Figure = {
    name,
    unit,
    value: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    aim
  }
  figures.push(found)
  if (given.json) return
  const spread = `${found.least.toFixed(2)} to ${found.most.toFixed(2)}`
  const aimed = aim === null ? "" : `aim ${aim}${found.value <= aim ? "" : ", missed"}`
  process.stdout.write(
    `${name.padEnd(58)} ${found.value.toFixed(3).padStart(9)} ${unit.padEnd(3)}  ${spread.padEnd(20)} ${aimed}\n`
  )
}

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const folder = realpathSync(mkdtempSync(join(tmpdir(), "serena-bench-")))
const checkpoint = (layout: string, file: string | undefined): string => {
  if (file !== undefined) return file
  const written = join(folder, `${layout}.safetensors`)
  write(layout, written)
  return written
}

/** Opens each file several times, in processes of their own. */
const wholes = (rounds: number, ...files: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<Whole>> =>
  Array.from({ length: rounds }, () => {
    const found: Array<Whole> = JSON.parse(
      execFileSync(process.execPath, ["--expose-gc", script("./models.ts"), ...files], { encoding: "utf8" })
    )
    return found
  })

const opening = (name: string, found: ReadonlyArray<Whole>) => {
  figure(`${name}: open all networks`, "s", found.map(({ time }) => time / 1000), 0.5)
  figure(`${name}: private memory once open`, "MiB", found.map(({ held }) => held), 150)
  figure(`${name}: private memory left when it is given back`, "MiB", found.map(({ released }) => released), null)
}

const start = async (kind: string, file: string) => {
  const child = fork(script("./side.ts"), [kind, file, String(Number(given.size) / 8)])
  const [opened]: ReadonlyArray<Opened> = await once(child, "message")
  if (opened === undefined) throw new Error(`the side "${kind}" did not open`)
  return {
    child,
    opened,
    step: async (): Promise<Stepped> => {
      // Idle threads spin for a while.
      await setTimeout(30)
      child.send("step")
      const [stepped]: ReadonlyArray<Stepped> = await once(child, "message")
      if (stepped === undefined) throw new Error(`the side "${kind}" made no step`)
      return stepped
    }
  }
}

/** What Serena's step is compared with: the ratio is that of `over` to `under`. */
interface Compared {
  readonly name: string
  readonly other: string
  readonly isOver: boolean
  readonly aim: number | null
}

const size = `${given.size} x ${given.size}, 2 rows`
const compared: ReadonlyArray<Compared> = [
  { name: `step, ${size}, beside a bare session`, other: "bare", isOver: false, aim: 1.01 },
  { name: "step of one row after the other, beside both at once", other: "apart", isOver: true, aim: null },
  { name: "step that reuses deep layers, beside a whole one", other: "shallow", isOver: true, aim: null },
  { name: "step with three LoRAs, beside one without", other: "loras", isOver: true, aim: 1.15 },
  { name: "step in int8, beside one in float32", other: "int8", isOver: true, aim: 0.62 },
  ...(given.optimised
    ? [
      { name: "step, beside the saved optimised model", other: "optimised", isOver: false, aim: 1.2 },
      { name: "step after `serena models optimize`, beside one before", other: "kept", isOver: true, aim: 1 }
    ]
    : [])
]

/** Steps of Serena and of each other side in turn; ratios are those of neighbours. */
const steps = async (file: string) => {
  const serena = await start("serena", file)
  const peaks: Array<number> = []
  try {
    await serena.step()
    for (const { aim, isOver, name, other } of compared) {
      const side = await start(other, file)
      const ratios = { time: new Array<number>(), processors: new Array<number>() }
      try {
        await side.step()
        let before = await serena.step()
        for (let round = 0; round < Number(given.rounds); round++) {
          const [its, after] = [await side.step(), await serena.step()]
          for (const figure of ["time", "processors"] as const) {
            const ratio = (before[figure] + after[figure]) / 2 / its[figure]
            ratios[figure].push(isOver ? 1 / ratio : ratio)
          }
          peaks.push(after.peak)
          before = after
        }
      } finally {
        side.child.kill()
      }
      figure(name, "", ratios.time, aim)
      figure("  by processor time", "", ratios.processors, aim)
    }
    const { activations } = serena.opened
    figure("peak of private memory in a step, beside its values", "", peaks.map((peak) => peak / activations), 1.3)
  } finally {
    serena.child.kill()
  }
}

if (!given.json) {
  process.stdout.write(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "unknown processor"}\n`)
  process.stdout.write(`${"".padEnd(58)}    median      spread\n`)
}
try {
  const rounds = Number(given.rounds)
  const sd15 = checkpoint("sd15", given.sd15)
  const found = wholes(rounds, sd15)
  opening("Stable Diffusion 1.5, 2.1 GB", found.flatMap(([first]) => first ?? []))
  figure("  opened again in the same process", "s", found.flatMap((all) => (all.at(-1)?.time ?? NaN) / 1000), null)
  if (given.sdxl) {
    const sdxl = checkpoint("sdxl-base", given["sdxl-file"])
    const both = wholes(rounds, sd15, sdxl)
    opening("SDXL, 6.9 GB, after Stable Diffusion 1.5", both.flatMap(([, second]) => second ?? []))
    figure(
      "  switched back to Stable Diffusion 1.5",
      "s",
      both.flatMap((all) => (all.at(-1)?.time ?? NaN) / 1000),
      null
    )
  }
  await steps(sd15)
  if (given.json) process.stdout.write(`${JSON.stringify(figures)}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
