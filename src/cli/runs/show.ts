/**
 * `serena runs show`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { fileSize } from "../../core/Text.ts"
import type { Logged, RunEvent } from "../../runs/RunEvent.ts"
import { type RunRecord, sizeOf } from "../../runs/RunRecord.ts"
import { RunStore } from "../../runs/RunStore.ts"
import { printable } from "../tables.ts"
import { allFacts, imagesAsked, jsonLine, timeOf } from "./facts.ts"
import { type Places, runNamed, withStores } from "./places.ts"

interface ShowOptions extends Places {
  readonly events: boolean
  readonly json: boolean
}

/** Prints all that is kept of a run. */
export const showRun = Effect.fn("showRun")(function*(name: string, { events, json, ...places }: ShowOptions) {
  const { log, run } = yield* withStores(places)(Effect.gen(function*() {
    const run = yield* runNamed(name)
    return { run, log: events ? yield* (yield* RunStore).read(run.id, 0) : undefined }
  }))
  yield* Console.log(json ? jsonLine(allFacts(run, log)) : shown(run, log))
})

const shown = (run: RunRecord, log: ReadonlyArray<Logged> | undefined): string => {
  const { request } = run
  const moment = (milliseconds: number | null) => milliseconds === null ? "" : timeOf(milliseconds)
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["id", run.id],
    ["task id", run.taskId ?? ""],
    ["state", run.wish === null ? run.state : `${run.state}, asked to ${run.wish}`],
    ["error", run.error?.message ?? ""],
    ["submitted", moment(run.submittedAt)],
    ["started", moment(run.startedAt)],
    ["ended", moment(run.endedAt)],
    ["attempts", String(run.attempt)],
    ["worker", run.worker ?? ""],
    ["client", run.client],
    ["priority", String(run.priority)],
    ["requires", run.needs.labels.join(", ")],
    ["starred", run.starred ? "yes" : ""],
    ["tags", run.tags.join(", ")],
    ["model", run.needs.model],
    ["prompt", request.prompt],
    ["negative prompt", request.negative_prompt],
    ["sampler", `${request.sampler_name}, ${request.steps} steps`],
    ["seed", String(run.seeds.seed)],
    ["images", `${run.images.length} of ${imagesAsked(run)}, ${fileSize(sizeOf(run))}`],
    ...run.images.map(({ bytes, complete, format, height, index, path, seed, width }) =>
      [
        `  ${index}`,
        `seed ${seed}, ${width}x${height}, ${format}, ${fileSize(bytes)}${complete ? "" : ", not complete"}` +
        (path === null ? "" : `, ${path}`)
      ] as const
    ),
    ...run.extras.map(({ bytes, format, kind, path }) =>
      [`  ${kind}`, `${format}, ${fileSize(bytes)}${path === null ? "" : `, ${path}`}`] as const
    ),
    ...run.warnings.map((warning) => ["warning", warning] as const)
  ]
  const known = rows.filter(([, value]) => value !== "")
  const width = Math.max(...known.map(([name]) => name.length))
  return [
    ...known.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`),
    ...(log ?? []).map(({ at, event, seq }) =>
      printable(`${String(seq).padStart(4)}  ${timeOf(at)}  ${event._tag.padEnd(10)}  ${aboutEvent(event)}`).trimEnd()
    )
  ].join("\n")
}

const aboutEvent = (event: RunEvent): string => {
  switch (event._tag) {
    case "Taken":
      return `attempt ${event.attempt}, worker ${event.worker}`
    case "Progressed": {
      const { activity, passCount, passesDone, samplingStep, samplingSteps } = event.progress
      const batch = Math.min(passesDone + 1, passCount)
      return passCount === 0
        ? activity
        : `${activity}, batch ${batch} of ${passCount}, step ${samplingStep} of ${samplingSteps}`
    }
    case "ImagesMade":
      return event.images.map(({ index }) => index).join(", ")
    case "Wished":
      return event.wish
    case "Returned":
      return event.lost ? "its worker was lost" : "its worker gave it back"
    case "Done":
      return event.interrupted ? "interrupted" : ""
    case "Failed":
      return event.error.message
    case "Moved":
      return `priority ${event.priority}`
    case "Marked":
      return [...(event.starred ? ["starred"] : []), ...event.tags].join(", ")
    default:
      return ""
  }
}
