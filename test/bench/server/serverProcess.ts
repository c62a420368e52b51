/**
 * `serena serve` as a process of its own, on a free port.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"

const own = fileURLToPath(new URL("../../../", import.meta.url))

export interface ServerProcess {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Asks it to end, and gives its exit code. */
  readonly stop: () => Promise<number | null>
}

/** The first line of `output` that holds an address. */
const addressIn = async (output: Readable): Promise<string> => {
  for await (const line of createInterface(output)) {
    const url = /https?:\/\/\S+/.exec(line)?.[0]
    if (url !== undefined) return url
  }
  throw new Error("the server ended before it listened")
}

const ended = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, "close")
  return child.exitCode
}

/** Starts a program that prints its address, uses it, and ends it. */
export const withProgram = async <A>(
  file: string,
  args: ReadonlyArray<string>,
  use: (server: ServerProcess) => Promise<A>,
  cwd?: string
): Promise<A> => {
  const child = spawn(process.execPath, [file, ...args], { cwd, stdio: ["ignore", "pipe", "inherit"] })
  try {
    const url = await addressIn(child.stdout)
    child.stdout.resume()
    const stop = () => {
      child.kill("SIGTERM")
      return ended(child)
    }
    const result = await use({ url, port: Number(new URL(url).port), pid: child.pid ?? 0, stop })
    await stop()
    return result
  } finally {
    child.kill("SIGKILL")
  }
}

/**
 * Starts a server with a data folder of its own, uses it, and ends it. Its log says only what went wrong.
 *
 * @param checkout The checkout that it is of; by default this one.
 */
export const withServer = async <A>(
  args: ReadonlyArray<string>,
  use: (server: ServerProcess) => Promise<A>,
  cwd?: string,
  checkout: string = own
): Promise<A> => {
  const data = await mkdtemp(join(tmpdir(), "serena-data-"))
  try {
    const always = ["serve", "--port", "0", "--log-level", "error", "--data-dir", data]
    return await withProgram(join(checkout, "src/cli/main.ts"), [...always, ...args], use, cwd)
  } finally {
    await rm(data, { recursive: true, force: true })
  }
}

/** Resident memory of a process, in MB (Linux). */
export const residentMemory = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

/** Processor time that a process has taken, in seconds (Linux; a tick is 10 ms). */
export const processorTime = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")
  return (Number(fields[11]) + Number(fields[12])) / 100
}
