/**
 * What a prompt may go on with: tags, embeddings, LoRAs and wildcards by a part of their names.
 */
import * as Effect from "effect/Effect"
import type { Suggestion, Suggestions } from "../../contract/Prompts.ts"
import { Options } from "../../processing/Options.ts"
import { WildcardBook } from "../../processing/WildcardBook.ts"
import { ModelShelf } from "../host/ModelShelf.ts"
import { type FoundTag, TagBook } from "../host/TagBook.ts"

/** Suggestions unless a query asks for more or fewer. */
const usualLimit = 20
/** Most words at the end of a query that are looked for together. */
const mostWords = 5
/** Fewest characters of a word that is looked for. */
const fewest = 2

export interface Query {
  readonly query: string
  readonly kind?: Suggestion["kind"] | undefined
  readonly limit?: number | undefined
}

/** What fits; of a query of several words, the last ones may do. */
export const suggest = Effect.fn("v1.suggest")(function*({ kind, limit = usualLimit, query }: Query) {
  const found = (suggestions: ReadonlyArray<Suggestion>, of = query): Suggestions => ({
    query: of,
    suggestions: suggestions.slice(0, limit)
  })
  if (kind === "lora") return found(yield* files("lora", query))
  if (kind === "wildcard") return found(yield* wildcards(query))
  const { find } = yield* TagBook
  for (const end of endings(query)) {
    const embeddings = kind === "tag" ? [] : yield* files("embedding", end)
    const tags = kind === "embedding" ? [] : yield* find(end, limit)
    if (embeddings.length + tags.length > 0) return found([...embeddings, ...tags.map(ofTag)], end)
  }
  return found([])
})

// The query, then less and less of its last words.
const endings = (query: string): ReadonlyArray<string> => {
  const places = [0, ...Array.from(query.matchAll(/\s+(?=\S)/g), ({ 0: { length }, index }) => index + length)]
  return places.slice(-mostWords).map((place) => query.slice(place)).filter((end) => end.trim().length >= fewest)
}

const file = (kind: Suggestion["kind"], name: string, text: string): Suggestion => ({
  kind,
  text,
  name,
  alias: null,
  category: null,
  count: null
})

// Those whose names begin with a text go before those that have it elsewhere.
const ranked = (suggestions: ReadonlyArray<Suggestion>, query: string): ReadonlyArray<Suggestion> => {
  const wanted = query.trim().toLowerCase()
  const [others, beginning] = [
    suggestions.filter(({ name }) => !name.toLowerCase().startsWith(wanted)),
    suggestions.filter(({ name }) => name.toLowerCase().startsWith(wanted))
  ]
  return [...beginning, ...others]
}

const files = Effect.fnUntraced(function*(kind: "embedding" | "lora", query: string) {
  const shelf = yield* ModelShelf
  const settings = yield* (yield* Options).snapshot
  const listed = yield* shelf.list({ kind, ...(kind === "lora" && { search: query }) }, settings)
  const wanted = query.trim().toLowerCase()
  const usable = listed.filter(({ name, problem }) =>
    problem === null && (kind === "lora" || name.toLowerCase().includes(wanted))
  )
  return ranked(
    usable.map(({ name, tag }) => file(kind, name, kind === "lora" ? `<lora:${tag ?? name}:1>` : name)),
    query
  )
})

const wildcards = Effect.fnUntraced(function*(query: string) {
  const names = yield* (yield* WildcardBook).names
  const wanted = query.trim().toLowerCase()
  return ranked(
    names.filter((name) => name.toLowerCase().includes(wanted))
      .map((name) => file("wildcard", name, `__${name}__`)),
    query
  )
})

// Prompts have spaces for underscores, except in faces such as `^_^`; brackets would be attention.
const ofTag = ({ alias, category, count, name }: FoundTag): Suggestion => {
  const words = name.length > 3 ? name.replaceAll("_", " ") : name
  return {
    kind: "tag",
    name,
    text: words.replaceAll(/[\\()[\]]/g, String.raw`\$&`),
    alias: alias ?? null,
    category,
    count
  }
}
