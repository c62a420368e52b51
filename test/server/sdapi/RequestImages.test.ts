import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LookupAddress } from "node:dns"
import { createServer, type RequestListener } from "node:http"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"
import { isPrivate, PublicNetwork } from "../../../src/server/host/PublicNetwork.ts"
import { ServerOptions } from "../../../src/server/host/ServerOptions.ts"
import { RequestImages } from "../../../src/server/sdapi/RequestImages.ts"

const layer = RequestImages.layer.pipe(
  Layer.provide(Layer.mergeAll(CommandOptions.layer(), ServerOptions.layer({ allow_url_hosts: ["*"] })))
)

/** A host of pictures on this machine. */
const host = Effect.fnUntraced(function*(answer: RequestListener) {
  let asked = 0
  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((request, response) => {
        asked++
        answer(request, response)
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  const address = server.address()
  return { port: typeof address === "object" && address !== null ? address.port : 0, asked: () => asked }
})

/** A resolver that gives these addresses, one after the other, on a network whose private part is 10.0.0.0/8. */
const resolving = (...answers: ReadonlyArray<ReadonlyArray<string>>) => {
  const names: Array<string> = []
  return {
    names,
    network: {
      isPrivate: (address: string) => address.startsWith("10."),
      lookup: (
        name: string,
        _: unknown,
        done: (error: NodeJS.ErrnoException | null, addresses: Array<LookupAddress>) => void
      ) => {
        const given = answers[Math.min(names.length, answers.length - 1)] ?? []
        names.push(name)
        done(null, given.map((address) => ({ address, family: 4 })))
      }
    }
  }
}

const read = (url: string) => Effect.flatMap(RequestImages, ({ read }) => read(url))

describe("Private addresses", () => {
  it.each([
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::FFFF:10.0.0.1",
    "0:0:0:0:0:ffff:c0a8:0101",
    "::127.0.0.1",
    "::ffff:0:10.0.0.1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:53aa:64c:0:fbff:80ff:fffe",
    "2001::1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::10.0.0.1",
    "no address"
  ])("%s is one", (address) => assert.isTrue(isPrivate(address)))

  it.each([
    "93.184.216.34",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450::1",
    "::ffff:1.1.1.1"
  ])(
    "%s is none",
    (address) => assert.isFalse(isPrivate(address))
  )
})

describe("An image that is fetched", () => {
  it.live("comes from the address that was checked: the name is resolved once", () =>
    Effect.gen(function*() {
      const { asked, port } = yield* host((_, response) => response.end("a picture"))
      const { names, network } = resolving(["127.0.0.1"], ["10.0.0.1"])
      const bytes = yield* Effect.provideService(read(`http://rebinding.example:${port}/a.png`), PublicNetwork, network)
      assert.strictEqual(Buffer.from(bytes).toString(), "a picture")
      assert.deepStrictEqual([names, asked()], [["rebinding.example"], 1])
    }).pipe(Effect.provide(layer)))

  it.live("is not asked for where a name has a private address, alone or among others", () =>
    Effect.gen(function*() {
      const { asked, port } = yield* host((_, response) => response.end("a secret"))
      for (const addresses of [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], []]) {
        const refused = yield* Effect.flip(
          Effect.provideService(read(`http://rebound.example:${port}/`), PublicNetwork, resolving(addresses).network)
        )
        assert.strictEqual(refused._tag === "Refused" ? refused.detail : "", "Request to local resource not allowed")
      }
      assert.strictEqual(asked(), 0)
    }).pipe(Effect.provide(layer)))

  it.live.each([301, 302, 303, 307, 308])(
    "is not looked for elsewhere: a redirection (%i) is followed nowhere",
    (status) =>
      Effect.gen(function*() {
        const secret = yield* host((_, response) => response.end("a secret"))
        const { port } = yield* host((_, response) =>
          response.writeHead(status, { location: `http://127.0.0.1:${secret.port}/` }).end("moved")
        )
        const refused = yield* Effect.flip(
          Effect.provideService(read(`http://a.example:${port}/`), PublicNetwork, resolving(["127.0.0.1"]).network)
        )
        assert.include(refused.message, `status ${status}`)
        assert.strictEqual(secret.asked(), 0)
      }).pipe(Effect.provide(layer))
  )
})
