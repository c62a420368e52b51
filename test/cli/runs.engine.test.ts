import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { InternalError } from "../../src/contract/errors.ts"
import { BlobStore } from "../../src/runs/BlobStore.ts"
import { type NewRun, RunStore } from "../../src/runs/RunStore.ts"
import * as Stores from "../../src/runs/Stores.ts"
import { done, image, newRun, newWorker } from "../runs/newRun.ts"
import { serena } from "./command.ts"
import { lines, temporaryFolder } from "./process.ts"

const ids = {
  fox: "aaaa1111-0000-4000-8000-000000000001",
  owl: "aaaa2222-0000-4000-8000-000000000002",
  cat: "bbbb3333-0000-4000-8000-000000000003"
}

const worker = newWorker("w")

/** A data folder with a run that is done and starred, one that has failed, and one that waits. */
const kept = Effect.gen(function*() {
  const data = yield* temporaryFolder
  const files = yield* Effect.gen(function*() {
    const store = yield* RunStore
    const blobs = yield* BlobStore
    const submit = (id: string, more?: Parameters<typeof newRun>[1]) => store.submit(newRun(id, more), { queue: 100 })
    const take = Effect.map(store.take(worker), Option.getOrThrow)
    yield* store.beat(worker)
    const needs: NewRun["needs"] = { model: "shapes", labels: [] }
    yield* submit(ids.fox, { prompt: "A red fox\nin the snow", taskId: "my fox", needs })
    const { attempt } = yield* take
    const bytes = new TextEncoder().encode("an image of a fox")
    const images = [image(0, { blob: yield* blobs.put(bytes), bytes: bytes.length, infotext: "a fox\nSteps: 20" })]
    yield* store.append(ids.fox, [{ _tag: "ImagesMade", images, extras: [] }, done], { attempt })
    yield* store.append(ids.fox, [{ _tag: "Marked", starred: true, tags: ["winter"] }])
    yield* submit(ids.owl, { prompt: "a blue owl" })
    yield* store.append(ids.owl, [{ _tag: "Failed", error: new InternalError() }], { attempt: (yield* take).attempt })
    yield* submit(ids.cat, { prompt: "a cat" })
    return { bytes, blob: images[0]?.blob ?? "" }
  }).pipe(Effect.provide(Stores.layer({ dataDir: data })))
  return { ...files, data, runs: (...args: ReadonlyArray<string>) => serena(["runs", ...args, "--data-dir", data]) }
})

const listed = (stdout: string) => lines(stdout).map((line): string => JSON.parse(line).id)

