/**
 * A thousand readers of the events of ten runs: whether each of them sees the end of its run, and how late, and what
 * they cost the server.
 */
import { get } from "node:http"
import { quantile } from "../median.ts"
import { residentMemory, type ServerProcess, withServer } from "./serverProcess.ts"

export interface ReadersOptions {
  readonly readers: number
  readonly runs: number
}

export interface ReadersReport {
  /** Readers whose last event was the end of their run. */
  readonly ended: number
  /** How many images readers have seen; one number where all of them have seen the same. */
  readonly images: ReadonlyArray<number>
  /** Milliseconds from the end of a run, as its record says, to the event at a reader. */
  readonly delay: { readonly p50: number; readonly p99: number; readonly longest: number }
  /** Seconds that the runs took, from the first one's beginning to the last one's end. */
  readonly seconds: { readonly unread: number; readonly read: number }
  /** Resident memory of the server in MB: when nobody reads, at most while all read, and after that. */
  readonly memory: { readonly before: number; readonly most: number; readonly after: number }
}

interface Ended {
  readonly startedAt: number
  readonly endedAt: number
}

/** One reader until its stream ends. */
const read = (url: string) => {
  let text = ""
  let hasBegun = () => {}
  const begun = new Promise<void>((resolve) => {
    hasBegun = resolve
  })
  const ended = new Promise<{ readonly at: number; readonly names: ReadonlyArray<string> }>((resolve, reject) => {
    let at = 0
    const request = get(url, { agent: false }, (response) => {
      response.setEncoding("utf8")
      response.on("data", (part: string) => {
        text += part
        hasBegun()
        if (at === 0 && /^event: (?:done|failed|cancelled)$/m.test(text)) at = Date.now()
      })
      response.on(
        "end",
        () => resolve({ at, names: [...text.matchAll(/^event: (.*)$/gm)].map(([, name = ""]) => name) })
      )
      response.on("error", reject)
    })
    request.on("error", reject)
  })
  return { begun, ended }
}

const asJson = async (reply: Response): Promise<unknown> => {
  if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`)
  return reply.json()
}

const textOf = (value: unknown, key: string): string => {
  const found: unknown = typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined
  if (typeof found !== "string" && typeof found !== "number") throw new Error(`no ${key} in ${JSON.stringify(value)}`)
  return String(found)
}

const send = async ({ url }: ServerProcess, method: string, path: string, body: object) =>
  asJson(
    await fetch(url + path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
  )

/** Submits the runs while the queue is paused. */
const submitAll = async (server: ServerProcess, runs: number) => {
  await send(server, "PATCH", "/v1/queue", { paused: true })
  const ids: Array<string> = []
  for (let seed = 0; seed < runs; seed++) {
    const fields = { prompt: "a red circle", seed, steps: 10, width: 64, height: 64, n_iter: 2, save: false }
    ids.push(textOf(await send(server, "POST", "/v1/runs", fields), "id"))
  }
  return ids
}

const endOf = async ({ url }: ServerProcess, id: string): Promise<Ended> => {
  while (true) {
    const run = await asJson(await fetch(`${url}/v1/runs/${id}`))
    if (JSON.stringify(run).includes(`"_tag":"Done"`)) {
      return { startedAt: Number(textOf(run, "started_at")), endedAt: Number(textOf(run, "ended_at")) }
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const seconds = (runs: ReadonlyArray<Ended>): number =>
  (Math.max(...runs.map(({ endedAt }) => endedAt)) - Math.min(...runs.map(({ startedAt }) => startedAt))) / 1000

export const readers = ({ readers: count, runs }: ReadersOptions): Promise<ReadersReport> =>
  withServer(["--queue", String(runs)], async (server) => {
    const unread = await submitAll(server, runs)
    await send(server, "PATCH", "/v1/queue", { paused: false })
    const alone = await Promise.all(unread.map((id) => endOf(server, id)))

    const ids = await submitAll(server, runs)
    const before = residentMemory(server.pid)
    const all = Array.from(
      { length: count },
      (_, index) => read(`${server.url}/v1/runs/${ids[index % runs]}/events`)
    )
    await Promise.all(all.map(({ begun }) => begun))
    let most = residentMemory(server.pid)
    const watch = setInterval(() => {
      most = Math.max(most, residentMemory(server.pid))
    }, 100)
    await send(server, "PATCH", "/v1/queue", { paused: false })
    const seen = await Promise.all(all.map(({ ended }) => ended))
    clearInterval(watch)
    const ends = await Promise.all(ids.map((id) => endOf(server, id)))
    const delays = seen.map(({ at }, index) => at - (ends[index % runs]?.endedAt ?? 0))
    return {
      ended: seen.filter(({ names }) => names.at(-1) === "done").length,
      images: [...new Set(seen.map(({ names }) => names.filter((name) => name === "image").length))],
      delay: { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99), longest: Math.max(...delays) },
      seconds: { unread: seconds(alone), read: seconds(ends) },
      memory: { before, most, after: residentMemory(server.pid) }
    }
  })
