/**
 * Where a process keeps its runs and their files.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import { BlobError, type BlobStore } from "./BlobStore.ts"
import * as FolderBlobStore from "./FolderBlobStore.ts"
import * as MemoryBlobStore from "./MemoryBlobStore.ts"
import * as MemoryRunStore from "./MemoryRunStore.ts"
import { RunStore, RunStoreError } from "./RunStore.ts"
import * as S3BlobStore from "./S3BlobStore.ts"
import * as SqlRunStore from "./SqlRunStore.ts"

/** The places as they are given. */
export interface Places {
  /** A SQLite file, the address of a PostgreSQL database, or `memory`. */
  readonly database?: string | undefined
  /** A folder, or `s3://bucket/prefix`. */
  readonly blobs?: string | undefined
  /** Whether it hears of the progress of runs that other processes execute. True by default. */
  readonly follows?: boolean | undefined
  /** The data folder, where both are by default; without one, they are in memory. */
  readonly dataDir?: string | undefined
}

/** Whether several machines share a database. */
export const isShared = (database: string | undefined): boolean => /^postgres(?:ql)?:\/\//.test(database ?? "")

/** Runs and files in the memory of this process. */
export const layerMemory: Layer.Layer<BlobStore | RunStore> = Layer.mergeAll(
  MemoryBlobStore.layer,
  MemoryRunStore.layer
)

/** The stores of the places. Fails with what is wrong with a place, before anything is accepted. */
export const layer = (
  places: Places
): StoresLayer =>
  Layer.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { database, dataDir, follows } = places
    const inData = (name: string) => dataDir === undefined ? undefined : path.join(dataDir, name)
    const file = isShared(database) || database === "memory" ? undefined : database ?? inData("runs.sqlite")
    const folder = places.blobs ?? (database === "memory" ? undefined : inData("blobs"))
    if (database === "memory" || (database === undefined && file === undefined)) {
      const layer: StoresLayer = folder === undefined
        ? layerMemory
        : Layer.merge(MemoryRunStore.layer, layerBlobs(folder, false))
      return layer
    }
    if (folder === undefined) {
      return Layer.effect(RunStore, Effect.fail(withoutFolder(database ?? "")))
        .pipe(Layer.merge(MemoryBlobStore.layer))
    }
    const files = layerBlobs(folder, isShared(database))
    if (file === undefined) {
      return Layer.merge(SqlRunStore.layerPostgres({ url: Redacted.make(database ?? ""), follows }), files)
    }
    const kept = Layer.merge(SqlRunStore.layerSqlite({ file: path.resolve(file) }), files)
    // What is there already is not left aside, and what was asked for is not replaced.
    const size = yield* Effect.orElseSucceed(Effect.map(fs.stat(file), ({ size }) => size), () => 0n)
    return database === undefined && size === 0n ? Layer.catch(kept, inMemory) : kept
  }))

const inMemory = ({ message }: BlobError | RunStoreError): StoresLayer =>
  Layer.unwrap(Effect.as(Effect.logWarning(`Runs are in memory only and end with the server. ${message}`), layerMemory))

type StoresLayer = Layer.Layer<BlobStore | RunStore, BlobError | RunStoreError, FileSystem.FileSystem | Path.Path>

const withoutFolder = (where: string) =>
  new RunStoreError({
    where: where.replace(/\/\/[^@/]*@/, "//"),
    reason: "there is no place for the files of its runs",
    advice: "Name one with --blobs, or a data folder with --data-dir"
  })

// Where several processes share the files, those of runs whose client waits are shared too.
const layerBlobs = (
  blobs: string,
  shared: boolean
): Layer.Layer<BlobStore, BlobError, FileSystem.FileSystem | Path.Path> => {
  const [, bucket, prefix = ""] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(blobs) ?? []
  if (bucket === undefined) return FolderBlobStore.layer({ folder: blobs, fleeting: shared ? "disk" : "memory" })
  const options = S3BlobStore.optionsFrom(process.env, { bucket, prefix })
  return typeof options === "string"
    ? Layer.unwrap(Effect.fail(new BlobError({ action: "read", where: blobs, reason: options })))
    : S3BlobStore.layer({ ...options, fleeting: shared ? "bucket" : "memory" }).pipe(
      Layer.provide(FetchHttpClient.layer)
    )
}
