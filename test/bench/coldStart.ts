/**
 * What a newcomer waits for: `serena txt2img` from process start to the PNG on disk, beside a Node that does nothing.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { median } from "./median.ts"

const project = fileURLToPath(new URL("../..", import.meta.url))
const main = join(project, "src", "cli", "main.ts")
const rounds = 7

// The command as a published package has it, made for this.
const bundle = join("node_modules", ".cache", "command")

/** Medians in milliseconds, of all in turn: of sources, of the published command, and of a Node that does nothing. */
export const coldStart = () => {
  const outdir = mkdtempSync(join(tmpdir(), "serena-bench-"))
  const time = (...args: ReadonlyArray<string>) => {
    const begun = performance.now()
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
    if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}: ${stderr}`)
    return performance.now() - begun
  }
  const txt2img = ["txt2img", "--prompt", "a red circle", "--seed", "1", "--steps", "20", "--outdir", outdir, "--quiet"]
  execFileSync(process.execPath, [join(project, "src", "cli", "bundleCommand.mjs"), bundle], { cwd: project })
  try {
    const times = { node: Array<number>(), published: Array<number>(), sources: Array<number>() }
    for (let round = 0; round < rounds; round++) {
      times.node.push(time("-e", "0"))
      times.published.push(time(join(project, bundle, "cli", "main.js"), ...txt2img))
      times.sources.push(time(main, ...txt2img))
    }
    return { node: median(times.node), published: median(times.published), sources: median(times.sources) }
  } finally {
    rmSync(outdir, { recursive: true, force: true })
  }
}
