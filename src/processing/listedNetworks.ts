/**
 * LoRAs and embeddings that an infotext lists with their hashes.
 */
import type * as Infotext from "./Infotext.ts"

/** A network as an infotext lists it. */
export interface ListedNetwork {
  /** As the prompt calls it, without colons and commas. */
  readonly name: string
  /** First hex digits of a hash of its file. */
  readonly hash: string
}

export interface ListedNetworks {
  readonly loras: ReadonlyArray<ListedNetwork>
  readonly embeddings: ReadonlyArray<ListedNetwork>
}

const item = /([^:,]{1,200}):\s*([0-9a-f]{1,64})(?=\s*(?:,|$))/giu

const listIn = (text: unknown): ReadonlyArray<ListedNetwork> =>
  typeof text !== "string"
    ? []
    : Array.from(text.matchAll(item), ([, name = "", hash = ""]) => ({ name: name.trim(), hash: hash.toLowerCase() }))

// All files of an image by kind and name, as Civitai's tools write them.
const hashesIn = (text: unknown, kinds: string): ReadonlyArray<ListedNetwork> =>
  typeof text !== "string" ? [] : Array.from(
    text.matchAll(new RegExp(`"(?:${kinds}):([^"]{1,200})"\\s*:\\s*"([0-9a-f]{1,64})"`, "giu")),
    ([, name = "", hash = ""]) => ({ name, hash: hash.toLowerCase() })
  )

const once = (listed: ReadonlyArray<ListedNetwork>): ReadonlyArray<ListedNetwork> =>
  [
    ...new Map(listed.toReversed().map((each) => [each.name, each])).values()
  ].toReversed()

/** Each name once: `Lora hashes` and `TI hashes` count before `Hashes`. */
export const listedNetworks = (fields: Infotext.Fields): ListedNetworks => ({
  loras: once([...listIn(fields["Lora hashes"]), ...hashesIn(fields["Hashes"], "lora|lyco")]),
  embeddings: once([...listIn(fields["TI hashes"]), ...hashesIn(fields["Hashes"], "embed")])
})
