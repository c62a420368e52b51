/**
 * The log of every run, and the queue that follows from it.
 *
 * What a submission returned is kept: written to the disk before `submit` succeeds, unless its client waits at this
 * process (`isFleeting`). Every change is an event that `RunEvent.apply` accepts, written together with the record it
 * leads to. A worker holds the runs that it has taken as long as it calls `beat`; those of a worker that is silent for
 * longer than the lease go back to the queue.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { QueueFull } from "../contract/errors.ts"
import { readableError } from "../core/readableError.ts"
import type { Logged, RunEvent } from "./RunEvent.ts"
import type { BlobHash, RunRecord, State } from "./RunRecord.ts"

/** The store cannot be read or written. */
export class RunStoreError extends Schema.TaggedError<RunStoreError>()("RunStoreError", {
  /** The file or the address of the database, without a password. */
  where: Schema.String,
  reason: Schema.String,
  /** What to do about it. */
  advice: Schema.String
}, { httpApiStatus: 503 }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The database of runs (${this.where}) failed: ${this.reason}. ${this.advice}`
  }
}

/** Milliseconds between two signs of life of a worker. */
export const beatEvery = 2000

/** Milliseconds of silence after which a worker is lost, and its runs begin elsewhere. */
export const lostAfter = 10_000

/** Most `Progressed` events in the log of a run: the latest ones. */
export const mostProgress = 256

/** A run to be accepted. The store gives it its place. */
export type NewRun = Pick<
  RunRecord,
  | "id"
  | "taskId"
  | "key"
  | "client"
  | "request"
  | "sent"
  | "seeds"
  | "settings"
  | "needs"
  | "bound"
  | "keep"
  | "withMaps"
  | "priority"
  | "cost"
>

/** A process that executes runs. */
export interface Worker {
  /** Different for every process that ever was. */
  readonly id: string
  /** For people: a machine's name and process id. */
  readonly name: string
  /** Models that it has; `undefined` for all. */
  readonly models: ReadonlyArray<string> | undefined
  /** Models that are loaded now, which it gives back sooner. */
  readonly loaded: ReadonlyArray<string>
  readonly labels: ReadonlyArray<string>
  /** How many runs it executes at once; 0 for a process that takes only those that are bound to it. */
  readonly slots: number
  /** Whether it takes no more. */
  readonly draining: boolean
  readonly version: string
}

/** A worker as the store knows it. */
export interface KnownWorker extends Worker {
  /** Milliseconds since the epoch, by the store's clock. */
  readonly startedAt: number
  readonly seenAt: number
  /** Ids of the runs that it executes. */
  readonly runs: ReadonlyArray<string>
}

/** Which runs to list, newest submission first. */
export interface ListQuery {
  /** How their ids begin. */
  readonly idBegins?: string | undefined
  readonly states?: ReadonlyArray<State> | undefined
  /** Words that the prompt or the negative prompt holds, in any case. */
  readonly search?: string | undefined
  readonly model?: string | undefined
  readonly client?: string | undefined
  readonly starred?: boolean | undefined
  readonly tag?: string | undefined
  /** Milliseconds since the epoch: submitted at or after, and before. */
  readonly from?: number | undefined
  readonly to?: number | undefined
  /** Id of the run after which the list goes on. */
  readonly before?: string | undefined
  readonly limit: number
}

/** How many runs are in which state. */
export interface Counts extends Readonly<Record<State, number>> {
  /** Milliseconds since the epoch at which the oldest queued run was submitted. */
  readonly oldest: number | undefined
  /** Bytes of the files of all ended runs. */
  readonly bytes: number
}

/** What is kept of ended runs. */
export interface Keep {
  /** Milliseconds after the end. */
  readonly time: number
  /** Bytes of files; the oldest go first. */
  readonly bytes: number
  readonly runs: number
}

/** A small image of an executing run, as a PNG file. */
export interface StoredPreview {
  readonly step: number
  readonly width: number
  readonly height: number
  readonly png: Uint8Array
}

export interface RunStoreService {
  /**
   * Accepts a run, or finds the one that has the same key; `isNew` says which. Fails when `queue` runs wait already.
   */
  readonly submit: (
    run: NewRun,
    bounds: { readonly queue: number }
  ) => Effect.Effect<{ readonly run: RunRecord; readonly isNew: boolean }, QueueFull | RunStoreError>
  /** Takes the next queued run that a worker may execute; none while the queue is paused or holds no such run. */
  readonly take: (worker: Worker) => Effect.Effect<Option.Option<RunRecord>, RunStoreError>
  /**
   * Appends events in one step: all that fit. Returns the record afterwards; none for a run that is not known, or when
   * none of the events fits. With `attempt`, only while that attempt executes. With `fleeting`, a machine that loses
   * its power may lose the events with what it did after them, where all that use the store are on that machine.
   */
  readonly append: (
    id: string,
    events: ReadonlyArray<RunEvent>,
    options?: { readonly attempt?: number | undefined; readonly fleeting?: boolean | undefined }
  ) => Effect.Effect<Option.Option<RunRecord>, RunStoreError>
  /** The events of a run after the one with a number, oldest first. */
  readonly read: (id: string, after: number) => Effect.Effect<ReadonlyArray<Logged>, RunStoreError>
  /** A run by its id, or by the client's name for it, where the newest one wins. */
  readonly get: (key: string) => Effect.Effect<Option.Option<RunRecord>, RunStoreError>
  /** Runs, newest first. `next` is the `before` of the following page; undefined on the last. */
  readonly list: (
    query: ListQuery
  ) => Effect.Effect<{ readonly runs: ReadonlyArray<RunRecord>; readonly next: string | undefined }, RunStoreError>
  /** The queued runs, the next one first. */
  readonly queued: (limit: number) => Effect.Effect<ReadonlyArray<RunRecord>, RunStoreError>
  /** How many runs execute or wait before a queued one; undefined for a run that does not wait. */
  readonly ahead: (id: string) => Effect.Effect<number | undefined, RunStoreError>
  readonly counts: Effect.Effect<Counts, RunStoreError>
  /** Puts a queued run before another one, or at the end of its priority. False when it does not wait. */
  readonly move: (id: string, before: string | undefined) => Effect.Effect<boolean, RunStoreError>
  /** Puts an ended run into the queue again. None when it cannot be. */
  readonly retry: (id: string) => Effect.Effect<Option.Option<RunRecord>, RunStoreError>
  /** Whether the queue is paused: executing runs go on, no further one begins. */
  readonly paused: Effect.Effect<boolean, RunStoreError>
  readonly pause: (paused: boolean) => Effect.Effect<void, RunStoreError>
  /** Says that a worker lives, and renews its hold on its runs. Returns the ids of those that it still holds. */
  readonly beat: (worker: Worker) => Effect.Effect<ReadonlySet<string>, RunStoreError>
  /** Takes a worker off the list and gives its runs back. */
  readonly leave: (workerId: string) => Effect.Effect<void, RunStoreError>
  /**
   * Gives back the runs of workers that are lost. A run that has cost `maxStrikes` workers without finishing a batch
   * fails instead. Returns their ids.
   */
  readonly reclaim: (
    options: { readonly maxStrikes: number }
  ) => Effect.Effect<ReadonlyArray<string>, RunStoreError>
  readonly workers: Effect.Effect<ReadonlyArray<KnownWorker>, RunStoreError>
  /** Removes ended runs beyond the bounds, and those of `ids`, if they have ended. Starred ones stay. */
  readonly prune: (
    what: { readonly keep?: Keep | undefined; readonly ids?: ReadonlyArray<string> | undefined }
  ) => Effect.Effect<ReadonlyArray<RunRecord>, RunStoreError>
  /** Those of the blobs that a run names. */
  readonly named: (hashes: ReadonlyArray<BlobHash>) => Effect.Effect<ReadonlySet<BlobHash>, RunStoreError>
  /** Whether the runs outlive this process. */
  readonly outlives: boolean
  /** Milliseconds between two `Progressed` events of a run at least: as many as the store takes without being felt. */
  readonly progressEvery: number
  /** Ids of runs that have changed, from now on; an empty text means that any may have. */
  readonly changes: Stream.Stream<string>
  /** Whenever a run may wait that did not wait before, from now on. */
  readonly offers: Stream.Stream<void>
  /**
   * The latest previews, where other processes than the one that executes a run show them: then a worker sets them
   * twice a second at most. Undefined for a store of one process.
   */
  readonly previews:
    | undefined
    | {
      readonly set: (id: string, preview: StoredPreview) => Effect.Effect<void, RunStoreError>
      readonly get: (id: string) => Effect.Effect<Option.Option<StoredPreview>, RunStoreError>
    }
  /** The database for people, without a password. */
  readonly where: string
}

export class RunStore extends Context.Service<RunStore, RunStoreService>()("serena/runs/RunStore") {}
