/**
 * A process that puts blobs: `putBlobs.ts <folder> <bytes> <count>`. It prints the hash of each that is kept, and then
 * the message of what failed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { writeSync } from "node:fs"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import { bytesOf } from "./numberedBytes.ts"

const [, , folder = "", bytes = "", count = ""] = process.argv

/** A line that is out before the process goes on. */
const print = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const putAll = Effect.gen(function*() {
  const { put } = yield* BlobStore
  for (let salt = 0; salt < Number(count); salt++) {
    yield* print(yield* put(bytesOf(salt, Number(bytes))))
  }
})

putAll.pipe(
  Effect.provide(FolderBlobStore.layer({ folder }).pipe(Layer.provide(NodeServices.layer))),
  Effect.catch(({ message }) => print(message)),
  NodeRuntime.runMain
)
