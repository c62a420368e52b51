/**
 * The names under which a server without sign-in may be reached.
 *
 * A web page can point its own name at this machine (DNS rebinding); its requests then look like those of the same
 * origin, but their `Host` is the page's. An address cannot be rebound, and a server with users is safe by its
 * passwords.
 */
import { networkInterfaces } from "node:os"
import { accessOf, isLoopback, type ServerSettings } from "./ServerOptions.ts"

/** Whether requests with this `Host` header are answered. */
export type AllowsHost = (host: string | undefined) => boolean

/** The check for the server options. Without a `Host` a request is no browser's. */
export const make = (
  options: Pick<ServerSettings, "allowed_hosts" | "api_auth" | "api_keys" | "host">
): AllowsHost => {
  if (!accessOf(options).checksHost) return () => true
  const { allowed_hosts, host: address } = options
  const named = new Set([address, ...allowed_hosts].map(nameOf))
  const isWildcard = /^(?:0\.0\.0\.0|\[?::\]?)$/.test(address)
  // Clients write the same name again and again. Addresses of this machine come and go.
  let latest: string | undefined
  return (host) => {
    if (host === undefined || host === latest) return true
    const name = nameOf(host)
    if (name === undefined) return false
    if (!isLoopback(name) && !named.has(name)) return isWildcard && isOfThisMachine(name)
    latest = host
    return true
  }
}

/** A host's name in lower case, without its port; undefined for none. An IPv6 address has brackets. */
const nameOf = (host: string): string | undefined => {
  const isPlainIpv6 = !host.startsWith("[") && host.split(":").length > 2
  return URL.parse(`http://${isPlainIpv6 ? `[${host}]` : host}`)?.hostname.replace(/\.$/, "")
}

const isOfThisMachine = (name: string): boolean =>
  Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => nameOf(address) === name))
