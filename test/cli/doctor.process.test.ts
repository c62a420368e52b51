import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import { DatabaseSync } from "node:sqlite"
import { embedded } from "../models/fixtures.ts"
import { cannotMount, unshare } from "../reliability/trying.ts"
import { postgres } from "../runs/postgres.ts"
import { serena as inProcess } from "./command.ts"
import { type Ended, lines, type Options, serena, temporaryFolder } from "./process.ts"

interface Line {
  readonly check: string
  readonly level: string
  readonly found: string
  readonly advice: string | null
}

/** Runs the command as a process, and gives its findings. */
const doctor = (args: ReadonlyArray<string>, options?: Options) =>
  Effect.map(serena(["doctor", "--json", ...args], options), findingsOf)

const findingsOf = ({ code, stderr, stdout }: Ended) => {
  const findings = lines(stdout).map((line): Line => JSON.parse(line))
  const problems = findings.filter(({ level }) => level === "problem")
  assert.strictEqual(code, problems.length > 0 ? 1 : 0, stderr)
  assert.strictEqual(
    stderr,
    problems.length === 0
      ? ""
      : problems.length === 1
      ? "There is 1 problem.\n"
      : `There are ${problems.length} problems.\n`
  )
  return {
    problems: problems.map(({ check }) => check),
    warnings: findings.filter(({ level }) => level === "warning").map(({ check }) => check),
    /** What it says of one thing. */
    of: (check: string) =>
      findings.filter((each) => each.check === check).map(({ advice, found }) => `${found}. ${advice ?? ""}`).join("\n")
  }
}

const allFiles = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  return (yield* fs.readDirectory(folder, { recursive: true })).toSorted()
})

/** A data folder in which all is well: settings, a database of runs, a model. */
const wellKept = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* temporaryFolder
  yield* fs.writeFileString(
    `${folder}/settings.json`,
    "{\"samples_format\": \"webp\", \"sd_model_checkpoint\": \"gone\"}"
  )
  yield* fs.makeDirectory(`${folder}/models`)
  yield* fs.symlink(embedded, `${folder}/models/shapes`)
  const database = new DatabaseSync(`${folder}/runs.sqlite`)
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE runs (id TEXT PRIMARY KEY, record TEXT)")
  const row = database.prepare("INSERT INTO runs VALUES (?, ?)")
  for (let i = 0; i < 500; i++) row.run(`run ${i}`, "x".repeat(200))
  database.close()
  return folder
})

const withFiles = Effect.provide(NodeFileSystem.layer)

