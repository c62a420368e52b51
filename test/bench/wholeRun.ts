/**
 * What everything around the networks costs: a whole 20-step run, beside the bare sum of the same onnxruntime calls on
 * inputs of the same shapes.
 *
 * Each side has a process of its own, so that onnxruntime's threads of one do not spin while the other works. They are
 * asked in turn, and a run is held against the bare calls before and after it: a machine that slows down slows both.
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
const rounds = 25

const targets = { inMemory: 1.02, saved: 1.03 }
const names = { inMemory: "a run of 20 steps, the image in memory", saved: "the same, the image written and synced" }

export const wholeRun = async (): Promise<ReadonlyArray<Row>> => {
  const outdir = mkdtempSync(join(tmpdir(), "serena-bench-"))
  const sides = {
    bare: fork(script, ["bare"]),
    inMemory: fork(script, ["inMemory"]),
    saved: fork(script, ["saved", outdir])
  }
  const time = async (side: keyof typeof sides): Promise<number> => {
    // Idle threads spin for a while.
    await setTimeout(30)
    sides[side].send("run")
    const [milliseconds] = await once(sides[side], "message")
    return Number(milliseconds)
  }
  try {
    for (const side of ["bare", "inMemory", "saved", "bare", "inMemory", "saved"] as const) await time(side)
    const times = { inMemory: Array<number>(), saved: Array<number>() }
    // The mean of the bare calls before and after each.
    const bare = { inMemory: Array<number>(), saved: Array<number>() }
    let before = await time("bare")
    for (let round = 0; round < rounds; round++) {
      for (const side of ["inMemory", "saved"] as const) {
        const whole = await time(side)
        const after = await time("bare")
        times[side].push(whole)
        bare[side].push((before + after) / 2)
        before = after
      }
    }
    return (["inMemory", "saved"] as const).map((side) =>
      compared(names[side], "ms", times[side], "the same onnxruntime calls, nothing else", bare[side], {
        target: targets[side]
      })
    )
  } finally {
    for (const child of Object.values(sides)) child.kill()
    rmSync(outdir, { recursive: true, force: true })
  }
}
