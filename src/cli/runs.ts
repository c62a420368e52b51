/**
 * `serena runs`: its commands and flags. What they do is loaded when they run.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { logDefects } from "./failures.ts"
import * as ProcessFlags from "./ProcessFlags.ts"

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const on = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDescription(description), Flag.withDefault(false))

const whole = (name: string, metavar: string, description: string) =>
  Flag.Int(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description))

/** Where the runs are kept, as `serena serve` takes it. */
const places = {
  dataDir: ProcessFlags.places.dataDir,
  database: text(
    "database",
    "<text>",
    "Database of the runs: a SQLite file, or the address of a PostgreSQL database (default: runs.sqlite in the data folder)"
  ),
  blobs: text(
    "blobs",
    "<text>",
    "Where their images are: a folder, or a bucket of S3 (s3://bucket/prefix) (default: the folder blobs in the data folder)"
  )
}

const filters = {
  search: text("search", "<text>", "Words that the prompt or the negative prompt holds"),
  model: text("model", "<name>", "Name of the model"),
  state: Flag.Literals("state", ["queued", "running", "done", "interrupted", "failed", "cancelled"]).pipe(
    Flag.withDescription("State: queued, running, done, interrupted, failed, cancelled"),
    Flag.optional
  ),
  starred: on("starred", "Only starred ones"),
  tag: text("tag", "<text>", "A tag of theirs"),
  since: text("since", "<date>", "Submitted since a date (2026-01-31, 2026-01-31T18:00), or for at most 30m, 12h, 7d")
}

const jsonOfEach = ProcessFlags.json("Print one line of JSON for each run")

const ids = (argument: Argument.Argument<string>) =>
  argument.pipe(Argument.withDescription("Ids of runs, or their beginnings; also task ids"))

const list = Command.make(
  "list",
  {
    ...places,
    ...filters,
    limit: whole("limit", "<integer>", "Most runs to list (default: 20)").pipe(Flag.withDefault(20)),
    json: jsonOfEach
  },
  Effect.fnUntraced(function*(options) {
    const { listRuns } = yield* Effect.promise(() => import("./runs/list.ts"))
    yield* listRuns(options)
  }, logDefects)
).pipe(
  Command.withDescription("List runs, the newest first"),
  Command.withExamples([
    { command: "serena runs list" },
    { command: "serena runs list --state failed --since 7d", description: "What went wrong this week" },
    { command: "serena runs list --search \"red fox\" --starred --json", description: "For programs" }
  ])
)

const show = Command.make(
  "show",
  {
    id: ids(Argument.String("id")),
    ...places,
    events: on("events", "Show also what has happened to it"),
    json: ProcessFlags.json("Print one line of JSON")
  },
  Effect.fnUntraced(function*({ id, ...options }) {
    const { showRun } = yield* Effect.promise(() => import("./runs/show.ts"))
    yield* showRun(id, options)
  }, logDefects)
).pipe(
  Command.withDescription("Show all that is kept of a run"),
  Command.withExamples([{ command: "serena runs show 3f9c --events" }])
)

const cancel = Command.make(
  "cancel",
  { ids: ids(Argument.String("id")).pipe(Argument.atLeast(1)), ...places, json: jsonOfEach },
  Effect.fnUntraced(function*({ ids, ...options }) {
    const { cancelRuns } = yield* Effect.promise(() => import("./runs/change.ts"))
    yield* cancelRuns(ids, options)
  }, logDefects)
).pipe(
  Command.withDescription("Cancel runs: waiting ones at once, executing ones as soon as their process hears of it"),
  Command.withExamples([{ command: "serena runs cancel 3f9c" }])
)

const retry = Command.make(
  "retry",
  { ids: ids(Argument.String("id")).pipe(Argument.atLeast(1)), ...places, json: jsonOfEach },
  Effect.fnUntraced(function*({ ids, ...options }) {
    const { retryRuns } = yield* Effect.promise(() => import("./runs/change.ts"))
    yield* retryRuns(ids, options)
  }, logDefects)
).pipe(
  Command.withDescription(
    "Put runs into the queue again that failed, were cancelled or interrupted; finished images are not made again"
  ),
  Command.withExamples([{ command: "serena runs retry 3f9c" }])
)

const prune = Command.make(
  "prune",
  {
    ids: ids(Argument.String("id")).pipe(Argument.atLeast(0)),
    ...places,
    keepDays: whole("keep-days", "<integer>", "Keep runs that ended within as many days, and starred ones").pipe(
      Flag.optional
    ),
    keepBytes: whole("keep-bytes", "<integer>", "Keep as many bytes of files; the oldest go first").pipe(
      Flag.optional
    ),
    json: jsonOfEach
  },
  Effect.fnUntraced(function*({ ids, ...options }) {
    const { pruneRuns } = yield* Effect.promise(() => import("./runs/change.ts"))
    yield* pruneRuns(ids, options)
  }, logDefects)
).pipe(
  Command.withDescription("Remove ended runs and their files from the history; images in output folders stay"),
  Command.withExamples([
    { command: "serena runs prune --keep-days 7", description: "The older ones, apart from starred ones" },
    { command: "serena runs prune 3f9c 71d0", description: "These" }
  ])
)

const exported = Command.make(
  "export",
  {
    ids: ids(Argument.String("id")).pipe(Argument.atLeast(0)),
    to: Flag.Directory("to").pipe(
      Flag.withMetavar("<folder>"),
      Flag.withDescription("Folder that receives a folder for each run")
    ),
    ...places,
    ...filters,
    json: jsonOfEach
  },
  Effect.fnUntraced(function*({ ids, ...options }) {
    const { exportRuns } = yield* Effect.promise(() => import("./runs/export.ts"))
    yield* exportRuns(ids, options)
  }, logDefects)
).pipe(
  Command.withDescription(
    "Write images, infotexts and facts of runs into a folder: of the ids, or of all ended runs that the filters leave"
  ),
  Command.withExamples([
    { command: "serena runs export 3f9c --to foxes" },
    { command: "serena runs export --starred --to best", description: "All starred ones" }
  ])
)

/** The command. */
export const runs = Command.make("runs").pipe(
  Command.withDescription("List, show, cancel, retry, remove and export the runs that a server keeps"),
  Command.withSubcommands([list, show, cancel, retry, prune, exported]),
  Command.withExamples([{ command: "serena runs list" }, { command: "serena runs show 3f9c" }])
)
