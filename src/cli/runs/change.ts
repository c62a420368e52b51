/**
 * `serena runs cancel`, `retry` and `prune`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { fileSize } from "../../core/Text.ts"
import { InvalidOptions } from "../../processing/InvalidOptions.ts"
import { BlobStore } from "../../runs/BlobStore.ts"
import { removeUnnamed } from "../../runs/removeUnnamed.ts"
import { blobsOf, isEnded, type RunRecord, sizeOf } from "../../runs/RunRecord.ts"
import { RunStore } from "../../runs/RunStore.ts"
import { RunsCommandError } from "../failures.ts"
import { facts, jsonLine, timeOf } from "./facts.ts"
import { forEachNamed, type Places, shortId, warnWithoutWorker, withStores } from "./places.ts"

interface ChangeOptions extends Places {
  readonly json: boolean
}

const say = (run: RunRecord, json: boolean, sentence: string) => Console.log(json ? jsonLine(facts(run)) : sentence)

const alreadyEnded = (run: RunRecord) =>
  new RunsCommandError({ message: `The run ${run.id} has ended already: it is ${run.state}.` })

/** Cancels runs: those that wait at once, those that execute as soon as their worker hears of it. */
export const cancelRuns = Effect.fn("cancelRuns")(
  function*(names: ReadonlyArray<string>, { json, ...places }: ChangeOptions) {
    yield* withStores(places)(Effect.gen(function*() {
      const store = yield* RunStore
      let asked = false
      yield* forEachNamed(names, (run) =>
        Effect.gen(function*() {
          if (isEnded(run)) return yield* alreadyEnded(run)
          const after = Option.getOrUndefined(yield* store.append(run.id, [{ _tag: "Wished", wish: "cancel" }]))
          const now = after ?? Option.getOrElse(yield* store.get(run.id), () => run)
          if (after === undefined && isEnded(now)) return yield* alreadyEnded(now)
          const waits = now.state !== "cancelled"
          asked ||= waits
          yield* say(now, json, `${now.id} ${waits ? "was asked to end" : "is cancelled"}`)
        }))
      if (asked) yield* warnWithoutWorker("runs that were executing end when one starts again.")
    }))
  }
)

/** Puts runs into the queue again that ended without a whole result. */
export const retryRuns = Effect.fn("retryRuns")(
  function*(names: ReadonlyArray<string>, { json, ...places }: ChangeOptions) {
    yield* withStores(places)(Effect.gen(function*() {
      const store = yield* RunStore
      let queued = false
      yield* forEachNamed(names, (run) =>
        Effect.gen(function*() {
          const after = yield* store.retry(run.id)
          if (Option.isNone(after)) {
            return yield* new RunsCommandError({
              message: `The run ${run.id} cannot be retried, because it is ${run.state}. ` +
                "Those that failed, were cancelled or were interrupted can."
            })
          }
          queued = true
          yield* say(after.value, json, `${run.id} is in the queue again`)
        }))
      if (queued) yield* warnWithoutWorker("runs wait until one starts.")
    }))
  }
)

interface PruneOptions extends ChangeOptions {
  readonly keepDays: Option.Option<number>
  readonly keepBytes: Option.Option<number>
}

/** Removes ended runs with their files: those that are named, or the oldest beyond bounds. */
export const pruneRuns = Effect.fn("pruneRuns")(
  function*(names: ReadonlyArray<string>, { json, keepBytes, keepDays, ...places }: PruneOptions) {
    const days = Option.getOrElse(keepDays, () => Infinity)
    const bytes = Option.getOrElse(keepBytes, () => Infinity)
    const problems = [
      ...(names.length === 0 && days === Infinity && bytes === Infinity
        ? [{ path: "id", message: "name runs by their ids, or say what to keep: --keep-days or --keep-bytes" }]
        : []),
      ...(days < 0 ? [{ path: "--keep-days", message: `${days} is out of range: 0 or more` }] : []),
      ...(bytes < 0 ? [{ path: "--keep-bytes", message: `${bytes} is out of range: 0 or more` }] : [])
    ]
    if (problems.length > 0) return yield* new InvalidOptions({ problems })
    yield* withStores(places)(Effect.gen(function*() {
      const store = yield* RunStore
      const blobs = yield* BlobStore
      const removed: Array<RunRecord> = []
      const remove = Effect.fnUntraced(function*(what: Parameters<typeof store.prune>[0]) {
        const gone = yield* store.prune(what)
        for (const run of gone) {
          const { state, submittedAt } = run
          yield* say(run, json, `${run.id} removed: ${state}, of ${timeOf(submittedAt)}, ${sizeText(run)}`)
        }
        removed.push(...gone)
        return gone.length > 0
      })
      const named = forEachNamed(names, (run) =>
        Effect.gen(function*() {
          if (yield* remove({ ids: [run.id] })) return
          return yield* new RunsCommandError({
            message: `The run ${run.id} has not ended: it is ${run.state}. Cancel it first: serena runs cancel ${
              shortId(run)
            }`
          })
        }))
      yield* Effect.ensuring(
        named,
        Effect.ignore(removeUnnamed({ blobs, store }, removed.flatMap((run) => Array.from(blobsOf(run)))))
      )
      if (days < Infinity || bytes < Infinity) {
        yield* remove({ keep: { time: days * 86_400_000, bytes, runs: Infinity } })
        yield* removeUnnamed({ blobs, store }, removed.flatMap((run) => Array.from(blobsOf(run))))
        yield* blobs.sweep((hashes) => Effect.orElseSucceed(store.named(hashes), () => new Set(hashes)))
      }
      if (!json) yield* Console.log(totalOf(removed))
    }))
  }
)

const images = (count: number): string => `${count} ${count === 1 ? "image" : "images"}`

const sizeText = (run: RunRecord): string => `${images(run.images.length)}, ${fileSize(sizeOf(run))}`

const totalOf = (runs: ReadonlyArray<RunRecord>): string =>
  runs.length === 0
    ? "Nothing to remove."
    : `Removed ${runs.length} ${runs.length === 1 ? "run" : "runs"} with ${
      images(runs.reduce((sum, run) => sum + run.images.length, 0))
    }, ${fileSize(runs.reduce((sum, run) => sum + sizeOf(run), 0))}.`
