// scraped.mts
import { ManagedRuntime } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"
import { processImages, Serena, Txt2Img } from "serena-runtime"
import { Metrics } from "serena-runtime/instrumentation"

const port = Number(process.env["PORT"] ?? 9464)
const runtime = ManagedRuntime.make(Serena.layer({ hooks: Metrics.layer }))

const server = createServer(async (_, response) => {
  response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8")
  response.end(await runtime.runPromise(Metrics.prometheus))
}).listen(port)
await once(server, "listening")

await runtime.runPromise(processImages(Txt2Img.make({ prompt: "a white star", steps: 5 })))

const scraped = await fetch(`http://localhost:${port}/metrics`)
const lines = (await scraped.text()).split("\n")
process.stdout.write(`${lines.find((line) => line.startsWith("serena_runs_finished_total"))}\n`)

server.close()
await runtime.dispose()
