/**
 * What answering costs where there is nothing to do: endpoints of the server beside node:http and Fastify, which say
 * the same bytes.
 */
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { inTemporaryFolder } from "../../docs/session.ts"
import { median } from "../median.ts"
import { processorTime, type ServerProcess, withProgram, withServer } from "./serverProcess.ts"

const paths = ["/internal/ping", "/sdapi/v1/progress", "/sdapi/v1/samplers"] as const
const sides = ["serena", "fastify", "node:http"] as const
type Side = typeof sides[number]

const plain = fileURLToPath(new URL("plain.ts", import.meta.url))
const load = fileURLToPath(new URL("load.ts", import.meta.url))

export interface Rate {
  readonly perSecond: number
  /** Processor time of the server for each request, in microseconds. */
  readonly cost: number
}

export interface Trivial {
  readonly path: string
  readonly bytes: number
  readonly rates: Readonly<Record<Side, Rate>>
}

const measure = async ({ pid, port }: ServerProcess, path: string, seconds: number): Promise<Rate> => {
  const before = processorTime(pid)
  const { stdout } = await promisify(execFile)(process.execPath, [load, String(port), path, "32", String(seconds)])
  const { milliseconds, requests }: { milliseconds: number; requests: number } = JSON.parse(stdout)
  return { perSecond: requests / milliseconds * 1000, cost: (processorTime(pid) - before) / requests * 1e6 }
}

const rounds = 5

/** Medians of five rounds; the three servers are asked in turn. */
export const trivial = (): Promise<ReadonlyArray<Trivial>> =>
  inTemporaryFolder((folder) =>
    withServer([], async (serena) => {
      const bodies = await Promise.all(paths.map(async (path) => (await fetch(serena.url + path)).text()))
      const file = join(folder, "answers.json")
      await writeFile(file, JSON.stringify(Object.fromEntries(paths.map((path, i) => [path, bodies[i]]))))
      return withProgram(plain, ["fastify", file], (fastify) =>
        withProgram(plain, ["node:http", file], async (bare) => {
          const servers = { serena, fastify, "node:http": bare }
          const results: Array<Trivial> = []
          for (const [i, path] of paths.entries()) {
            const all = { serena: [], fastify: [], "node:http": [] } satisfies Record<Side, Array<Rate>>
            const measured: Record<Side, Array<Rate>> = all
            for (const side of sides) await measure(servers[side], path, 1)
            for (let round = 0; round < rounds; round++) {
              for (const side of sides) measured[side].push(await measure(servers[side], path, 1.5))
            }
            const middle = (side: Side): Rate => ({
              perSecond: median(measured[side].map(({ perSecond }) => perSecond)),
              cost: median(measured[side].map(({ cost }) => cost))
            })
            results.push({
              path,
              bytes: Buffer.byteLength(bodies[i] ?? ""),
              rates: { serena: middle("serena"), fastify: middle("fastify"), "node:http": middle("node:http") }
            })
          }
          return results
        }))
    })
  )
