/**
 * `npm run bench:checkpoint`: full-size checkpoints beside bare sessions, as ratios of two sides taken in one run.
 *
 *     npm run bench:checkpoint -- [--size 512]... [--rounds 5] [--sdxl] [--optimised] [--json] [--keep]
 *                             [--sd15 FILE] [--sdxl-file FILE]
 *
 * Random checkpoints are written to the temporary folder first and removed at the end, unless files are given: 2.1 GB
 * of Stable Diffusion 1.5, with `--sdxl` 6.9 GB of SDXL as well; `--optimised` takes 9 GB of disk and 5 GB of memory
 * more. The sides of a step have a process each and are asked in turn: a machine that slows down slows all of them.
 * Linux only.
 */
import { execFileSync, fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { begin, compared, figure, reportFlags } from "../report.ts"
import { write } from "./fullSize.ts"
import type { Whole, Wholes } from "./models.ts"
import type { Asked, Opened, Stepped } from "./side.ts"

const { values: given } = parseArgs({
  options: {
    ...reportFlags,
    size: { type: "string", multiple: true, default: ["512"] },
    rounds: { type: "string", default: "5" },
    sdxl: { type: "boolean", default: false },
    optimised: { type: "boolean", default: false },
    sd15: { type: "string" },
    "sdxl-file": { type: "string" }
  }
})

const report = begin("checkpoint", "npm run bench:checkpoint", given)

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const folder = realpathSync(mkdtempSync(join(tmpdir(), "serena-bench-")))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))
const checkpoint = (layout: string, file: string | undefined): string => {
  if (file !== undefined) return file
  const written = join(folder, `${layout}.safetensors`)
  write(layout, written)
  return written
}

/** Opens each file several times, in processes of their own. */
const wholes = (rounds: number, ...files: ReadonlyArray<string>): ReadonlyArray<Wholes> =>
  Array.from({ length: rounds }, () => {
    const found: Wholes = JSON.parse(
      execFileSync(process.execPath, ["--expose-gc", script("./models.ts"), ...files], { encoding: "utf8" })
    )
    return found
  })

const opening = (name: string, found: ReadonlyArray<Whole>) =>
  report.add(
    figure(`open ${name}`, "s", found.map(({ time }) => time / 1000), { target: 0.5 }),
    figure(`private memory of ${name} once open`, "MiB", found.map(({ held }) => held), { target: 150 })
  )

const start = async (kind: string, file: string, size: number) => {
  const child = fork(script("./side.ts"), [kind, file, String(size / 8)])
  const [opened]: ReadonlyArray<Opened> = await once(child, "message")
  if (opened === undefined) throw new Error(`the side "${kind}" did not open`)
  return {
    child,
    opened,
    step: async (asked: Asked = "step"): Promise<Stepped> => {
      // Idle threads spin for a while.
      await setTimeout(30)
      child.send(asked)
      const [stepped]: ReadonlyArray<Stepped> = await once(child, "message")
      if (stepped === undefined) throw new Error(`the side "${kind}" made no step`)
      return stepped
    }
  }
}

/** A side, the name of its steps, and what the ratio of their times should be at most. */
interface Side {
  readonly kind: string
  readonly steps: string
  readonly target?: number
}

// Each is compared with steps of Serena.
const sides: ReadonlyArray<Side> = [
  { kind: "int8", steps: "a step in int8", target: 0.62 },
  { kind: "shallow", steps: "a step that reuses deep layers" },
  { kind: "merged", steps: "a step with half of its tokens merged" },
  { kind: "apart", steps: "a step of one row after the other" },
  { kind: "loras", steps: "a step with three LoRAs of rank 16", target: 1.15 },
  ...(given.optimised ? [{ kind: "kept", steps: "a step from optimised networks", target: 1 }] : [])
]
// Serena's steps are compared with each.
const baselines: ReadonlyArray<Side> = [
  { kind: "bare", steps: "a bare session of the same graph", target: 1.01 },
  ...(given.optimised ? [{ kind: "optimised", steps: "the model that onnxruntime optimised", target: 1.2 }] : [])
]

/** Steps of Serena and of each other side in turn; a step of the other is held against those before and after it. */
const steps = async (file: string, size: number) => {
  const at = `${size} x ${size}`
  const serena = await start("serena", file, size)
  const inTurn = async ({ kind }: Side) => {
    const side = await start(kind, file, size)
    const found = { own: Array<Stepped>(), its: Array<Stepped>() }
    try {
      await side.step()
      let before = await serena.step()
      for (let round = 0; round < Number(given.rounds); round++) {
        const [its, after] = [await side.step(), await serena.step()]
        found.its.push(its)
        found.own.push({
          time: (before.time + after.time) / 2,
          processors: (before.processors + after.processors) / 2,
          peak: after.peak
        })
        before = after
      }
    } finally {
      side.child.disconnect()
    }
    return found
  }
  const seconds = (steps: ReadonlyArray<Stepped>, of: "time" | "processors" = "time") =>
    steps.map((step) => step[of] / 1000)
  try {
    await serena.step()
    for (const side of baselines) {
      const { its, own } = await inTurn(side)
      const target = side.target === undefined ? {} : { target: side.target }
      report.add(compared(`a step, ${at}`, "s", seconds(own), side.steps, seconds(its), target))
    }
    for (const side of sides) {
      const { its, own } = await inTurn(side)
      const [name, target] = [`${side.steps}, ${at}`, side.target === undefined ? {} : { target: side.target }]
      report.add(
        compared(name, "s", seconds(its), "a whole step in float32", seconds(own), target),
        compared(`${name}: processor time`, "s", seconds(its, "processors"), "the same", seconds(own, "processors"))
      )
    }
    const { activations } = serena.opened
    const peaks: Array<number> = []
    for (let round = 0; round < Number(given.rounds); round++) peaks.push((await serena.step("watched step")).peak)
    report.add(
      compared(`peak of private memory in a step, ${at}`, "MiB", peaks, "its values", peaks.map(() => activations), {
        target: 1.3
      })
    )
  } finally {
    serena.child.disconnect()
  }
}

const rounds = Number(given.rounds)
const sd15 = checkpoint("sd15", given.sd15)
const found = wholes(rounds, sd15)
opening("Stable Diffusion 1.5 (2.1 GB)", found.flatMap(({ opened: [first] }) => first ?? []))
report.add(
  figure("open it again in the same process", "s", found.map(({ opened }) => (opened.at(-1)?.time ?? NaN) / 1000), {
    target: 0.5
  }),
  figure(
    "private memory that each further opening leaves when it is given back",
    "MiB",
    found.map(({ added }) => added),
    {
      target: 2
    }
  )
)
if (given.sdxl) {
  const sdxl = checkpoint("sdxl-base", given["sdxl-file"])
  const both = wholes(rounds, sd15, sdxl)
  opening("SDXL (6.9 GB)", both.flatMap(({ opened: [, second] }) => second ?? []))
  report.add(
    figure("switch back to Stable Diffusion 1.5", "s", both.map(({ opened }) => (opened.at(-1)?.time ?? NaN) / 1000))
  )
}
for (const size of given.size) await steps(sd15, Number(size))
report.end()
