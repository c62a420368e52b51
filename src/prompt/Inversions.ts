/**
 * Finds embeddings (textual inversions) by their names in the ids of a text (stable-diffusion-webui 1.10.1).
 */
import * as Effect from "effect/Effect"
import type { FindInversion, Inversion, Vocabulary } from "./Chunks.ts"

/**
 * Looks for the names of embeddings at a place of a text's ids. Of names that begin alike, the longest that is there
 * counts; of equal ones, the first. Undefined without any.
 */
export const finder = Effect.fnUntraced(function*(
  embeddings: ReadonlyArray<Pick<Inversion, "name" | "vectors">>,
  { encode }: Pick<Vocabulary, "encode">
): Effect.fn.Return<FindInversion | undefined> {
  if (embeddings.length === 0) return undefined
  const written = embeddings.flatMap(({ name, vectors }) =>
    spellings(name).map((spelling) => ({ name, vectors, spelling }))
  )
  const ids = yield* encode(written.map(({ spelling }) => spelling))
  const named = written.map(({ name, vectors }, place) => ({ name, vectors, ids: ids[place] ?? [] }))
  const byFirst = Map.groupBy(named.filter(({ ids }) => ids.length > 0), ({ ids }) => ids[0] ?? -1)
  for (const alike of byFirst.values()) alike.sort((a, b) => b.ids.length - a.ids.length)
  return (ids, place) => {
    const found = byFirst.get(ids[place] ?? -1)?.find((each) => isAt(each.ids, ids, place))
    return found && { name: found.name, tokens: found.ids.length, vectors: found.vectors }
  }
})

const isAt = (name: ArrayLike<number>, ids: ArrayLike<number>, place: number): boolean => {
  if (place + name.length > ids.length) return false
  for (let i = 0; i < name.length; i++) if (name[i] !== ids[place + i]) return false
  return true
}

const endings = ["pt", "safetensors", "bin"]

// What prompts may call an embedding: its name, or ComfyUI's way to write it.
const spellings = (name: string): ReadonlyArray<string> => [
  name,
  `embedding:${name}`,
  ...endings.map((ending) => `embedding:${name}.${ending}`)
]
