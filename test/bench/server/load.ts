/**
 * Asks a server for the same thing again and again, over connections that are kept open. A process of its own, so that
 * it takes no time from the server; sockets as they are, since a client of HTTP would be slower than what it measures.
 *
 * Usage: `node load.ts PORT PATH CONNECTIONS SECONDS`. Prints requests and milliseconds as JSON.
 */
import { connect } from "node:net"
import { performance } from "node:perf_hooks"

const [port = "", path = "", connections = "", seconds = ""] = process.argv.slice(2)
const question = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\n\r\n`

const begun = performance.now()
const end = begun + Number(seconds) * 1000
let requests = 0

/** One connection, until the time is over. */
const client = () =>
  new Promise<void>((resolve, reject) => {
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(question))
    let text = ""
    socket.setNoDelay(true).setEncoding("latin1")
    socket.on("error", reject)
    socket.on("close", () => reject(new Error("the server hung up")))
    socket.on("data", (chunk: string) => {
      text += chunk
      const head = text.indexOf("\r\n\r\n")
      if (head < 0) return
      const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1]
      if (!text.startsWith("HTTP/1.1 200 ") || length === undefined) return reject(new Error(text))
      if (text.length < head + 4 + Number(length)) return
      text = ""
      requests++
      if (performance.now() < end) return socket.write(question)
      socket.removeAllListeners("close").destroy()
      resolve()
    })
  })

await Promise.all(Array.from({ length: Number(connections) }, client))
process.stdout.write(JSON.stringify({ requests, milliseconds: performance.now() - begun }))
