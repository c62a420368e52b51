/**
 * What answering costs where there is nothing to do: endpoints of the server beside node:http, Fastify and Effect's
 * bare router, which say the same bytes.
 */
import { execFile } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { inTemporaryFolder } from "../../docs/session.ts"
import { processorTime, type ServerProcess, withProgram, withServer } from "./serverProcess.ts"

const paths = ["/internal/ping", "/sdapi/v1/progress", "/sdapi/v1/samplers"] as const
const others = ["effect", "fastify", "node:http"] as const
const sides = ["serena", ...others] as const
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
  /** Of each round. */
  readonly rates: Readonly<Record<Side, ReadonlyArray<Rate>>>
}

const measure = async ({ pid, port }: ServerProcess, path: string, seconds: number): Promise<Rate> => {
  const before = processorTime(pid)
  const { stdout } = await promisify(execFile)(process.execPath, [load, String(port), path, "32", String(seconds)])
  const { milliseconds, requests }: { milliseconds: number; requests: number } = JSON.parse(stdout)
  return { perSecond: requests / milliseconds * 1000, cost: (processorTime(pid) - before) / requests * 1e6 }
}

const rounds = 5

type Others = Readonly<Record<typeof others[number], ServerProcess>>

/** Starts the servers that say nothing but the bodies in a file. */
const withOthers = <A>(file: string, use: (servers: Others) => Promise<A>): Promise<A> =>
  withProgram(
    plain,
    ["effect", file],
    (effect) =>
      withProgram(plain, ["fastify", file], (fastify) =>
        withProgram(plain, ["node:http", file], (bare) =>
          use({ effect, fastify, "node:http": bare })))
  )

/** The servers are asked in turn. */
export const trivial = (): Promise<ReadonlyArray<Trivial>> =>
  inTemporaryFolder((folder) =>
    withServer([], async (serena) => {
      const bodies = await Promise.all(paths.map(async (path) => (await fetch(serena.url + path)).text()))
      const file = join(folder, "answers.json")
      await writeFile(file, JSON.stringify(Object.fromEntries(paths.map((path, i) => [path, bodies[i]]))))
      return withOthers(file, async (bare) => {
        const servers = { serena, ...bare }
        const results: Array<Trivial> = []
        for (const path of paths) {
          const measured: Record<Side, Array<Rate>> = { serena: [], effect: [], fastify: [], "node:http": [] }
          for (const side of sides) await measure(servers[side], path, 1)
          for (let round = 0; round < rounds; round++) {
            for (const side of sides) measured[side].push(await measure(servers[side], path, 1.5))
          }
          results.push({ path, rates: measured })
        }
        return results
      })
    })
  )
