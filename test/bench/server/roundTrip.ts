/**
 * What asking over HTTP adds: the same request to a server, and to the library, in turn.
 *
 * Each side has a process of its own, so that onnxruntime's threads of one do not spin while the other works.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { performance } from "node:perf_hooks"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { withServer } from "./serverProcess.ts"

const script = fileURLToPath(new URL("directCalls.ts", import.meta.url))
const requests = 100
const body = { prompt: "a red circle on a blue background", seed: 1, steps: 4, width: 128, height: 128 }

const picture = async (url: string): Promise<Buffer> => {
  const response = await fetch(`${url}/sdapi/v1/txt2img`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  const { images }: { images: ReadonlyArray<string> } = JSON.parse(await response.text())
  const [first] = images
  if (response.status !== 200 || first === undefined) throw new Error(`the server answered ${response.status}`)
  return Buffer.from(first, "base64")
}

/** Milliseconds from each request to the bytes of its PNG file, for a client of either. */
export const roundTrip = () =>
  withServer([], async ({ url }) => {
    const library = fork(script, [JSON.stringify(body)])
    try {
      const direct = async () => {
        library.send("run")
        const [milliseconds] = await once(library, "message")
        return Number(milliseconds)
      }
      const overHttp = async () => {
        const begun = performance.now()
        await picture(url)
        return performance.now() - begun
      }
      // Idle threads spin for a while.
      const rested = async (time: () => Promise<number>) => {
        await setTimeout(30)
        return time()
      }
      for (let i = 0; i < 10; i++) for (const side of [direct, overHttp]) await rested(side)
      const times = { direct: Array<number>(), http: Array<number>() }
      for (let i = 0; i < requests; i++) {
        times.direct.push(await rested(direct))
        times.http.push(await rested(overHttp))
      }
      return times
    } finally {
      library.kill()
    }
  })
