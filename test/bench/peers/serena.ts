/**
 * Serena as a side of `npm run bench:peers`.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { PeerProblem, type Side, type Work } from "./Side.ts"

const script = fileURLToPath(new URL("serenaSide.ts", import.meta.url))

/** Opens a checkpoint in a process of its own; integer weights are kept in the folder. */
export const open = async (
  precision: "float32" | "int8",
  checkpoint: string,
  folder: string,
  { size, steps, threads }: Work
): Promise<Side> => {
  const child = fork(script, [precision, checkpoint, folder, ...[size, steps, threads].map(String)])
  const name = `Serena, ${precision}`
  const ended = once(child, "exit").then(([code]) => {
    throw new PeerProblem(`${name} ended with code ${code}. Check what it printed above.`)
  })
  ended.catch(() => {})
  const answer = async (): Promise<number> => {
    const [seconds]: ReadonlyArray<number> = await Promise.race([once(child, "message"), ended])
    return seconds ?? NaN
  }
  await answer()
  return {
    name,
    sample: () => {
      child.send("sample")
      return answer()
    },
    close: () => child.kill()
  }
}
