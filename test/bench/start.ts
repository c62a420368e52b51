/**
 * `npm run bench:start`: what a newcomer waits for, from process start to the PNG on disk. `serena txt2img` of the
 * packed package is compared with a Node that does nothing, with the command from sources, and with itself where a
 * running server makes the image. Linux only.
 *
 *     npm run bench:start -- [--json] [--keep]
 */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { begin, compared, figure, reportFlags } from "./report.ts"
import { withServer } from "./server/serverProcess.ts"

const project = fileURLToPath(new URL("../..", import.meta.url))
const rounds = 9

/** Processor time of all children that have ended, in milliseconds (a tick is 10 ms). */
const ofChildren = () => {
  const fields = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /s, "").split(" ")
  return (Number(fields[13]) + Number(fields[14])) * 10
}

/** The package that `npm pack` makes, unpacked among the packages that it depends on. Returns its folder. */
const unpacked = (folder: string): string => {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: project, stdio: "ignore" })
  const file = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? ""
  execFileSync("tar", ["-xzf", file], { cwd: folder })
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"))
  return join(folder, "package")
}

const report = begin("start", "npm run bench:start", parseArgs({ options: reportFlags }).values)
const folder = mkdtempSync(join(tmpdir(), "serena-bench-"))
try {
  const packed = join(unpacked(folder), "dist", "command", "cli", "main.js")
  const outdir = join(folder, "outputs")
  mkdirSync(outdir)
  // A folder without models, and a user who has kept nothing yet.
  const env = { ...process.env, XDG_DATA_HOME: join(folder, "data") }
  const asUser = { cwd: folder, env, encoding: "utf8" } as const
  const txt2img = (main: string, steps: number, ...more: ReadonlyArray<string>) => [
    main,
    "txt2img",
    "a red circle",
    "--seed=1",
    `--steps=${steps}`,
    `--outdir=${outdir}`,
    "--quiet",
    ...more
  ]
  await withServer([], async ({ url }) => {
    const sides = {
      node: ["-e", "0"],
      packed: txt2img(packed, 1),
      sources: txt2img(join(project, "src", "cli", "main.ts"), 1),
      long: txt2img(packed, 20),
      via: txt2img(packed, 1, "--via", url)
    }
    const measured = (args: ReadonlyArray<string>) => {
      const [begun, before] = [performance.now(), ofChildren()]
      const { status, stderr } = spawnSync(process.execPath, args, asUser)
      if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}: ${stderr}`)
      return { time: performance.now() - begun, processor: ofChildren() - before }
    }
    const found = (): Record<keyof typeof sides, Array<number>> => ({
      node: [],
      packed: [],
      sources: [],
      long: [],
      via: []
    })
    const [times, processor] = [found(), found()]
    // The first round compiles what is kept compiled, and opens the server's model.
    for (let round = 0; round <= rounds; round++) {
      for (const side of ["node", "packed", "sources", "long", "via"] as const) {
        const one = measured(sides[side])
        if (round === 0) continue
        times[side].push(one.time)
        processor[side].push(one.processor)
      }
    }
    const command = "`serena txt2img`, 1 step"
    report.add(
      figure(`${command}: process start to PNG`, "ms", times.packed, { target: 400 }),
      figure(`${command}: processor time`, "ms", processor.packed, { target: 450 }),
      figure("`serena txt2img`, 20 steps: process start to PNG", "ms", times.long, { target: 1500 }),
      compared(`${command}: process start to PNG`, "ms", times.packed, "`node -e 0`", times.node),
      compared(`${command}: process start to PNG`, "ms", times.packed, "from sources", times.sources),
      compared(`${command}, \`--via\` a server: process start to PNG`, "ms", times.via, "without", times.packed),
      compared(`${command}, \`--via\` a server: processor time`, "ms", processor.via, "without", processor.packed)
    )
  })
  report.end()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
