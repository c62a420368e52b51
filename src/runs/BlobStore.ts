/**
 * Files of runs by the hash of their bytes: the images of requests, and the results.
 *
 * Equal bytes are kept once. `RunRecord` names the blobs that a run needs; what no run names any more is swept.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { readableError } from "../core/readableError.ts"
import { inTurns, type Parts } from "../core/Work.ts"
import type { BlobHash } from "./RunRecord.ts"

/** The name of bytes: their SHA-256 in hexadecimal. */
export const hashOf = (bytes: Uint8Array): BlobHash => createHash("sha256").update(bytes).digest("hex")

/** Bytes that are hashed at a time, in less than a millisecond. */
const hashedAtOnce = 2 ** 20

/** The same, in turns with other fibers. */
export const hashing = (bytes: Uint8Array): Effect.Effect<BlobHash> =>
  bytes.length <= hashedAtOnce ? Effect.sync(() => hashOf(bytes)) : inTurns(() => hashInParts(bytes))

function* hashInParts(bytes: Uint8Array): Parts<BlobHash> {
  const hash = createHash("sha256")
  for (let from = 0; from < bytes.length; from += hashedAtOnce) {
    hash.update(bytes.subarray(from, from + hashedAtOnce))
    yield
  }
  return hash.digest("hex")
}

/** Milliseconds after its last `put` for which a blob is not swept. */
export const sweepAfter = 3_600_000

/** A blob cannot be written or read. */
export class BlobError extends Schema.TaggedError<BlobError>()("BlobError", {
  /** What was tried, such as `write` or `read`. */
  action: Schema.Literals(["read", "remove", "write"]),
  /** The folder, or the address of the bucket. */
  where: Schema.String,
  reason: Schema.String
}) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `A file of a run could not be ${
      this.action === "write" ? "written" : this.action === "read" ? "read" : "removed"
    } (${this.where}): ${this.reason}. Correct that and try again.`
  }
}

/** Nothing is kept under this hash. */
export class BlobMissing extends Schema.TaggedError<BlobMissing>()("BlobMissing", { hash: Schema.String }) {
  static {
    readableError(this)
  }

  override get message(): string {
    return `The file ${this.hash} of a run is gone: it was removed outside of Serena, or the folder is another. Restore it from a backup, or retry the run.`
  }
}

export interface PutOptions {
  /** Whether the bytes may be lost with the process: for runs whose client waits. False by default. */
  readonly fleeting?: boolean | undefined
}

export class BlobStore extends Context.Service<BlobStore, {
  /** Keeps bytes: they are safe on the disk (or in the bucket) when it returns. */
  readonly put: (bytes: Uint8Array, options?: PutOptions) => Effect.Effect<BlobHash, BlobError>
  /** Bytes that were kept, whole: their hash is checked. */
  readonly get: (hash: BlobHash) => Effect.Effect<Uint8Array, BlobError | BlobMissing>
  readonly has: (hash: BlobHash) => Effect.Effect<boolean, BlobError>
  /**
   * Removes blobs. Those that are not there count as removed; on a disk or in a bucket, those that someone has put
   * within the last hour stay until a sweep: another process may be about to name them.
   */
  readonly remove: (hashes: Iterable<BlobHash>) => Effect.Effect<void, BlobError>
  /**
   * Removes what `isNeeded` denies, if it was last put more than an hour ago: the run that will name a newer one may
   * not be written yet.
   * Returns how many blobs and bytes went.
   */
  readonly sweep: (
    isNeeded: (hashes: ReadonlyArray<BlobHash>) => Effect.Effect<ReadonlySet<BlobHash>>
  ) => Effect.Effect<{ readonly blobs: number; readonly bytes: number }, BlobError>
}>()("serena/runs/BlobStore") {}
