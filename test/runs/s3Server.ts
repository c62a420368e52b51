/** A real S3 server on this machine, with a bucket `runs` that is empty. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
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
          new S3rver({
            address: "127.0.0.1",
            port: 0,
            silent: true,
            directory: folder,
            configureBuckets: [{ name: "runs" }]
          })
        ),
        (server) => Effect.promise(() => server.close())
      )
      const { port } = yield* Effect.promise(() => server.run())
      return { endpoint: `http://127.0.0.1:${port}`, folder }
    })
  )
}
