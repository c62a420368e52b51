/**
 * `serena runs list`, and the filters of other commands.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import type { RunRecord, State } from "../../runs/RunRecord.ts"
import type { ListQuery } from "../../runs/RunStore.ts"
import { table } from "../tables.ts"
import { facts, imagesAsked, jsonLine, timeOf } from "./facts.ts"
import { allRuns, type Places, shortId, withStores } from "./places.ts"

export interface Filters {
  readonly search: Option.Option<string>
  readonly model: Option.Option<string>
  readonly state: Option.Option<State>
  readonly starred: boolean
  readonly tag: Option.Option<string>
  readonly since: Option.Option<string>
}

interface ListOptions extends Places, Filters {
  readonly limit: number
  readonly json: boolean
}

/** Which runs filters ask for. */
export const queryOf = Effect.fnUntraced(function*({ model, search, since, starred, state, tag }: Filters) {
  const from = Option.isNone(since) ? undefined : momentOf(since.value, yield* Clock.currentTimeMillis)
  if (Option.isSome(since) && from === undefined) {
    const message = `${JSON.stringify(since.value)} is no date such as 2026-01-31 or 2026-01-31T18:00, ` +
      "and no age such as 30m, 12h or 7d"
    return yield* new InvalidOptions({ problems: [{ path: "--since", message }] })
  }
  const query: Omit<ListQuery, "limit"> = {
    search: Option.getOrUndefined(search),
    model: Option.getOrUndefined(model),
    states: Option.getOrUndefined(Option.map(state, (one) => [one])),
    starred: starred ? true : undefined,
    tag: Option.getOrUndefined(tag),
    from
  }
  return query
})

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

// A date alone begins at midnight here, not in Greenwich.
const momentOf = (text: string, now: number): number | undefined => {
  const [, count = "", unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  if (unit !== "") return now - Number(count) * (units[unit] ?? 0)
  if (!/^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?$/.test(text)) return undefined
  const moment = new Date(text.length === 10 ? `${text}T00:00` : text.replace(" ", "T")).getTime()
  return Number.isNaN(moment) ? undefined : moment
}

/** Prints runs, newest first. */
export const listRuns = Effect.fn("listRuns")(function*({ json, limit, ...options }: ListOptions) {
  if (limit < 1) {
    return yield* new InvalidOptions({
      problems: [{ path: "--limit", message: `${limit} is out of range: 1 or more` }]
    })
  }
  const query = yield* queryOf(options)
  const runs = yield* withStores(options)(allRuns(query, limit))
  if (json) { for (const run of runs) yield* Console.log(jsonLine(facts(run))) }
  else yield* Console.log(table(["ID", "SUBMITTED", "STATE", "IMAGES", "MODEL", "PROMPT"], runs.map(row)))
})

/** Characters of a prompt that are shown. */
const longestPrompt = 60

const row = (run: RunRecord): ReadonlyArray<string> => [
  shortId(run),
  timeOf(run.submittedAt),
  run.state,
  `${run.images.length}/${imagesAsked(run)}`,
  run.needs.model,
  cut(run.request.prompt.replaceAll(/\s+/g, " "))
]

const cut = (text: string): string => {
  const characters = Array.from(text)
  return characters.length <= longestPrompt ? text : `${characters.slice(0, longestPrompt - 1).join("")}…`
}
