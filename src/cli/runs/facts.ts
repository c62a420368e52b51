/**
 * A run as commands print it.
 */
import type { Logged } from "../../runs/RunEvent.ts"
import { type RunRecord, sizeOf } from "../../runs/RunRecord.ts"

/** What is known of a run, for programs: times are milliseconds since the epoch. */
export const facts = (run: RunRecord) => ({
  id: run.id,
  task_id: run.taskId,
  state: run.state,
  wish: run.wish,
  submitted_at: run.submittedAt,
  started_at: run.startedAt,
  ended_at: run.endedAt,
  model: run.needs.model,
  prompt: run.request.prompt,
  images_asked: imagesAsked(run),
  images_made: run.images.length,
  bytes: sizeOf(run),
  priority: run.priority,
  attempts: run.attempt,
  starred: run.starred,
  tags: run.tags,
  error: run.error?.message ?? null
})

/** How many images a request asks for. */
export const imagesAsked = ({ request: { batch_size, n_iter } }: Pick<RunRecord, "request">): number =>
  batch_size * n_iter

/** Everything about a run, with its request and its files. */
export const allFacts = (run: RunRecord, events?: ReadonlyArray<Logged>) => ({
  ...facts(run),
  client: run.client,
  worker: run.worker,
  requires: run.needs.labels,
  progress: run.progress,
  request: run.request,
  seeds: run.seeds,
  settings: run.settings,
  images: run.images,
  extras: run.extras,
  warnings: run.warnings,
  failure: run.error === null ? null : { _tag: run.error._tag, message: run.error.message },
  ...(events !== undefined && { events: events.map(({ at, event, seq }) => ({ seq, at, ...event })) })
})

/** As JSON in one line. Seeds that numbers do not hold exactly are texts of their digits. */
export const jsonLine = (value: unknown, indent?: number): string =>
  JSON.stringify(value, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner, indent)

const two = (number: number): string => String(number).padStart(2, "0")

/** A moment on the clock of this machine. */
export const timeOf = (milliseconds: number): string => {
  const time = new Date(milliseconds)
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ` +
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}
