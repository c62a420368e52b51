/**
 * Hashes of files, as the webui and Civitai write them: the SHA-256 of the whole file, and of a safetensors file's data
 * alone (AutoV3), which stays the same when its header is edited.
 *
 * A file is read once, 4 MB at a time, by a thread. Its hashes are kept in the data folder by path, size and time, each
 * in a file of its own that is written under another name first: several processes may write at once.
 */
import * as Context from "effect/Context"
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

/** Reads a file and hashes it; for a thread. `headerLength` of a safetensors file is left out of the second hash. */
export function* hashFile(
  file: string,
  headerLength: number | undefined
): Parts<Hashes | { readonly failure: string }> {
  let handle: number | undefined
  try {
    handle = openSync(file, "r")
    const whole = createHash("sha256")
    const data = headerLength === undefined ? undefined : createHash("sha256")
    const buffer = Buffer.alloc(readAtOnce)
    let skip = headerLength ?? 0
    for (;;) {
      const bytes = buffer.subarray(0, readSync(handle, buffer, 0, readAtOnce, null))
      if (bytes.length === 0) break
      whole.update(bytes)
      data?.update(bytes.subarray(Math.min(skip, bytes.length)))
      skip = Math.max(0, skip - bytes.length)
      yield
    }
    return { sha256: whole.digest("hex"), autoV3: data?.digest("hex") }
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) }
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

const keyOf = ({ modified, path, size }: SourceFile) => `${path}\n${size}\n${modified}`

// A file as it is now, and where its data begin if it is a safetensors file.
const look = Effect.fnUntraced(function*(file: string) {
  const { as, read } = yield* openForReading(file)
  const head = as.size < 9 ? new Uint8Array(9) : yield* read(0, 9)
  const length = new DataView(head.buffer).getBigUint64(0, true)
  const isSafetensors = head[8] === 0x7b && length < BigInt(as.size)
  return { as, headerLength: isSafetensors ? 8 + Number(length) : undefined }
}, Effect.scoped)

const computed = Effect.fnUntraced(
  function*(file: string, { as, headerLength }: Effect.Success<ReturnType<typeof look>>) {
    const work = { module: import.meta.url, parts: hashFile, lane: "files" } as const
    const hashes = yield* away(work, [as.path, headerLength], as.size)
    if ("failure" in hashes) return yield* invalid(file, `it cannot be read (${hashes.failure})`)
    if (keyOf((yield* look(file)).as) !== keyOf(as)) {
      return yield* invalid(file, "it changed while it was read; try again")
    }
    return hashes
  }
)

/** The hashes of a file, computed by a thread. Fails where it cannot be read, or changes meanwhile. */
export const hashesOf = (file: string): Effect.Effect<Hashes, InvalidModelFile, FileSystem.FileSystem> =>
  Effect.flatMap(look(file), (found) => computed(file, found))

const Kept = Schema.fromJsonString(Schema.Struct({
  path: Schema.String,
  size: Schema.Finite,
  modified: Schema.Finite,
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  autoV3: Schema.optional(Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)))
}))

export class FileHashes extends Context.Service<FileHashes, {
  /** The hashes of a file: kept ones, or computed now. */
  readonly of: (file: string) => Effect.Effect<Hashes, InvalidModelFile>
  /** The hashes that are kept of the file as it is now; undefined where they would have to be computed. */
  readonly known: (file: string) => Effect.Effect<Hashes | undefined>
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
        const remembered = new Map<string, Hashes>()
        // One file is read at a time: disks are slower than a thread.
        const turn = yield* Semaphore.make(1)

        const keptAs = ({ path: file }: SourceFile) =>
          path.join(folder ?? "", `${createHash("sha256").update(file).digest("hex").slice(0, 32)}.json`)

        const opened = (file: string) => Effect.provideService(look(file), FileSystem.FileSystem, fs)

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

        const of = Effect.fnUntraced(function*(file: string): Effect.fn.Return<Hashes, InvalidModelFile> {
          const found = yield* opened(file)
          const { as } = found
          const known = yield* kept(as)
          if (known !== undefined) return known
          const hashes = yield* Effect.provideService(computed(file, found), FileSystem.FileSystem, fs)
          yield* keep(as, hashes)
          return hashes
        })

        return FileHashes.of({
          of: (file) => turn.withPermit(of(file)),
          known: (file) => Effect.orElseSucceed(Effect.flatMap(opened(file), ({ as }) => kept(as)), () => undefined)
        })
      })
    )
}
