/** A network that can be cut: nothing gets through, and no connection is closed, until it is joined again. */
import * as Effect from "effect/Effect"
import { connect, createServer, type Socket } from "node:net"

/** A port that leads to another one of this machine. */
export const cuttable = Effect.fnUntraced(function*(to: number) {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer({ pauseOnConnect: true })
  const pass = (from: Socket, other: Socket) => {
    sockets.add(from)
    from.on("data", (bytes) => other.write(bytes))
    from.on("error", () => {})
    from.on("close", () => {
      sockets.delete(from)
      other.destroy()
    })
    if (isCut) from.pause()
    else from.resume()
  }
  server.on("connection", (near) => {
    const far = connect(to, "127.0.0.1")
    pass(near, far)
    pass(far, near)
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  )
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    cut: Effect.sync(() => {
      isCut = true
      for (const socket of sockets) socket.pause()
    }),
    join: Effect.sync(() => {
      isCut = false
      for (const socket of sockets) socket.resume()
    })
  }
})