describe("serena doctor", () => {
  it.live("finds nothing wrong where all is well, in plain words, and changes nothing", () =>
    Effect.gen(function*() {
      const folder = yield* wellKept
      const before = yield* allFiles(folder)
      const { of, problems } = yield* doctor(["--data-dir", folder])
      assert.deepStrictEqual(problems, [])
      assert.include(of("node"), process.versions.node)
      assert.include(of("device"), "cpu loads a network")
      assert.include(of("data folder"), folder)
      assert.include(of("settings"), `${folder}/settings.json`)
      assert.include(of("runs"), `${folder}/runs.sqlite`)
      assert.include(of("models"), `1 model in ${folder}/models`)
      assert.include(of("disk"), "free")
      assert.deepStrictEqual(yield* allFiles(folder), before)

      const { code, stdout } = yield* serena(["doctor", "--data-dir", folder])
      assert.strictEqual(code, 0)
      assert.match(stdout, /^ok       node +\d+\.\d+\.\d+$/m)
      assert.deepStrictEqual(yield* allFiles(folder), before)
    }).pipe(withFiles))

  it.live("names broken settings, a database of runs that is damaged, and models that do not load", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* wellKept
      yield* fs.writeFileString(`${folder}/settings.json`, "{\"samples_save\": 7}")
      // A page of the table in the middle of the file.
      const bytes = yield* fs.readFile(`${folder}/runs.sqlite`)
      bytes.fill(0xAB, bytes.length / 2, bytes.length / 2 + 4096)
      yield* fs.writeFile(`${folder}/runs.sqlite`, bytes)
      yield* fs.remove(`${folder}/models/shapes`)
      yield* fs.writeFile(`${folder}/models/cut.safetensors`, new Uint8Array(40).fill(7))
      yield* fs.makeDirectory(`${folder}/models/half`)
      yield* fs.writeFileString(`${folder}/models/half/model_index.json`, "{}")
      const { of, problems, warnings } = yield* doctor(["--data-dir", folder])
      assert.deepStrictEqual(problems, ["settings", "runs", "models"])
      assert.include(of("settings"), "samples_save")
      assert.match(of("runs"), /damaged|malformed/)
      assert.include(of("runs"), "backup")
      assert.isAbove(warnings.filter((check) => check === "models").length, 1)
      assert.include(of("models"), "cut.safetensors")
      assert.include(of("models"), "half")

      yield* fs.writeFileString(`${folder}/settings.json`, "{\"samples_save\": ")
      yield* fs.writeFileString(`${folder}/runs.sqlite`, "no database".repeat(1000))
      const again = yield* doctor(["--data-dir", folder, "--models-dir", `${folder}/models/half`])
      assert.include(again.of("settings"), "not JSON")
      assert.include(again.of("runs"), "not a database")
    }).pipe(withFiles))

  it.live("names a models folder that is not there, a device that this machine has not, and too many threads", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const device = process.platform === "win32" ? "coreml" : "dml"
      const { of, problems, warnings } = yield* doctor(
        ["--data-dir", folder, "--device", device, "--threads", "1000", "--max-memory", "10"],
        { env: { SERENA_MODELS_DIR: `${folder}/none` } }
      )
      assert.deepStrictEqual(problems, ["memory", "device", "models"])
      assert.include(warnings, "processors")
      assert.include(of("device"), "Use ")
      assert.include(of("memory"), "--max-memory")
      assert.include(of("models"), `${folder}/none`)
    }).pipe(withFiles))

  it.live.skipIf(cannotMount !== undefined)(
    "names a data folder that cannot be written, and a disk without room",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const on = (mounted: string): Options => ({
          through: [...unshare, "sh", "-c", `mount -t tmpfs -o ${mounted} tmpfs ${folder} && exec "$@"`, "sh"]
        })
        const readOnly = yield* doctor(["--data-dir", `${folder}/data`], on("ro"))
        assert.include(readOnly.problems, "data folder")
        assert.include(readOnly.of("data folder"), "read-only")
        const small = yield* doctor(["--data-dir", folder], on("size=1m"))
        assert.deepStrictEqual(small.problems, ["disk"])
        assert.include(small.of("disk"), "Make room")
      }).pipe(withFiles)
  )

  it.live("reaches a database, and names what keeps it from being used", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const server = yield* postgres
      const url = yield* server.make("serena")
      // In this process, as it starts fast.
      const look = (database: string) =>
        Effect.map(inProcess(["doctor", "--json", "--data-dir", folder, "--database", database]), findingsOf)
      const empty = yield* look(url)
      assert.deepStrictEqual(empty.problems, [])
      assert.match(empty.of("database"), /PostgreSQL 18.* ms for a round trip/)
      assert.include(empty.of("database"), "no runs yet")
      assert.notInclude(empty.of("database"), "password")
      assert.include(empty.of("clock"), "the database's")

      yield* Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        yield* sql`CREATE TABLE migrations (migration_id integer PRIMARY KEY)`
        yield* sql`INSERT INTO migrations VALUES (1), (2)`
        yield* sql`CREATE TABLE runs (id text)`
        yield* sql`CREATE ROLE reader LOGIN PASSWORD 'reader'`
        yield* sql`GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader`
      }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })))
      const made = yield* look(url)
      assert.deepStrictEqual(made.problems, [])
      assert.include(made.of("database"), "of version 2")
      const reader = yield* look(server.url("serena", "reader", "reader"))
      assert.deepStrictEqual(reader.problems, ["database"])
      assert.match(reader.of("database"), /reader must not read and write .*runs/)
      assert.include(reader.of("database"), "GRANT SELECT, INSERT, UPDATE, DELETE")

      const password = yield* look(server.url("serena", "reader", "wrong"))
      assert.match(password.of("database"), /password authentication failed.*pg_hba.conf/)
      const missing = yield* look(server.url("nothing"))
      assert.include(missing.of("database"), "does not exist")
      yield* server.stop
      const stopped = yield* look(url)
      assert.deepStrictEqual(stopped.problems, ["database"])
      assert.include(stopped.of("database"), "that PostgreSQL runs there")
      yield* server.start
      assert.include((yield* look("mysql://there")).of("database"), "no address of PostgreSQL")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
