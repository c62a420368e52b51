/**
 * Hashes of files, as the webui and Civitai write them: the SHA-256 of the whole file, and of a safetensors file's data
 * alone (AutoV3), which stays the same when its header is edited.
 *
 * A file is read once, 4 MB at a time, by a thread, in the background: reading goes on when a run that waits for it is
 * cancelled. Hashes are kept in the data folder by path, size and time, each in a file of its own that is written under
 * another name first: several processes may write at once.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { createHash } from "node:crypto"
import { closeSync, openSync, readSync } from "node:fs"
import { makeFolder } from "../../core/makeFolder.ts"
import { away, type Parts } from "../../core/Work.ts"
import type { InvalidModelFile } from "../../model/ModelError.ts"
import { invalid, openForReading } from "./openFile.ts"
import type { SourceFile } from "./WeightSource.ts"

/** Hashes of a file, in hexadecimal digits. */
export interface Hashes {
  readonly sha256: string
  /** SHA-256 of a safetensors file without its header; undefined for other files. */
  readonly autoV3: string | undefined
}

/** The model hash of the webui: the first ten digits. */
export const shortHash = ({ sha256 }: Hashes): string => sha256.slice(0, 10)

const readAtOnce = 4 * 2 ** 20

/**
 * Reads files one after another and hashes them as one; for a thread. `headerLength` of a safetensors file is left out
 * of the second hash.
 */
export function* hashFiles(
  files: ReadonlyArray<string>,
  headerLength: number | undefined
): Parts<Hashes | { readonly failure: string }> {
  let handle: number | undefined
  try {
    const whole = createHash("sha256")
    const data = headerLength === undefined ? undefined : createHash("sha256")
    const buffer = Buffer.alloc(readAtOnce)
    let skip = headerLength ?? 0
    for (const file of files) {
      handle = openSync(file, "r")
      for (;;) {
        const bytes = buffer.subarray(0, readSync(handle, buffer, 0, readAtOnce, null))
        if (bytes.length === 0) break
        whole.update(bytes)
        data?.update(bytes.subarray(Math.min(skip, bytes.length)))
        skip = Math.max(0, skip - bytes.length)
        yield
      }
      closeSync(handle)
      handle = undefined
    }
    return { sha256: whole.digest("hex"), autoV3: data?.digest("hex") }
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) }
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

const keyOf = ({ modified, path, size }: SourceFile) => `${path}\n${size}\n${modified}`

/** Files as they are now. Those that are hashed as one have the path of the first, and the time of the latest. */
interface Looked {
  readonly as: SourceFile
  readonly paths: ReadonlyArray<string>
  /** Where the data begin of a single safetensors file. */
  readonly headerLength: number | undefined
}

const look = Effect.fnUntraced(function*(
  files: ReadonlyArray<string>
): Effect.fn.Return<Looked, InvalidModelFile, FileSystem.FileSystem> {
  const all = yield* Effect.forEach(files, lookAt)
  const [first] = all
  if (first === undefined || all.length === 1) {
    return first ?? (yield* invalid("", "there is no file to hash"))
  }
  return {
    as: {
      path: first.as.path,
      size: all.reduce((sum, { as }) => sum + as.size, 0),
      modified: Math.max(...all.map(({ as }) => as.modified))
    },
    paths: all.flatMap(({ paths }) => paths),
    headerLength: undefined
  }
})

const lookAt = Effect.fnUntraced(function*(file: string) {
  const { as, read } = yield* openForReading(file)
  const head = as.size < 9 ? new Uint8Array(9) : yield* read(0, 9)
  const length = new DataView(head.buffer).getBigUint64(0, true)
  const isSafetensors = head[8] === 0x7b && length < BigInt(as.size)
  const found: Looked = { as, paths: [as.path], headerLength: isSafetensors ? 8 + Number(length) : undefined }
  return found
}, Effect.scoped)

const computed = Effect.fnUntraced(
  function*(files: ReadonlyArray<string>, { as, headerLength, paths }: Looked) {
    const [file = ""] = files
    const work = { module: import.meta.url, parts: hashFiles, lane: "files" } as const
    const hashes = yield* away(work, [paths, headerLength], as.size)
    if ("failure" in hashes) return yield* invalid(file, `it cannot be read (${hashes.failure})`)
    if (keyOf((yield* look(files)).as) !== keyOf(as)) {
      return yield* invalid(file, "it changed while it was read; try again")
    }
    return hashes
  }
)

