// images.mts
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { MessageChannel, Worker } from "node:worker_threads"
import type { Answer, Message } from "./thread.mts"

const worker = new Worker(new URL("./thread.mts", import.meta.url))

const ask = (request: unknown): Promise<Answer> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.once("message", resolve)
    worker.postMessage({ request, reply: port2 } satisfies Message, [port2])
  })

const [good, bad] = await Promise.all([
  ask({ prompt: "an orange diamond", steps: 5, seed: 1 }),
  ask({ prompt: "an orange diamond", sampler_name: "Yuler" })
])
if ("pngs" in good) { for (const png of good.pngs) await writeFile("diamond.png", png) }
if ("error" in bad) process.stdout.write(`${bad.error.slice(0, 53)}\n`)

worker.postMessage("end" satisfies Message, [])
await once(worker, "exit")
