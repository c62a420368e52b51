/**
 * `npm run bench:peers`: a step of Serena beside one of other programs that are on this machine, in one run.
 *
 *     npm run bench:peers -- [--python PATH] [--sd-cpp PATH] [--size 256]... [--steps 4] [--rounds 5] [--sd15 FILE]
 *                        [--json] [--keep]
 *
 * PATH is a Python that has diffusers, and the command of stable-diffusion.cpp; what is not named is left out. All run
 * networks of Stable Diffusion 1.5's size with random weights, which take as long as trained ones: Euler, CFG 7, one
 * image, as many threads as processors. A checkpoint of 2.1 GB is written to the temporary folder first and removed at
 * the end; `--sd15` names one to use instead.
 *
 * Each side has a process of its own. In a round all make the steps of an image, one after the other, and a ratio is
 * that of a side's time to the mean of what Serena took in float32 before and after it in the same round.
 */
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import { write } from "../checkpoint/fullSize.ts"
import { begin, compared, reportFlags } from "../report.ts"
import * as diffusers from "./diffusers.ts"
import * as serena from "./serena.ts"
import { PeerProblem, type Side, type Work } from "./Side.ts"
import * as stableDiffusionCpp from "./stableDiffusionCpp.ts"

const argumentsOf = () => {
  try {
    return parseArgs({
      options: {
        ...reportFlags,
        python: { type: "string" },
        "sd-cpp": { type: "string" },
        size: { type: "string", multiple: true, default: ["256"] },
        steps: { type: "string", default: "4" },
        rounds: { type: "string", default: "5" },
        sd15: { type: "string" }
      }
    }).values
  } catch (cause) {
    throw new PeerProblem(cause instanceof Error ? cause.message : String(cause))
  }
}

const wholeNumber = (name: string, text: string, most: number, multiple = 1): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= multiple && value <= most && value % multiple === 0) return value
  const numbers = multiple === 1 ? "a whole number" : `a multiple of ${multiple}`
  throw new PeerProblem(`--${name} is "${text}". Give ${numbers} from ${multiple} to ${most}.`)
}

const folder = realpathSync(mkdtempSync(join(tmpdir(), "serena-bench-")))
const opened: Array<Side> = []
const closeAll = () => opened.splice(0).forEach((side) => side.close())
process.on("exit", () => {
  closeAll()
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))

const main = async () => {
  const given = argumentsOf()
  const sizes = given.size.map((size) => wholeNumber("size", size, 2048, 64))
  const steps = wholeNumber("steps", given.steps, 100)
  const rounds = wholeNumber("rounds", given.rounds, 100)
  const checkpoint = given.sd15 ?? join(folder, "sd15.safetensors")
  if (given.sd15 !== undefined && !existsSync(given.sd15)) {
    throw new PeerProblem(`--sd15 is "${given.sd15}", and there is no such file. Check its path.`)
  }
  // What is wrong with what the user named is said at once.
  const command = given["sd-cpp"] === undefined ? undefined : stableDiffusionCpp.check(given["sd-cpp"])
  const python = given.python === undefined ? undefined : diffusers.check(given.python)
  if (given.sd15 === undefined) write("sd15", checkpoint)
  const report = begin("peers", "npm run bench:peers", given)
  for (const size of sizes) {
    const work: Work = { size, steps, threads: availableParallelism() }
    const open = async (side: Side | Promise<Side>): Promise<Side> => {
      const kept = await side
      opened.push(kept)
      return kept
    }
    try {
      const base = await open(serena.open("float32", checkpoint, folder, work))
      const int8 = await open(serena.open("int8", checkpoint, folder, work))
      if (command !== undefined) await open(stableDiffusionCpp.open(command, checkpoint, work))
      if (python !== undefined) await open(diffusers.open(python, "float32", work))
      const bfloat16 = python && await open(diffusers.open(python, "bfloat16", work))
      const { bases, times } = await measured(base, opened.slice(1), rounds)
      const name = (side: Side) => `step in ${side.name}, ${size} x ${size}`
      for (const [side, own] of times) report.add(compared(name(side), "s", own, base.name, bases))
      const [ofInt8, ofBfloat16] = [times.get(int8), bfloat16 && times.get(bfloat16)]
      if (bfloat16 !== undefined && ofInt8 !== undefined && ofBfloat16 !== undefined) {
        report.add(compared(name(int8), "s", ofInt8, bfloat16.name, ofBfloat16, { target: 1 }))
      }
    } finally {
      closeAll()
    }
  }
  report.end()
}

/** Seconds that steps took, a number for each round: of the sides, and of the base around them. */
const measured = async (base: Side, sides: ReadonlyArray<Side>, rounds: number) => {
  const sample = async (side: Side): Promise<number> => {
    // Idle threads spin for a while.
    await setTimeout(100)
    return side.sample()
  }
  // The first images also take memory and prepare kernels.
  for (const side of [base, ...sides]) await sample(side)
  const bases: Array<number> = []
  const times = new Map(sides.map((side) => [side, new Array<number>()]))
  let before = await sample(base)
  for (let round = 0; round < rounds; round++) {
    for (const [side, own] of times) own.push(await sample(side))
    const after = await sample(base)
    bases.push((before + after) / 2)
    before = after
  }
  return { bases, times }
}

try {
  await main()
} catch (cause) {
  if (!(cause instanceof PeerProblem)) throw cause
  process.stderr.write(`${cause.message}\n`)
  process.exitCode = 1
}
