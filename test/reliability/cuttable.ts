/** A network that can be cut: nothing gets through, and no connection is closed, until it is joined again. */
import * as Effect from "effect/Effect"
import { connect, createServer, type Socket } from "node:net"

/** A port that leads to another one of this machine. */
export const cuttable = Effect.fnUntraced(function*(to: number) {
  const sockets = new Set<Socket>()
  let isCut = false
  const left = new Set<Socket>()
  let last: string | undefined
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.pause()
  }
  const server = createServer({ pauseOnConnect: true })
  const pass = (from: Socket, other: Socket) => {
    sockets.add(from)
    from.on("data", (bytes) => {
      other.write(bytes)
      if (last === undefined || !bytes.includes(last)) return
      last = undefined
      cut()
    })
    from.on("error", () => {})
    from.on("close", () => {
      sockets.delete(from)
      // Of that, too, the other side hears nothing.
      if (isCut) left.add(other)
      else other.destroy()
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
    cut: Effect.sync(cut),
    /** Cuts it once these words have passed. */
    cutAfter: (words: string) =>
      Effect.sync(() => {
        last = words
      }),
    join: Effect.sync(() => {
      isCut = false
      for (const socket of left) socket.destroy()
      left.clear()
      for (const socket of sockets) socket.resume()
    })
  }
})
