// service.mts
import { NodeStdio } from "@effect/platform-node"
import { Effect, Exit, Layer, ManagedRuntime } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"
import { json } from "node:stream/consumers"
import { setTimeout } from "node:timers/promises"
import { processImages, Processing, Runs, Serena } from "serena-runtime"
import { Progress } from "serena-runtime/instrumentation"

const runtime = ManagedRuntime.make(Serena.layer({
  options: { save_incomplete_images: true },
  hooks: Progress.layer().pipe(Layer.provide(NodeStdio.layer))
}))

const answer = Effect.fnUntraced(
  function*(body: unknown) {
    const { images } = yield* processImages(yield* Processing.decode(body))
    return { status: 200, body: JSON.stringify(images.map(({ path }) => path)) }
  },
  Effect.catch(({ message }) => Effect.succeed({ status: 400, body: message }))
)

const server = createServer(async (request, response) => {
  const exit = await runtime.runPromiseExit(answer(await json(request).catch(() => undefined)))
  const { body, status } = Exit.isSuccess(exit) ? exit.value : { body: "", status: 503 }
  // While the server is closing, do not keep the connection open for further requests.
  if (!server.listening) response.setHeader("connection", "close")
  response.writeHead(status).end(body)
})
server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify(server.address())}\n`)
})

const endRuns = Effect.gen(function*() {
  const { list } = yield* Runs
  for (const run of yield* list) yield* run.interrupt
})

process.once("SIGTERM", async () => {
  const closed = once(server, "close")
  server.close()
  await runtime.runPromise(endRuns)
  await Promise.race([closed, setTimeout(10_000)])
  await runtime.dispose()
  process.exit(0)
})
