/** What every `BlobStore` promises. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { BlobStore, hashOf } from "../../src/runs/BlobStore.ts"
import type { BlobHash } from "../../src/runs/RunRecord.ts"
import { bytesOf } from "./numberedBytes.ts"

const none: Effect.Effect<ReadonlySet<BlobHash>> = Effect.succeed(new Set<BlobHash>())

/**
 * The tests of a store.
 *
 * @param layer A store that is empty when the layer is built.
 * @param age Makes every blob of that store look as if it had been put two hours ago.
 * @param isShared Whether other processes may use the same store.
 */
export const blobContract = <R, E>(
  layer: Layer.Layer<BlobStore | R, E>,
  age: Effect.Effect<void, unknown, R>,
  isShared: boolean
): void => {
  const test = <A, E2>(name: string, trial: Effect.Effect<A, E2, BlobStore | R>) =>
    it.live(name, () => Effect.provide(trial, layer))

  test(
    "gives back what was put, under the SHA-256 of its bytes",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const hello = new TextEncoder().encode("hello")
      const hash = yield* blobs.put(hello)
      assert.strictEqual(hash, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
      assert.deepStrictEqual(new Uint8Array(yield* blobs.get(hash)), hello)
      for (const length of [0, 1, 3_000_000]) {
        const bytes = bytesOf(1, length)
        const hash = yield* blobs.put(bytes, { fleeting: length === 1 })
        assert.strictEqual(hash, hashOf(bytes))
        assert.isTrue(Buffer.from(bytes).equals(yield* blobs.get(hash)), `${length} bytes`)
        assert.isTrue(yield* blobs.has(hash))
      }
    })
  )

  test(
    "keeps bytes as they were, also part of a buffer that is written to later",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const buffer = bytesOf(2, 100)
      for (const fleeting of [false, true]) {
        const part = buffer.subarray(fleeting ? 10 : 20, 50)
        const before = part.slice()
        const hash = yield* blobs.put(part, { fleeting })
        part.fill(0)
        assert.deepStrictEqual(new Uint8Array(yield* blobs.get(hash)), before)
      }
    })
  )

  test(
    "keeps equal bytes once, however many put them at once",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const hashes = yield* Effect.forEach(Array.from({ length: 20 }), () => blobs.put(bytesOf(3)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(new Set(hashes), new Set([hashOf(bytesOf(3))]))
      yield* age
      assert.deepStrictEqual(yield* blobs.sweep(() => none), { blobs: 1, bytes: 1000 })
    })
  )

  test(
    "says that a blob is missing",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const hash = hashOf(bytesOf(4))
      assert.isFalse(yield* blobs.has(hash))
      const error = yield* Effect.flip(blobs.get(hash))
      assert.strictEqual(error._tag, "BlobMissing")
      assert.include(error.message, hash)
    })
  )

  test(
    "removes blobs, and does not mind those that are gone",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const kept = yield* blobs.put(bytesOf(5))
      const gone = yield* blobs.put(bytesOf(6))
      const fleeting = yield* blobs.put(bytesOf(7), { fleeting: true })
      yield* age
      yield* blobs.remove([gone, fleeting, hashOf(bytesOf(8))])
      yield* blobs.remove([gone])
      assert.isTrue(yield* blobs.has(kept))
      assert.isFalse(yield* blobs.has(gone))
      assert.isFalse(yield* blobs.has(fleeting))
      assert.strictEqual(yield* blobs.put(bytesOf(6)), gone)
      assert.isTrue(yield* blobs.has(gone))
      yield* blobs.remove([gone])
      // Another process may have put it, and be about to name it.
      assert.strictEqual(yield* blobs.has(gone), isShared)
    })
  )

  test(
    "sweeps what nobody needs and nobody has put for an hour",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const needed = yield* blobs.put(bytesOf(9))
      const old = yield* blobs.put(bytesOf(10, 500))
      const fleeting = yield* blobs.put(bytesOf(11, 70), { fleeting: true })
      const again = yield* blobs.put(bytesOf(12))
      assert.deepStrictEqual(yield* blobs.sweep(() => none), { blobs: 0, bytes: 0 })
      yield* age
      const fresh = yield* blobs.put(bytesOf(13))
      yield* blobs.put(bytesOf(12))
      const asked: Array<BlobHash> = []
      const swept = yield* blobs.sweep((hashes) =>
        Effect.sync(() => {
          asked.push(...hashes)
          return new Set([needed])
        })
      )
      assert.deepStrictEqual(swept, { blobs: 2, bytes: 570 })
      assert.deepStrictEqual(asked.toSorted(), [needed, old, fleeting].toSorted())
      assert.deepStrictEqual(
        yield* Effect.forEach([needed, old, fleeting, again, fresh], (hash) => blobs.has(hash)),
        [true, false, false, true, true]
      )
    })
  )

  test(
    "leaves alone what is put while it sweeps",
    Effect.gen(function*() {
      const blobs = yield* BlobStore
      const hash = yield* blobs.put(bytesOf(14))
      yield* age
      const putting = () => Effect.andThen(Effect.orDie(blobs.put(bytesOf(14))), none)
      assert.deepStrictEqual(yield* blobs.sweep(putting), { blobs: 0, bytes: 0 })
      assert.isTrue(yield* blobs.has(hash))
    })
  )
}
