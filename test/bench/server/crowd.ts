/**
 * A server that many clients ask at once: what is answered, in which order, and what its memory does meanwhile.
 */
import { execFile } from "node:child_process"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { CrowdReport } from "./crowdClients.ts"
import { residentMemory, withServer } from "./serverProcess.ts"

const script = fileURLToPath(new URL("crowdClients.ts", import.meta.url))

export interface CrowdOptions {
  readonly clients: number
  readonly seconds: number
  /** Requests that may wait; the server's default when left out. */
  readonly queue?: number | undefined
  /** Seconds after which memory is looked at first. */
  readonly settled: number
}

export interface Crowd extends CrowdReport {
  /** Resident memory in MB when the server has warmed up, and at the end. */
  readonly before: number
  readonly after: number
}

export const crowd = ({ clients, queue, seconds, settled }: CrowdOptions): Promise<Crowd> =>
  withServer(queue === undefined ? [] : ["--queue", String(queue)], async ({ pid, port }) => {
    let running = true
    const memory = setTimeout(settled * 1000, undefined, { ref: false }).then(() => running ? residentMemory(pid) : NaN)
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [script, ...[port, clients, seconds].map(String)]
    )
    running = false
    const report: CrowdReport = JSON.parse(stdout)
    return { ...report, before: await memory, after: residentMemory(pid) }
  })
