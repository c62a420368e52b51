/**
 * Many clients at once, each of which asks for pictures one after the other and waits when it is told to. A process of
 * its own, so that it takes no time from the server.
 *
 * Usage: `node crowdClients.ts PORT CLIENTS SECONDS SETTLED [REQUEST]`. Prints a line after SETTLED images, and a
 * `CrowdReport` as JSON at the end. A request, as JSON, is for another image than a tiny one.
 */
import { Agent, type IncomingHttpHeaders, request } from "node:http"
import { performance } from "node:perf_hooks"
import { text } from "node:stream/consumers"
import { setTimeout } from "node:timers/promises"

export interface CrowdReport {
  /** Requests that were answered with their own picture. */
  readonly answered: number
  /** Answers with 429, after which the client has waited as long as it was told. */
  readonly refused: number
  /** What else has happened; nothing should. */
  readonly wrong: ReadonlyArray<string>
  /** How many requests a client has made at least. */
  readonly fewest: number
  /** The most earlier requests that still waited at an answer: 0 if all that come first are served first. */
  readonly overtaken: number
  /** Longest time that a client was told to wait, in seconds. */
  readonly longestRetry: number
  /** From the first request to the last answer. */
  readonly seconds: number
  /** Milliseconds from a request to its answer. */
  readonly p50: number
  readonly p99: number
}

const [port = "", clients = "", seconds = "", settled = "", asked = "{}"] = process.argv.slice(2)
const picture: object = { prompt: "a red circle", steps: 1, width: 32, height: 32, ...JSON.parse(asked) }
const agent = new Agent({ keepAlive: true, maxSockets: Number(clients) })

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const ask = (body: string): Promise<Answer> =>
  new Promise<Answer>((resolve, reject) => {
    const outgoing = request({
      host: "127.0.0.1",
      port,
      agent,
      method: "POST",
      path: "/sdapi/v1/txt2img",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
    }, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode, headers: response.headers, body }),
        reject
      )
    })
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      // The server closed an idle connection while the request was on its way: HTTP has a client send it again.
      if (outgoing.reusedSocket && error.code === "ECONNRESET") resolve(ask(body))
      else reject(error)
    })
    outgoing.end(body)
  })

const wrong: Array<string> = []
const times: Array<number> = []
const waiting = new Set<number>()
let sent = 0
let answered = 0
let refused = 0
let overtaken = 0
let longestRetry = 0

/** Whether this is the picture that was asked for. */
const isOwn = (body: string, seed: number): boolean => {
  const { images, info }: { images: ReadonlyArray<string>; info: string } = JSON.parse(body)
  const told: { seed: number } = JSON.parse(info)
  return images.length === 1 && told.seed === seed
}

const once = async (): Promise<boolean> => {
  const place = sent++
  waiting.add(place)
  const begun = performance.now()
  const { body, headers, status } = await ask(
    JSON.stringify({ ...picture, seed: place })
  )
  waiting.delete(place)
  if (status === 429) {
    refused++
    const retry = Number(headers["retry-after"])
    longestRetry = Math.max(longestRetry, retry)
    if (!(retry > 0)) wrong.push(`429 without Retry-After: ${body}`)
    await setTimeout(retry * 1000)
    return false
  }
  if (status !== 200 || !isOwn(body, place)) {
    wrong.push(`${status}: ${body.slice(0, 200)}`)
    return true
  }
  let earlier = 0
  for (const other of waiting) if (other < place) earlier++
  overtaken = Math.max(overtaken, earlier)
  times.push(performance.now() - begun)
  answered++
  if (answered === Number(settled)) process.stdout.write("settled\n")
  return true
}

const start = performance.now()
const end = start + Number(seconds) * 1000

/** Asks until the time is over, and has a picture in any case. */
const client = async (): Promise<number> => {
  let pictures = 0
  while (pictures === 0 || performance.now() < end) if (await once()) pictures++
  return pictures
}

const counts = await Promise.all(Array.from({ length: Number(clients) }, client))
agent.destroy()

const sorted = times.toSorted((a, b) => a - b)
const quantile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
const report: CrowdReport = {
  answered,
  refused,
  wrong: wrong.slice(0, 10),
  fewest: Math.min(...counts),
  overtaken,
  longestRetry,
  seconds: (performance.now() - start) / 1000,
  p50: quantile(0.5),
  p99: quantile(0.99)
}
process.stdout.write(JSON.stringify(report))
