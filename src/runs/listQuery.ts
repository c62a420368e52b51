/**
 * Which runs a `ListQuery` asks for.
 */
import type { RunRecord } from "./RunRecord.ts"
import type { ListQuery } from "./RunStore.ts"

/** Whether a run is one of those that a query asks for, apart from its page. */
export const matches = (query: ListQuery) => (run: RunRecord): boolean => {
  const { client, from, idBegins = "", model, search = "", starred, states, tag, to } = query
  const text = `${run.request.prompt}\n${run.request.negative_prompt}`.toLowerCase()
  return run.id.startsWith(idBegins) &&
    (states === undefined || states.includes(run.state)) &&
    (model === undefined || run.needs.model === model) &&
    (client === undefined || run.client === client) &&
    (starred === undefined || run.starred === starred) &&
    (tag === undefined || run.tags.includes(tag)) &&
    (from === undefined || run.submittedAt >= from) &&
    (to === undefined || run.submittedAt < to) &&
    wordsOf(search).every((word) => text.includes(word))
}

/** The words of a search, in lower case. */
export const wordsOf = (search: string): ReadonlyArray<string> =>
  search.toLowerCase().split(/\s+/).filter((word) => word !== "")

/** A page of runs in order of submission, newest first. */
export const page = (runs: ReadonlyArray<RunRecord>, query: ListQuery) => {
  // Of runs of the same millisecond, the one further down is newer.
  const newest = runs.toReversed().toSorted((a, b) => b.submittedAt - a.submittedAt).filter(matches(query))
  const start = query.before === undefined ? 0 : newest.findIndex(({ id }) => id === query.before) + 1
  const found = newest.slice(start, start + query.limit)
  return { runs: found, next: start + query.limit < newest.length ? found.at(-1)?.id : undefined }
}
