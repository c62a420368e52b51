/**
 * LoRAs and embeddings that an infotext names, by the names that their files have in this process.
 *
 * Files are renamed more often than they are changed: infotexts list hashes, and a file of another name that has the
 * hash is meant (stable-diffusion-webui 1.10.1 does so for LoRAs).
 */
import * as Effect from "effect/Effect"
import type { AdapterFile } from "../model/Adapter.ts"
import type { EmbeddingFile } from "../model/Embedding.ts"
import { Models } from "../model/Models.ts"
import * as Infotext from "../processing/Infotext.ts"
import { type ListedNetwork, listedNetworks } from "../processing/listedNetworks.ts"

/** Fewest digits of a hash that distinguish files. */
const shortest = 8

export interface Present {
  /** The infotext with the present names. */
  readonly text: string
  /** Sentences about what is not here, or is another file here. */
  readonly warnings: ReadonlyArray<string>
}

/** Replaces the names of LoRAs and embeddings in an infotext's prompts where their files have other names here. */
export const withPresentNetworks = Effect.fnUntraced(function*(
  text: string
): Effect.fn.Return<Present, never, Models> {
  const { fields } = yield* Infotext.parsing(text)
  const { embeddings: listedEmbeddings, loras } = listedNetworks(fields)
  const known = (network: ListedNetwork): boolean => network.hash.length >= shortest
  const models = yield* Models
  const warnings: Array<string> = []
  let present = text
  for (const network of loras.filter(known)) {
    const { adapter = () => Effect.undefined } = models
    const found = yield* meant(network, yield* adapter(network.name), adapter(network.hash))
    if (found === undefined) continue
    if (found.isOther) warnings.push(otherFile("LoRA", network))
    else if (found.name !== undefined) {
      present = relisted(withLora(present, network.name, found.name), network, found.name)
    }
  }
  const embeddings = listedEmbeddings.length === 0 ? [] : yield* models.embeddings ?? Effect.succeed([])
  for (const network of listedEmbeddings.filter(known)) {
    const own = embeddings.find(({ name }) => name.toLowerCase() === network.name.toLowerCase())
    const found = yield* meant(network, own, withHash(embeddings, network.hash))
    if (found === undefined) {
      warnings.push(
        `The image was made with the embedding ${network.name} (${network.hash}), which is not here: the image will differ.`
      )
    } else if (found.isOther) warnings.push(otherFile("embedding", network))
    else if (found.name !== undefined) {
      present = relisted(withWord(present, network.name, found.name), network, found.name)
    }
  }
  return { text: present, warnings }
})

const otherFile = (kind: string, { hash, name }: ListedNetwork): string =>
  `The ${kind} ${name} is not the file that the image was made with (${hash}): the image will differ.`

const startsAlike = (own: string, hash: string): boolean => own.startsWith(hash) || hash.startsWith(own)

interface Meant {
  /** The file's name; undefined where the name in the infotext is one of its names. */
  readonly name: string | undefined
  /** Whether the file of that name is another. */
  readonly isOther: boolean
}

// The file of a hash; else the one of the name, which is another.
const meant = Effect.fnUntraced(function*<A extends AdapterFile | EmbeddingFile>(
  { hash }: ListedNetwork,
  named: A | undefined,
  hashed: Effect.Effect<A | undefined>
): Effect.fn.Return<Meant | undefined> {
  const own = named && (yield* Effect.option(named.hash))
  if (named !== undefined && own?._tag === "Some" && startsAlike(own.value, hash)) {
    return { name: undefined, isOther: false }
  }
  const other = yield* hashed
  if (other !== undefined) return { name: other.name, isOther: false }
  return named && { name: undefined, isOther: true }
})

const withHash = (embeddings: ReadonlyArray<EmbeddingFile>, hash: string) =>
  Effect.gen(function*() {
    for (const embedding of embeddings) {
      const own = yield* Effect.option(embedding.hash)
      if (own._tag === "Some" && startsAlike(own.value, hash)) return embedding
    }
    return undefined
  })

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")

const withLora = (text: string, written: string, name: string): string =>
  text.replaceAll(new RegExp(`(<(?:lora|lyco):)${escaped(written)}(?=[:>])`, "gu"), (_, begin: string) => begin + name)

// In the prompts: the last line has values of other kinds.
const withWord = (text: string, written: string, name: string): string => {
  const end = text.lastIndexOf("\n") + 1
  const word = new RegExp(`(?<![\\p{L}\\p{N}_])${escaped(written)}(?![\\p{L}\\p{N}_])`, "giu")
  return text.slice(0, end).replaceAll(word, () => name) + text.slice(end)
}

// In the lists of hashes.
const relisted = (text: string, { hash, name: written }: ListedNetwork, name: string): string =>
  text.replaceAll(
    new RegExp(`(?<=["\\s:,])${escaped(written)}("?: "?)(?=${hash})`, "gi"),
    (_, between: string) => name.replaceAll(/[:,"]/g, "") + between
  )