const Kept = Schema.fromJsonString(Schema.Struct({
  path: Schema.String,
  size: Schema.Finite,
  modified: Schema.Finite,
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  autoV3: Schema.optional(Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)))
}))

export class FileHashes extends Context.Service<FileHashes, {
  /**
   * The hashes of a file, or of several that are read as one: kept ones, or computed now by a thread, once for all who
   * ask meanwhile. Fails where one cannot be read, or changes meanwhile.
   */
  readonly of: (...files: ReadonlyArray<string>) => Effect.Effect<Hashes, InvalidModelFile>
  /** The hashes that are kept of the files as they are now; undefined where they would have to be computed. */
  readonly known: (...files: ReadonlyArray<string>) => Effect.Effect<Hashes | undefined>
}>()("serena/models/FileHashes") {
  /** Hashes that are kept in `folder`; in memory alone without one. */
  static readonly layer = (
    folder: string | undefined
  ): Layer.Layer<FileHashes, never, FileSystem.FileSystem | Path.Path> =>
    Layer.effect(
      FileHashes,
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        const scope = yield* Effect.scope
        const remembered = new Map<string, Hashes>()
        const running = new Map<string, Deferred.Deferred<Hashes, InvalidModelFile>>()
        // One file is read at a time: disks are slower than a thread.
        const turn = yield* Semaphore.make(1)

        const keptAs = ({ path: file }: SourceFile) =>
          path.join(folder ?? "", `${createHash("sha256").update(file).digest("hex").slice(0, 32)}.json`)

        const looked = (files: ReadonlyArray<string>) => Effect.provideService(look(files), FileSystem.FileSystem, fs)

        const kept = Effect.fnUntraced(function*(as: SourceFile) {
          const known = remembered.get(keyOf(as))
          if (known !== undefined || folder === undefined) return known
          const read = yield* Effect.option(
            Effect.flatMap(fs.readFileString(keptAs(as)), Schema.decodeUnknownEffect(Kept))
          )
          if (read._tag === "None" || keyOf(read.value) !== keyOf(as)) return undefined
          const { autoV3, sha256 } = read.value
          const hashes: Hashes = { sha256, autoV3 }
          remembered.set(keyOf(as), hashes)
          return hashes
        })

        // A hash that cannot be kept is computed again next time.
        const keep = Effect.fnUntraced(function*(as: SourceFile, { autoV3, sha256 }: Hashes) {
          remembered.set(keyOf(as), { autoV3, sha256 })
          if (folder === undefined) return
          const text = yield* Schema.encodeEffect(Kept)({ ...as, sha256, ...(autoV3 !== undefined && { autoV3 }) })
          yield* makeFolder(fs, path, folder)
          const written = `${keptAs(as)}.${process.pid}.${
            createHash("sha256").update(`${Math.random()}`).digest("hex")
          }`
          yield* Effect.andThen(fs.writeFileString(written, text), fs.rename(written, keptAs(as))).pipe(
            Effect.tapError(() => Effect.ignore(fs.remove(written)))
          )
        }, (effect) => Effect.ignore(effect))

        const of = Effect.fnUntraced(function*(
          files: ReadonlyArray<string>
        ): Effect.fn.Return<Hashes, InvalidModelFile> {
          const found = yield* looked(files)
          const { as } = found
          const known = yield* kept(as)
          if (known !== undefined) return known
          return yield* inBackground(
            keyOf(as),
            computed(files, found).pipe(
              Effect.provideService(FileSystem.FileSystem, fs),
              Effect.tap((hashes) => keep(as, hashes)),
              turn.withPermit
            )
          )
        })

        // What has begun is finished, until the service ends: a run that is cancelled leaves its hash to the next one.
        const inBackground = (
          key: string,
          work: Effect.Effect<Hashes, InvalidModelFile>
        ): Effect.Effect<Hashes, InvalidModelFile> =>
          Effect.uninterruptibleMask((restore) => {
            const begun = running.get(key)
            if (begun !== undefined) return restore(Deferred.await(begun))
            const done = Deferred.makeUnsafe<Hashes, InvalidModelFile>()
            running.set(key, done)
            return work.pipe(
              Effect.onExit((exit) => {
                running.delete(key)
                return Deferred.done(done, exit)
              }),
              Effect.forkIn(scope),
              Effect.andThen(restore(Deferred.await(done)))
            )
          })

        return FileHashes.of({
          of: (...files) => of(files),
          known: (...files) =>
            Effect.orElseSucceed(Effect.flatMap(looked(files), ({ as }) => kept(as)), () => undefined)
        })
      })
    )
}
