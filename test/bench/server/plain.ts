/**
 * The same answers from a server that does nothing else: node:http, Fastify, or Effect's router.
 *
 * Usage: `node plain.ts node:http|fastify|effect FILE`, where the file holds an object of paths and bodies. Prints its
 * address.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
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
} else if (kind === "effect") {
  const routes = HttpRouter.use((router) =>
    Effect.forEach(answers, ([path, body]) =>
      router.add(
        "GET",
        `/${path.slice(1)}`,
        Effect.sync(() => HttpServerResponse.text(body, { contentType: "application/json" }))
      ))
  )
  const address = Layer.effectDiscard(HttpServer.addressFormattedWith((url) => Console.log(url)))
  HttpRouter.serve(Layer.merge(routes, address), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
    Layer.launch,
    NodeRuntime.runMain
  )
} else {
  const server = createServer((request, response) => {
    const body = answers.get(request.url ?? "") ?? ""
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
    response.end(body)
  })
  server.listen(0, "127.0.0.1", () => listens(server.address()))
}
