/**
 * What the commands have in common that run as long as they are needed: flags that are read together, and failures of
 * what such a process stands on.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Problem } from "../core/Problem.ts"
import { InvalidOptions } from "../processing/InvalidOptions.ts"
import type { BlobError } from "../runs/BlobStore.ts"
import type { RunStoreError } from "../runs/RunStore.ts"
import { byFlag, type FlagTable } from "./Flags.ts"
import * as ProcessFlags from "./ProcessFlags.ts"

/** Both, or every problem of both by the names of the flags. */
export const settled = Effect.fnUntraced(function*<A, B, R>(
  own: Effect.Effect<A, InvalidOptions>,
  process: Effect.Effect<B, ReadonlyArray<Problem>, R>,
  { notNumbers, table }: {
    /** Flags that take numbers and have none. */
    readonly notNumbers: ReadonlyArray<Problem>
    readonly table: FlagTable
  }
) {
  const decoded = yield* Effect.result(own)
  const setup = yield* Effect.result(process)
  const problems: ReadonlyArray<Problem> = [
    ...notNumbers,
    ...(Result.isFailure(decoded) ? decoded.failure.problems : []),
    ...(Result.isFailure(setup) ? setup.failure : [])
  ]
  if (Result.isFailure(decoded) || Result.isFailure(setup) || problems.length > 0) {
    return yield* new InvalidOptions({ problems: problems.map(byFlag({ ...ProcessFlags.table, ...table })) })
  }
  return { own: decoded.success, setup: setup.success }
})

/** A flag whose value cannot be used. */
export const wrong = (path: string, message: string) =>
  Effect.fail(new InvalidOptions({ problems: [{ path, message }] }))

/** Failures of the places of runs, by the flags that name them. */
export const ofPlaces = {
  RunStoreError: ({ message }: RunStoreError) => wrong("--database", message),
  BlobError: ({ message }: BlobError) => wrong("--blobs", message)
}
