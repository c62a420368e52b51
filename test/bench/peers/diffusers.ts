/**
 * diffusers as a side of `npm run bench:peers`, in a Python that the user names.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { spawn, spawnSync } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { PeerProblem, type Side, type Work } from "./Side.ts"

const script = fileURLToPath(new URL("diffusers_side.py", import.meta.url))

const Found = Schema.Union([
  Schema.Struct({ diffusers: Schema.String, torch: Schema.String }),
  Schema.Struct({ problem: Schema.String })
])
const decodeFound = Schema.decodeUnknownOption(Schema.fromJsonString(Found))
const decodeSeconds = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Finite))

/** A Python that has diffusers, with the versions. */
export interface Python {
  readonly path: string
  readonly name: string
}

/** Sees that a path is a Python that has diffusers. */
export const check = (path: string): Python => {
  const { error, status, stdout } = spawnSync(path, [script], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })
  if (error !== undefined) {
    throw new PeerProblem(`"${path}" could not be started: ${error.message}. Name a Python that has diffusers.`)
  }
  const found = Option.getOrUndefined(decodeFound(stdout))
  if (status !== 0 || found === undefined) {
    throw new PeerProblem(`"${path}" did not name its diffusers. Check that it is a Python, and what it printed above.`)
  }
  if ("problem" in found) {
    throw new PeerProblem(
      `"${path}" cannot run diffusers: ${found.problem}. Try "${path} -m pip install torch diffusers transformers".`
    )
  }
  return { path, name: `diffusers ${found.diffusers} with torch ${found.torch}` }
}

/** Makes a UNet of random weights in a process of its own. */
export const open = async (
  python: Python,
  precision: "float32" | "bfloat16",
  { size, steps, threads }: Work
): Promise<Side> => {
  const child = spawn(python.path, [script, precision, ...[size, steps, threads].map(String)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const name = `${python.name}, ${precision}`
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const answer = async (): Promise<number> => {
    const { done, value } = await lines.next()
    if (done === true) throw new PeerProblem(`${name} ended. Check what it printed above.`)
    return decodeSeconds(value)
  }
  // It says how long its UNet took to make.
  await answer()
  return {
    name,
    sample: () => {
      child.stdin.write("sample\n")
      return answer()
    },
    close: () => child.kill()
  }
}
