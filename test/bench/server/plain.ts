/**
 * The same answers from a server that does nothing else: node:http, or Fastify.
 *
 * Usage: `node plain.ts node:http|fastify FILE`, where the file holds an object of paths and bodies. Prints its
 * address.
 */
import { fastify } from "fastify"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"

const [kind, file = ""] = process.argv.slice(2)
const answers = new Map<string, string>(Object.entries(JSON.parse(readFileSync(file, "utf8"))))

const listens = (address: unknown) => process.stdout.write(`http://127.0.0.1:${portOf(address)}\n`)
const portOf = (address: unknown) =>
  typeof address === "object" && address !== null && "port" in address ? address.port : undefined

if (kind === "fastify") {
  const server = fastify()
  for (const [path, body] of answers) {
    server.get(path, (_, reply) => reply.header("content-type", "application/json").send(body))
  }
  await server.listen({ port: 0, host: "127.0.0.1" })
  listens(server.server.address())
} else {
  const server = createServer((request, response) => {
    const body = answers.get(request.url ?? "") ?? ""
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
    response.end(body)
  })
  server.listen(0, "127.0.0.1", () => listens(server.address()))
}
