/**
 * Files of runs in the memory of this process, lost with it. What nothing needs any more its owner removes or sweeps.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inTurns, joining } from "../core/Work.ts"
import { BlobMissing, BlobStore, hashing, sweepAfter } from "./BlobStore.ts"
import type { BlobHash } from "./RunRecord.ts"

/** An empty store. It never fails but for blobs that it does not hold. */
export const make = Effect.sync(() => {
  const kept = new Map<BlobHash, { readonly bytes: Uint8Array; readonly putAt: number }>()
  return BlobStore.of({
    put: Effect.fnUntraced(function*(bytes) {
      const hash = yield* hashing(bytes)
      // A copy: what is put may be part of a larger buffer, or be written to later.
      const copy = kept.get(hash)?.bytes ?? (yield* inTurns(() => joining([bytes])))
      kept.set(hash, { bytes: copy, putAt: yield* Clock.currentTimeMillis })
      return hash
    }),
    get: (hash) =>
      Effect.suspend(() => {
        const found = kept.get(hash)
        return found === undefined ? Effect.fail(new BlobMissing({ hash })) : Effect.succeed(found.bytes)
      }),
    has: (hash) => Effect.sync(() => kept.has(hash)),
    remove: (hashes) =>
      Effect.sync(() => {
        for (const hash of hashes) kept.delete(hash)
      }),
    sweep: Effect.fnUntraced(function*(isNeeded) {
      const now = yield* Clock.currentTimeMillis
      const isOld = (hash: BlobHash) => (kept.get(hash)?.putAt ?? now) <= now - sweepAfter
      const old = [...kept.keys()].filter(isOld)
      const needed = yield* isNeeded(old)
      let [blobs, bytes] = [0, 0]
      // Someone may have put it again meanwhile.
      for (const hash of old.filter((hash) => !needed.has(hash) && isOld(hash))) {
        blobs += 1
        bytes += kept.get(hash)?.bytes.length ?? 0
        kept.delete(hash)
      }
      return { blobs, bytes }
    })
  })
})

/** A store of its own for each layer that is built. */
export const layer: Layer.Layer<BlobStore> = Layer.effect(BlobStore, make)
