/**
 * stable-diffusion.cpp as a side of `npm run bench:peers`, by its command, whose path the user names.
 */
import { spawn, spawnSync } from "node:child_process"
import { PeerProblem, type Side, type Work } from "./Side.ts"

const versionLine = /stable-diffusion\.cpp version ([^\s,]+)/
const sampledLine = /sampling completed, taking ([\d.]+)s/

/** The command of stable-diffusion.cpp, with its version. */
export interface Command {
  readonly path: string
  readonly name: string
}

/** Sees that a path is the command of stable-diffusion.cpp. */
export const check = (path: string): Command => {
  const { error, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" })
  if (error !== undefined) {
    throw new PeerProblem(`"${path}" could not be started: ${error.message}. Name the command of stable-diffusion.cpp.`)
  }
  const [, version] = versionLine.exec(stdout) ?? []
  if (version === undefined) {
    throw new PeerProblem(`"${path}" is not the command of stable-diffusion.cpp. Try the path of its "sd-cli".`)
  }
  // Its sources name no version where they were built without git.
  return { path, name: version === "unknown" ? "stable-diffusion.cpp" : `stable-diffusion.cpp ${version}` }
}

/**
 * A side whose command starts anew for every image, reads the checkpoint, and is ended once it has sampled: what it
 * says of its steps leaves out both.
 */
export const open = ({ name, path }: Command, checkpoint: string, { size, steps, threads }: Work): Side => {
  const flags = {
    model: checkpoint,
    prompt: "a red circle",
    width: size,
    height: size,
    steps,
    threads,
    "sampling-method": "euler",
    "cfg-scale": 7,
    output: "/dev/null"
  }
  const running = new Set<() => void>()
  return {
    name: `${name}, float16`,
    sample: () =>
      new Promise((resolve, reject) => {
        const child = spawn(path, Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]))
        const end = () => child.kill()
        running.add(end)
        let said = ""
        let seconds: number | undefined
        const read = (chunk: Buffer) => {
          said += chunk.toString()
          const [, total] = sampledLine.exec(said) ?? []
          if (total === undefined || seconds !== undefined) return
          seconds = Number(total) / steps
          end()
        }
        child.stdout.on("data", read)
        child.stderr.on("data", read)
        child.on("close", () => {
          running.delete(end)
          if (seconds === undefined) reject(new PeerProblem(`stable-diffusion.cpp made no steps. It said:\n${said}`))
          else resolve(seconds)
        })
      }),
    close: () => running.forEach((end) => end())
  }
}
