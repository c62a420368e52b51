/** A real S3 server on this machine, with a bucket `runs` that is empty. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import S3rver from "s3rver"

export class S3Server extends Context.Service<S3Server, {
  readonly endpoint: string
  /** The folder of its objects. */
  readonly folder: string
}>()("S3Server") {
  static readonly layer = Layer.effect(
    S3Server,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const server = yield* Effect.acquireRelease(
        Effect.sync(() =>
          consistent(
            new S3rver({
              address: "127.0.0.1",
              port: 0,
              silent: true,
              directory: folder,
              configureBuckets: [{ name: "runs" }]
            })
          )
        ),
        (server) => Effect.promise(() => server.close())
      )
      const { port } = yield* Effect.promise(() => server.run())
      return { endpoint: `http://127.0.0.1:${port}`, folder }
    })
  )
}

// What S3 has accepted can be read at once. This server answers before its file is whole.
const consistent = (server: S3rver): S3rver => {
  const { store } = server
  store.putObject = async ({ bucket, content, key, metadata }) => {
    const parts: Array<Buffer> = []
    for await (const part of content) parts.push(part)
    const bytes = Buffer.concat(parts)
    const file = store.getResourcePath(bucket, key, "object")
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, bytes)
    const md5 = createHash("md5").update(bytes).digest("hex")
    await store.putMetadata(bucket, key, metadata, md5)
    return { size: bytes.length, md5 }
  }
  return server
}
