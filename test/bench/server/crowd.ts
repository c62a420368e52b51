/**
 * A server that many clients ask at once: what is answered, in which order, and what its memory does meanwhile.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { CrowdReport } from "./crowdClients.ts"
import { residentMemory, withServer } from "./serverProcess.ts"

const script = fileURLToPath(new URL("crowdClients.ts", import.meta.url))

export interface CrowdOptions {
  readonly clients: number
  readonly seconds: number
  /** Requests that may wait; the server's default when left out. */
  readonly queue?: number | undefined
  /**
   * Images that are made before the crowd comes. The first run opens the model: if the crowd waits for it, all requests
   * of its clients have arrived before one is answered, and clients that are refused are told to come back much later.
   */
  readonly warmUps?: number
  /** Answers after which memory is looked at first. */
  readonly settled: number
}

export interface Crowd extends CrowdReport {
  /** Resident memory in MB when the server has warmed up, and at the end. */
  readonly before: number
  readonly after: number
}

const warmUp = async (url: string) => {
  const body = JSON.stringify({ prompt: "a red circle", steps: 1, width: 32, height: 32 })
  const reply = await fetch(`${url}/sdapi/v1/txt2img`, { method: "POST", body })
  await reply.arrayBuffer()
}

export const crowd = ({ clients, queue, seconds, settled, warmUps = 0 }: CrowdOptions): Promise<Crowd> =>
  withServer(queue === undefined ? [] : ["--queue", String(queue)], async ({ pid, port, url }) => {
    for (let i = 0; i < warmUps; i++) await warmUp(url)
    const asking = spawn(
      process.execPath,
      [script, ...[port, clients, seconds, settled].map(String)],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    let before = NaN
    let last = ""
    for await (const line of createInterface(asking.stdout)) {
      if (line === "settled") before = residentMemory(pid)
      else last = line
    }
    const report: CrowdReport = JSON.parse(last)
    return { ...report, before, after: residentMemory(pid) }
  })
