/**
 * What a newcomer waits for: `serena txt2img` from process start to the PNG on disk, beside a Node that does nothing.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { median } from "./median.ts"

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url))
const rounds = 7

/** Medians in milliseconds, of both in turn. */
export const coldStart = () => {
  const outdir = mkdtempSync(join(tmpdir(), "serena-bench-"))
  const time = (...args: ReadonlyArray<string>) => {
    const begun = performance.now()
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
    if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}: ${stderr}`)
    return performance.now() - begun
  }
  const txt2img = [main, "txt2img", "--prompt", "a red circle", "--seed", "1", "--steps", "20", "--outdir", outdir]
  try {
    const times = { node: Array<number>(), serena: Array<number>() }
    for (let round = 0; round < rounds; round++) {
      times.node.push(time("-e", "0"))
      times.serena.push(time(...txt2img, "--quiet"))
    }
    return { node: median(times.node), serena: median(times.serena) }
  } finally {
    rmSync(outdir, { recursive: true, force: true })
  }
}
