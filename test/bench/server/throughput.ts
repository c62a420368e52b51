/**
 * Images per second for clients that ask at once: to those for one client, which has nothing overlap, to those of
 * another checkout, or to those without joint calls. Both sides take turns.
 */
import { execFile } from "node:child_process"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { CrowdReport } from "./crowdClients.ts"
import { type ServerProcess, withServer } from "./serverProcess.ts"

const script = fileURLToPath(new URL("crowdClients.ts", import.meta.url))
const rounds = 7

/** Images per second, in turn. */
export interface Throughput {
  readonly own: ReadonlyArray<number>
  readonly baseline: ReadonlyArray<number>
}

/** What clients ask for. */
export interface Load {
  readonly clients: number
  /** Of width and height. */
  readonly size: number
  readonly steps: number
  /** Most runs whose calls are made as one; 1 when left out. */
  readonly runsPerCall?: number
}

const rate = async ({ port }: ServerProcess, { clients, runsPerCall = 1, size, steps }: Load): Promise<number> => {
  // Idle threads spin for a while.
  await setTimeout(100)
  // An older version does not know the setting.
  const settings = runsPerCall === 1 ? {} : { override_settings: { runs_per_call: runsPerCall } }
  const asked = { steps, width: size, height: size, ...settings }
  const args = [script, ...[port, clients, 3, 0].map(String), JSON.stringify(asked)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const { answered, seconds: took, wrong }: CrowdReport = JSON.parse(stdout)
  if (wrong.length > 0) throw new Error(wrong[0])
  return answered / took
}

// The first pair opens the model.
const inTurns = async (own: () => Promise<number>, baseline: () => Promise<number>): Promise<Throughput> => {
  const pairs: Array<readonly [number, number]> = []
  for (let round = 0; round <= rounds; round++) pairs.push([await own(), await baseline()])
  const settled = pairs.slice(1)
  return { own: settled.map(([own]) => own), baseline: settled.map(([, other]) => other) }
}

/** One load beside another on the same server. */
export const besideLoad = (load: Load, other: Load): Promise<Throughput> =>
  withServer([], (server) => inTurns(() => rate(server, load), () => rate(server, other)))

/** A load beside the same one on the server of another checkout. */
export const besideCheckout = (load: Load, checkout: string): Promise<Throughput> =>
  withServer(
    [],
    (server) =>
      withServer([], (other) => inTurns(() => rate(server, load), () => rate(other, load)), undefined, checkout)
  )
