/**
 * Files of runs in a folder: `ab/abcdef...`, named by their hash.
 *
 * Any number of processes may share it. A file is written under a temporary name, synced and renamed, so a name stands
 * for whole bytes; what killed processes left half written is removed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import { atomicWrites, cleaning } from "../core/atomicWrites.ts"
import { makeFolder } from "../core/makeFolder.ts"
import * as ProcessIdentity from "../core/ProcessIdentity.ts"
import { reasonOf } from "../core/WriteFailure.ts"
import { BlobError, BlobMissing, BlobStore, hashing, sweepAfter } from "./BlobStore.ts"
import * as MemoryBlobStore from "./MemoryBlobStore.ts"
import type { BlobHash } from "./RunRecord.ts"

export interface FolderOptions {
  /** Made if it is not there. */
  readonly folder: string
  /**
   * Where fleeting blobs go: the memory of this process, or the folder, where other processes find them. `memory` by
   * default.
   */
  readonly fleeting?: "disk" | "memory" | undefined
}

/** How many blobs are asked about at once while sweeping. */
const askedAtOnce = 500

const make = Effect.fnUntraced(function*({ fleeting = "memory", folder }: FolderOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = path.resolve(folder)
  const memory = yield* MemoryBlobStore.make
  const clean = cleaning(fs, path)
  const { sync, temporaryIn, withTemporary } = atomicWrites(fs, path, yield* ProcessIdentity.current)
  const dirOf = (hash: BlobHash): string => path.join(root, hash.slice(0, 2))
  const fileOf = (hash: BlobHash): string => path.join(dirOf(hash), hash)
  const failing = (action: BlobError["action"]) => (error: PlatformError.PlatformError) =>
    new BlobError({ action, where: root, reason: reasonOf(error) })

  yield* makeFolder(fs, path, root).pipe(
    Effect.andThen(fs.access(root, { writable: true })),
    Effect.mapError(failing("write"))
  )

  // The bytes under a name, whatever they are.
  const read = (hash: BlobHash) =>
    fs.readFile(fileOf(hash)).pipe(Effect.map(Option.some), Effect.catchIf(isMissing, () => Effect.succeedNone))

  const cleaned = new Set<string>()
  const named = new Set<string>()
  const makeReady = Effect.fnUntraced(function*(dir: string) {
    yield* makeFolder(fs, path, dir)
    if (cleaned.has(dir)) return
    yield* clean(dir)
    cleaned.add(dir)
  })
  // Also what another process has just made or renamed. The folder's own name last: it is safe by then as a rule.
  const syncName = Effect.fnUntraced(function*(dir: string) {
    yield* sync(dir)
    if (named.has(dir)) return
    yield* sync(root)
    named.add(dir)
  })

  // What is there already is not swept for a while. False if it is not there, or damaged.
  const renew = Effect.fnUntraced(function*(hash: BlobHash) {
    const found = yield* read(hash)
    if (Option.isNone(found) || (yield* hashing(found.value)) !== hash) return false
    const now = new Date(yield* Clock.currentTimeMillis)
    return yield* fs.utimes(fileOf(hash), now, now).pipe(
      Effect.as(true),
      Effect.catchIf(isMissing, () => Effect.succeed(false))
    )
  })

  const write = Effect.fnUntraced(
    function*(bytes: Uint8Array) {
      const hash = yield* hashing(bytes)
      const dir = dirOf(hash)
      yield* makeReady(dir)
      if (!(yield* renew(hash))) {
        yield* withTemporary(dir, bytes, (temporary) => fs.rename(temporary, fileOf(hash)))
      }
      yield* syncName(dir)
      return hash
    },
    Effect.uninterruptible,
    Effect.mapError(failing("write"))
  )

  const readChecked = Effect.fnUntraced(function*(hash: BlobHash) {
    const found = yield* Effect.mapError(read(hash), failing("read"))
    if (Option.isNone(found)) return yield* new BlobMissing({ hash })
    if ((yield* hashing(found.value)) === hash) return found.value
    const reason = `${fileOf(hash)} is damaged: restore it from a backup, or remove it`
    return yield* new BlobError({ action: "read", where: root, reason })
  })

  // Bytes of a file that was last put before a moment; undefined for another.
  const sizeIfOld = Effect.fnUntraced(function*(file: string, moment: number) {
    const stat = yield* Effect.catchIf(fs.stat(file), isMissing, () => Effect.undefined)
    const time = stat === undefined ? undefined : Option.getOrUndefined(stat.mtime)?.getTime()
    return stat !== undefined && time !== undefined && time <= moment ? Number(stat.size) : undefined
  })

  // The file is moved aside rather than removed: it may have been put again since it was looked at. Returns its bytes;
  // undefined when it stays, or was not there.
  const removeIfOld = Effect.fnUntraced(
    function*(hash: BlobHash, moment: number) {
      if ((yield* sizeIfOld(fileOf(hash), moment)) === undefined) return undefined
      const aside = temporaryIn(dirOf(hash))
      yield* fs.rename(fileOf(hash), aside)
      const size = yield* sizeIfOld(aside, moment)
      yield* size === undefined ? fs.rename(aside, fileOf(hash)) : fs.remove(aside, { force: true })
      return size
    },
    Effect.uninterruptible,
    Effect.catchIf(isMissing, () => Effect.undefined)
  )

  const sweepFolder = Effect.fnUntraced(
    function*(
      dir: string,
      isNeeded: (hashes: ReadonlyArray<BlobHash>) => Effect.Effect<ReadonlySet<BlobHash>>,
      swept: { blobs: number; bytes: number }
    ) {
      yield* clean(dir)
      const names = yield* fs.readDirectory(dir)
      const moment = (yield* Clock.currentTimeMillis) - sweepAfter
      const old = yield* Effect.filter(
        names.filter((name) => /^[0-9a-f]{64}$/.test(name)),
        (name) => Effect.map(sizeIfOld(path.join(dir, name), moment), (size) => size !== undefined),
        { concurrency: 8 }
      )
      for (let at = 0; at < old.length; at += askedAtOnce) {
        const asked = old.slice(at, at + askedAtOnce)
        const needed = yield* isNeeded(asked)
        for (const hash of asked) {
          if (needed.has(hash)) continue
          const size = yield* removeIfOld(hash, moment)
          if (size === undefined) continue
          swept.blobs += 1
          swept.bytes += size
        }
      }
    },
    Effect.mapError(failing("remove"))
  )

  return BlobStore.of({
    put: (bytes, options) => options?.fleeting === true && fleeting === "memory" ? memory.put(bytes) : write(bytes),
    get: (hash) => Effect.catchTag(memory.get(hash), "BlobMissing", () => readChecked(hash)),
    has: (hash) =>
      Effect.flatMap(
        memory.has(hash),
        (isThere) => isThere ? Effect.succeed(true) : Effect.mapError(fs.exists(fileOf(hash)), failing("read"))
      ),
    remove: Effect.fnUntraced(function*(hashes) {
      const all = [...hashes]
      yield* memory.remove(all)
      const moment = (yield* Clock.currentTimeMillis) - sweepAfter
      yield* Effect.forEach(all, (hash) => removeIfOld(hash, moment), { discard: true }).pipe(
        Effect.mapError(failing("remove"))
      )
    }),
    sweep: Effect.fnUntraced(function*(isNeeded) {
      const swept = { ...(yield* memory.sweep(isNeeded)) }
      const names = yield* Effect.mapError(fs.readDirectory(root), failing("read"))
      for (const name of names.filter((name) => /^[0-9a-f]{2}$/.test(name))) {
        yield* sweepFolder(path.join(root, name), isNeeded, swept)
      }
      return swept
    })
  })
})

const isMissing = ({ reason }: PlatformError.PlatformError): boolean => reason._tag === "NotFound"

/** Fails when nothing can be written to the folder. */
export const layer = (
  options: FolderOptions
): Layer.Layer<BlobStore, BlobError, FileSystem.FileSystem | Path.Path> => Layer.effect(BlobStore, make(options))
