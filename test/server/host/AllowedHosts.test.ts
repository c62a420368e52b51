import { assert, describe, it } from "@effect/vitest"
import { networkInterfaces } from "node:os"
import * as AllowedHosts from "../../../src/server/host/AllowedHosts.ts"

const check = (options: Partial<Parameters<typeof AllowedHosts.make>[0]> = {}) =>
  AllowedHosts.make({ allowed_hosts: [], api_auth: [], api_keys: [], host: "127.0.0.1", ...options })

const own = [undefined, "localhost", "LOCALHOST:7860", "localhost.", "127.0.0.1:7860", "127.8.9.1", "[::1]:7860"]
const foreign = [
  "evil.example",
  "evil.example:7860",
  "localhost.evil.example",
  "127.0.0.1.evil.example",
  "10.1.2.3",
  ""
]

describe("hosts of a server without sign-in", () => {
  it("are the loopback names only", () => {
    const allows = check()
    for (const host of own) assert.isTrue(allows(host), host)
    for (const host of [...foreign, "localhost@evil.example", "[::2]"]) assert.isFalse(allows(host), host)
  })

  it("are also the address it listens on, and named ones", () => {
    const allows = check({ host: "10.1.2.3", allowed_hosts: ["Images.example", "other.example:8080"] })
    for (const host of [...own, "10.1.2.3:7860", "images.example", "other.example"]) assert.isTrue(allows(host), host)
    for (const host of ["10.1.2.4", "evil.example"]) assert.isFalse(allows(host), host)
    assert.isTrue(check({ host: "fd00::7" })("[fd00::7]:7860"))
  })

  it("are this machine's addresses if it listens on all", () => {
    const allows = check({ host: "0.0.0.0" })
    const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []).filter(({ family }) =>
      family === "IPv4"
    )
    for (const { address } of [...addresses, { address: "0.0.0.0" }]) assert.isTrue(allows(`${address}:7860`), address)
    assert.isFalse(allows("evil.example"))
  })

  it("are all with users, and with *", () => {
    for (const host of foreign) {
      assert.isTrue(check({ api_auth: ["ada:secret"] })(host))
      assert.isTrue(check({ allowed_hosts: ["*"] })(host))
    }
  })
})
