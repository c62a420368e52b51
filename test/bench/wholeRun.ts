/**
 * What everything around the networks costs: a whole 20-step run, beside the bare sum of the same onnxruntime calls on
 * inputs of the same shapes.
 *
 * Each side has a process of its own, so that onnxruntime's threads of one do not spin while the other works. They are
 * asked in turn, and a run is held against the bare calls before and after it: a machine that slows down slows both.
 * Single runs find the processor's caches full of the other side's work. Runs in a row do so once.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { compared, type Row } from "./report.ts"

const script = fileURLToPath(new URL("./wholeRunSide.ts", import.meta.url))
/** Runs in a row, and how often. */
const turns = [{ runs: 1, rounds: 25 }, { runs: 5, rounds: 7 }]

const targets = { inMemory: 1.02, saved: 1.03 }
const nameOf = (side: "inMemory" | "saved", runs: number) =>
  `${runs === 1 ? "a run" : `each of ${runs} runs in a row`} of 20 steps, the image ${
    side === "saved" ? "written and synced" : "in memory"
  }`

export const wholeRun = async (): Promise<ReadonlyArray<Row>> => {
  const outdir = mkdtempSync(join(tmpdir(), "serena-bench-"))
  const sides = {
    bare: fork(script, ["bare"]),
    inMemory: fork(script, ["inMemory"]),
    saved: fork(script, ["saved", outdir])
  }
  /** Milliseconds of one run. */
  const time = async (side: keyof typeof sides, runs = 1): Promise<number> => {
    // Idle threads spin for a while.
    await setTimeout(30)
    sides[side].send(runs)
    const [milliseconds] = await once(sides[side], "message")
    return Number(milliseconds) / runs
  }
  const inTurn = async ({ rounds, runs }: typeof turns[number]): Promise<ReadonlyArray<Row>> => {
    const times = { inMemory: Array<number>(), saved: Array<number>() }
    // The mean of the bare calls before and after each.
    const bare = { inMemory: Array<number>(), saved: Array<number>() }
    let before = await time("bare", runs)
    for (let round = 0; round < rounds; round++) {
      for (const side of ["inMemory", "saved"] as const) {
        const whole = await time(side, runs)
        const after = await time("bare", runs)
        times[side].push(whole)
        bare[side].push((before + after) / 2)
        before = after
      }
    }
    return (["inMemory", "saved"] as const).map((side) =>
      compared(nameOf(side, runs), "ms", times[side], "the same onnxruntime calls, nothing else", bare[side], {
        target: targets[side]
      })
    )
  }
  try {
    for (const side of ["bare", "inMemory", "saved", "bare", "inMemory", "saved"] as const) await time(side)
    const rows: Array<Row> = []
    for (const turn of turns) rows.push(...await inTurn(turn))
    return rows
  } finally {
    for (const child of Object.values(sides)) child.kill()
    rmSync(outdir, { recursive: true, force: true })
  }
}
