/**
 * Removal of the files of runs.
 */
import * as Effect from "effect/Effect"
import type { BlobStore } from "./BlobStore.ts"
import type { BlobHash } from "./RunRecord.ts"
import type { RunStore } from "./RunStore.ts"

/** Removes those of some blobs that no run names any more. */
export const removeUnnamed = Effect.fnUntraced(function*(
  { blobs, store }: { readonly blobs: BlobStore["Service"]; readonly store: RunStore["Service"] },
  hashes: ReadonlyArray<BlobHash>
) {
  if (hashes.length === 0) return
  const named = yield* store.named(hashes)
  yield* blobs.remove(hashes.filter((hash) => !named.has(hash)))
})
