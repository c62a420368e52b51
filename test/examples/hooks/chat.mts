// chat.mts
import { Console, Effect } from "effect"
import { createServer } from "node:http"
import { text } from "node:stream/consumers"

/** A stand-in for the chat, which is unavailable for the first two messages. Returns its URL. */
export const chat = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      let requests = 0
      const server = createServer(async (request, response) => {
        const message = await text(request)
        requests++
        Effect.runSync(Console.log(requests <= 2 ? "chat: unavailable" : `chat: ${message}`))
        response.writeHead(requests <= 2 ? 503 : 200).end()
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}/`, close: () => server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ),
  ({ url }) => url
)
