/** Connections of one request each. */
import * as Effect from "effect/Effect"
import { connect, createServer } from "node:net"

/** A port that nobody listens on. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** The answer to a request on a new connection; undefined where the connection is refused. */
export const knock = (port: number, path: string) =>
  Effect.callback<string | undefined>((resume) => {
    let answer = ""
    const socket = connect(port, "127.0.0.1", () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    })
    socket.setEncoding("utf8").on("data", (text: string) => answer += text)
    socket.on("error", (error: NodeJS.ErrnoException) =>
      resume(error.code === "ECONNREFUSED" ? Effect.undefined : Effect.die(error)))
    socket.on("end", () =>
      resume(Effect.succeed(answer)))
    return Effect.sync(() => socket.destroy())
  })