describe("serena runs", () => {
  it.effect("lists runs newest first, as a table, and by filters", () =>
    Effect.gen(function*() {
      const { runs } = yield* kept
      const all = yield* runs("list")
      assert.strictEqual(all.code, 0, all.stderr)
      const [titles, ...rows] = lines(all.stdout)
      assert.match(titles ?? "", /^ID +SUBMITTED +STATE +IMAGES +MODEL +PROMPT$/)
      assert.deepStrictEqual(rows.map((row) => row.slice(0, 8)), ["bbbb3333", "aaaa2222", "aaaa1111"])
      assert.match(rows[2] ?? "", /done +1\/1 +shapes +A red fox in the snow$/)
      for (
        const [filters, found] of [
          [["--search", "FOX snow"], [ids.fox]],
          [["--state", "failed"], [ids.owl]],
          [["--model", "shapes"], [ids.fox]],
          [["--starred"], [ids.fox]],
          [["--tag", "winter"], [ids.fox]],
          [["--tag", "summer"], []],
          [["--limit", "2"], [ids.cat, ids.owl]],
          [["--since", "1h"], [ids.cat, ids.owl, ids.fox]],
          [["--since", "2999-01-31"], []],
          [["--since", "2999-01-31T18:00"], []]
        ] as const
      ) {
        const { code, stderr, stdout } = yield* runs("list", "--json", ...filters)
        assert.deepStrictEqual([code, stderr, listed(stdout)], [0, "", found], filters.join(" "))
      }
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("shows a run by its id, the beginning of its id, or its task id, with its error and its events", () =>
    Effect.gen(function*() {
      const { runs } = yield* kept
      for (const name of [ids.fox, "AAAA1", "my fox"]) {
        const { stdout } = yield* runs("show", name, "--json", "--events")
        const run = JSON.parse(stdout)
        assert.deepInclude(run, { id: ids.fox, task_id: "my fox", starred: true, tags: ["winter"], images_made: 1 })
        assert.strictEqual(run.images[0].seed, "9223372036854775809")
        assert.deepStrictEqual(run.events.map(({ _tag }: { readonly _tag: string }) => _tag), [
          "Submitted",
          "Taken",
          "ImagesMade",
          "Done",
          "Marked"
        ])
      }
      const fox = yield* runs("show", "my fox")
      assert.include(fox.stdout, "seed 9223372036854775809, 64x64, png, 0.0 kB")
      const owl = yield* runs("show", "aaaa2", "--events")
      assert.match(owl.stdout, /^state +failed$/m)
      assert.include(owl.stdout, `error      ${new InternalError().message}`)
      assert.match(owl.stdout, / 2 .*Taken +attempt 1, worker w$/m)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("cancels what has not ended, and retries what ended without a whole result", () =>
    Effect.gen(function*() {
      const { data, runs } = yield* kept
      const cancelled = yield* runs("cancel", "bbbb", "aaaa1")
      assert.deepStrictEqual([cancelled.code, cancelled.stdout], [1, `${ids.cat} is cancelled\n`])
      assert.strictEqual(cancelled.stderr, `The run ${ids.fox} has ended already: it is done.\n`)
      const retried = yield* runs("retry", "bbbb", "aaaa2", "aaaa1", "--json")
      assert.deepStrictEqual([retried.code, listed(retried.stdout)], [1, [ids.cat, ids.owl]])
      assert.include(retried.stderr, `The run ${ids.fox} cannot be retried, because it is done.`)

      const taken = yield* Effect.flatMap(RunStore, ({ take }) => take(worker)).pipe(
        Effect.map(Option.getOrThrow),
        Effect.provide(Stores.layer({ dataDir: data }))
      )
      const asked = yield* runs("cancel", taken.id)
      assert.deepStrictEqual([asked.code, asked.stdout], [0, `${taken.id} was asked to end\n`])
      const shown = yield* runs("show", taken.id)
      assert.match(shown.stdout, /^state +running, asked to cancel$/m)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("prunes by ids and by bounds, says what went, and leaves what is starred or has not ended", () =>
    Effect.gen(function*() {
      const { runs } = yield* kept
      const bare = yield* runs("prune")
      assert.strictEqual(bare.code, 2)
      assert.match(bare.stderr, /--keep-days or --keep-bytes/)
      const waits = yield* runs("prune", "bbbb")
      assert.strictEqual(waits.code, 1)
      assert.match(waits.stderr, /has not ended: it is queued. Cancel it first: serena runs cancel bbbb3333/)
      const old = yield* runs("prune", "--keep-days", "0")
      assert.strictEqual(old.code, 0)
      assert.match(old.stdout, new RegExp(`^${ids.owl} removed: failed, .*\nRemoved 1 run with 0 images, 0.0 kB.\n$`))
      assert.deepStrictEqual(listed((yield* runs("list", "--json")).stdout), [ids.cat, ids.fox])
      const named = yield* runs("prune", "aaaa")
      assert.match(named.stdout, /Removed 1 run with 1 image, /)
      assert.deepStrictEqual(listed((yield* runs("list", "--json")).stdout), [ids.cat])
      assert.strictEqual((yield* runs("prune", "--keep-bytes", "0")).stdout, "Nothing to remove.\n")
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("exports files, infotexts and facts, and never overwrites", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { bytes, blob, data, runs } = yield* kept
      const to = `${yield* temporaryFolder}/new/folder`
      const exported = yield* runs("export", "--to", to)
      assert.strictEqual(exported.code, 0, exported.stderr)
      assert.deepStrictEqual(lines(exported.stdout), [`${to}/${ids.owl}`, `${to}/${ids.fox}`])
      const files = yield* fs.readDirectory(`${to}/${ids.fox}`)
      const name = "0-9223372036854775809.png"
      assert.deepStrictEqual(files.toSorted(), [name, `${name}.txt`, "run.json"])
      assert.deepStrictEqual(yield* fs.readFile(`${to}/${ids.fox}/${name}`), bytes)
      assert.strictEqual(yield* fs.readFileString(`${to}/${ids.fox}/${name}.txt`), "a fox\nSteps: 20\n")
      assert.deepInclude(JSON.parse(yield* fs.readFileString(`${to}/${ids.fox}/run.json`)), { id: ids.fox })

      yield* fs.writeFileString(`${to}/${ids.fox}/run.json`, "mine")
      const again = yield* runs("export", "my fox", "bbbb", "--to", to)
      assert.deepStrictEqual([again.code, again.stdout], [1, `${to}/${ids.cat}\n`])
      assert.strictEqual(
        again.stderr,
        `${to}/${ids.fox} is there already and stays as it is. Remove it, or name another folder with --to.\n`
      )
      assert.strictEqual(yield* fs.readFileString(`${to}/${ids.fox}/run.json`), "mine")

      yield* fs.remove(`${data}/blobs/${blob.slice(0, 2)}/${blob}`)
      const gone = yield* runs("export", "--starred", "--to", `${to}/2`)
      assert.deepStrictEqual([gone.code, gone.stdout], [1, ""])
      assert.match(gone.stderr, /cannot be exported\. The file .* of a run is gone/)
      assert.deepStrictEqual(yield* fs.readDirectory(`${to}/2`), [])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("says what is wrong: no database, no such run, several of them, a wrong date", () =>
    Effect.gen(function*() {
      const { runs } = yield* kept
      const fs = yield* FileSystem.FileSystem
      const empty = yield* temporaryFolder
      const none = yield* serena(["runs", "list", "--data-dir", empty])
      assert.strictEqual(none.code, 1)
      assert.match(none.stderr, /No runs are kept in .*runs\.sqlite: there is no such file\. .*--data-dir/)
      assert.deepStrictEqual(yield* fs.readDirectory(empty), [])
      assert.match((yield* runs("show", "cccc")).stderr, /^No run has the id "cccc"\. "serena runs list" shows/)
      assert.match((yield* runs("show", "aa")).stderr, /^No run has the id "aa"\. An id, its first four characters/)
      const several = yield* runs("cancel", "aaaa")
      assert.deepStrictEqual([several.code, several.stdout], [1, ""])
      assert.include(several.stderr, `begin with "aaaa": ${ids.owl}, ${ids.fox}. Write more of it.`)
      const since = yield* runs("list", "--since", "yesterday")
      assert.strictEqual(since.code, 2)
      assert.include(since.stderr, "--since: \"yesterday\" is no date")
      const memory = yield* runs("list", "--database", "memory")
      assert.match(memory.stderr, /--database: runs in the memory of a server/)
    }).pipe(Effect.provide(NodeServices.layer)))
})
