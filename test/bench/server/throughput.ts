/**
 * Images per second for clients that ask at once: to those for one client, which has nothing overlap, or to those of
 * another checkout. Both sides take turns.
 */
import { execFile } from "node:child_process"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { CrowdReport } from "./crowdClients.ts"
import { type ServerProcess, withServer } from "./serverProcess.ts"

const script = fileURLToPath(new URL("crowdClients.ts", import.meta.url))
const picture = { steps: 4, width: 128, height: 128 }
const rounds = 7

/** Images per second, in turn. */
export interface Throughput {
  readonly own: ReadonlyArray<number>
  readonly baseline: ReadonlyArray<number>
}

const rate = async ({ port }: ServerProcess, clients: number, seconds: number): Promise<number> => {
  // Idle threads spin for a while.
  await setTimeout(100)
  const args = [script, ...[port, clients, seconds, 0].map(String), JSON.stringify(picture)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const { answered, seconds: took, wrong }: CrowdReport = JSON.parse(stdout)
  if (wrong.length > 0) throw new Error(wrong[0])
  return answered / took
}

/** @param against Another checkout, whose server is the baseline. */
export const throughput = (clients: number, against?: string): Promise<Throughput> =>
  withServer([], (server) => {
    const measured = async (baseline: () => Promise<number>): Promise<Throughput> => {
      const pairs: Array<readonly [number, number]> = []
      // The first pair opens the model.
      for (let round = 0; round <= rounds; round++) pairs.push([await rate(server, clients, 3), await baseline()])
      const settled = pairs.slice(1)
      return { own: settled.map(([own]) => own), baseline: settled.map(([, other]) => other) }
    }
    return against === undefined
      ? measured(() => rate(server, 1, 3))
      : withServer([], (other) => measured(() => rate(other, clients, 3)), undefined, against)
  })
