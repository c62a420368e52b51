/**
 * Requests to other servers that a client of this one asks for: none of them reaches a private address.
 */
import * as Context from "effect/Context"
import type { LookupAddress, LookupAllOptions, LookupOptions } from "node:dns"
import { lookup } from "node:dns"
import * as http from "node:http"
import * as https from "node:https"
import { BlockList, isIP } from "node:net"
import { Duplex } from "node:stream"
import { refusedAddress } from "../../models/hub/requests.ts"

// Loopback, private, link-local, multicast and reserved networks.
const forbidden = new BlockList()
for (
  const [network, prefix] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["224.0.0.0", 3]
  ] as const
) forbidden.addSubnet(network, prefix, "ipv4")
// Those of IPv6, and the networks whose addresses stand for IPv4 addresses: NAT64, Teredo and 6to4.
// A mapped address is checked as the IPv4 address that it is.
for (
  const [network, prefix] of [
    ["::", 96],
    ["::ffff:0:0:0", 96],
    ["64:ff9b::", 96],
    ["64:ff9b:1::", 48],
    ["100::", 64],
    ["2001::", 32],
    ["2001:db8::", 32],
    ["2002::", 16],
    ["fc00::", 7],
    ["fe80::", 10],
    ["fec0::", 10],
    ["ff00::", 8]
  ] as const
) forbidden.addSubnet(network, prefix, "ipv6")

/** Whether an address is one that is never asked. An address with a zone is local by its zone. */
export const isPrivate = (address: string): boolean => {
  const family = address.includes("%") ? 0 : isIP(address)
  return family === 0 || forbidden.check(address, family === 6 ? "ipv6" : "ipv4")
}

export interface Network {
  /** Resolves a name. */
  readonly lookup: (
    hostname: string,
    options: LookupAllOptions,
    done: (error: NodeJS.ErrnoException | null, addresses: Array<LookupAddress>) => void
  ) => void
  /** Whether an address is never connected to. */
  readonly isPrivate: (address: string) => boolean
}

/** The network that is asked. By default that of this machine, without its private part. */
export const PublicNetwork = Context.Reference<Network>("serena/server/host/PublicNetwork", {
  defaultValue: () => ({ lookup, isPrivate })
})

/** An address that is never connected to. */
export class LocalAddress extends Error {
  readonly code = refusedAddress
}

/** Whether the host of an address is itself a private address; an IPv6 address has brackets or none. */
export const isPrivateHost = (network: Network, host: string): boolean => {
  const address = host.replace(/^\[|\]$/g, "")
  return isIP(address) !== 0 && network.isPrivate(address)
}

/**
 * A lookup for Node's requests. It checks the very addresses that the request connects to, so that a second lookup
 * cannot change them.
 */
export const publicLookup = (network: Network) =>
(
  hostname: string,
  options: LookupOptions,
  done: (error: Error | null, address: string | Array<LookupAddress>, family?: number) => void
): void =>
  network.lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return done(error, "")
    const [first] = addresses
    if (first === undefined || addresses.some(({ address }) => network.isPrivate(address))) {
      return done(new LocalAddress(), "")
    }
    return options.all === true ? done(null, addresses) : done(null, first.address, first.family)
  })

interface Connection {
  readonly host?: string | null | undefined
  readonly port?: number | string | null | undefined
}

/**
 * Agents for Node's requests that connect to public addresses only, and to one origin wherever that is.
 *
 * @param home The origin, such as `http://hub.internal:8080`.
 */
export const publicAgents = (network: Network, home: string) => {
  const own = new URL(home)
  const isHome = ({ host, port }: Connection, protocol: string): boolean =>
    URL.parse(`${protocol}//${host?.includes(":") ? `[${host}]` : host}:${port}`)?.origin === own.origin
  const isRefused = ({ host }: Connection): boolean => isPrivateHost(network, host ?? "")
  const lookup = publicLookup(network)
  class Plain extends http.Agent {
    override createConnection(...[options, done]: Parameters<http.Agent["createConnection"]>) {
      if (isHome(options, "http:")) return super.createConnection(options, done)
      return isRefused(options) ? refuse(done) : super.createConnection({ ...options, lookup }, done)
    }
  }
  class Secure extends https.Agent {
    override createConnection(...[options, done]: Parameters<https.Agent["createConnection"]>) {
      if (isHome(options, "https:")) return super.createConnection(options, done)
      return isRefused(options) ? refuse(done) : super.createConnection({ ...options, lookup }, done)
    }
  }
  return { http: new Plain(), https: new Secure() }
}

// Node expects the socket of no failed connection.
const refuse = (done: Parameters<http.Agent["createConnection"]>[1]): undefined => {
  const none = new Duplex()
  done?.(new LocalAddress(), none)
}
