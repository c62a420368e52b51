// http.mts
import { Console, Effect, Exit, ManagedRuntime } from "effect"
import { createServer, type IncomingMessage } from "node:http"
import { json } from "node:stream/consumers"
import { InvalidProcessing, processImages, Processing, RunnerHooks, Serena } from "serena-runtime"

// One runtime for the whole process: the first request loads the model, once.
const runtime = ManagedRuntime.make(Serena.layer({
  options: { samples_save: false },
  hooks: RunnerHooks.layer({ onPrepare: ({ processing }) => Console.log(`started: ${processing.prompt}`) })
}))

const answer = Effect.fn("answer")(
  function*(request: IncomingMessage) {
    const body = yield* Effect.tryPromise({
      try: (): Promise<unknown> => json(request),
      catch: () => new InvalidProcessing({ problems: [{ path: "", message: "this is not JSON" }] })
    })
    const { images } = yield* processImages(yield* Processing.decode(body))
    return { status: 200, type: "image/png", body: images[0]?.bytes }
  },
  Effect.catch((error) => {
    const status = error._tag === "InvalidProcessing" || error._tag === "UnknownSampler" ? 400 : 500
    return Effect.succeed({ status, type: "text/plain", body: `${error.message}\n` })
  }),
  Effect.onInterrupt(() => Console.log("the client disconnected"))
)

const server = createServer(async (request, response) => {
  // A client that disconnects ends its run.
  const gone = new AbortController()
  response.on("close", () => gone.abort())
  const exit = await runtime.runPromiseExit(answer(request), { signal: gone.signal })
  if (Exit.isSuccess(exit)) {
    response.writeHead(exit.value.status, { "content-type": exit.value.type }).end(exit.value.body)
  } else {
    response.writeHead(500).end()
  }
})

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify(server.address())}\n`)
})

process.once("SIGTERM", () => {
  server.close()
  server.closeAllConnections()
  void runtime.dispose()
})
