import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as FolderBlobStore from "../../src/runs/FolderBlobStore.ts"
import * as SqlRunStore from "../../src/runs/SqlRunStore.ts"
import * as Serena from "../../src/Serena.ts"
import { type Options, serena, start, temporaryFolder } from "../cli/process.ts"
import { faults } from "./faults.ts"
import { type Answers, assertAll, assertLogs, type Client, clientOf, type SmallRun, smallRuns } from "./smallRuns.ts"
import { cannotMount, trying, unshare } from "./trying.ts"

const { damagedDatabase, durableClientGone, fullWhileAccepting, readOnlyDatabase, stopped, twoServersOneFolder } =
  faults["Kept runs"]

const serve = Effect.fnUntraced(function*(data: string, flags: ReadonlyArray<string> = [], options: Options = {}) {
  const server = yield* start(["serve", "--port", "0", "--threads", "1", ...flags], {
    ...options,
    env: { SERENA_DATA_DIR: data, ...options.env }
  })
  return { ...server, client: clientOf(yield* server.printed(/http:\S+/)) }
})

const storesIn = (data: string) =>
  Layer.mergeAll(
    SqlRunStore.layerSqlite({ file: `${data}/runs.sqlite` }),
    FolderBlobStore.layer({ folder: `${data}/blobs` })
  )

const until = (client: Client, isReached: (now: { readonly made: number; readonly open: number }) => boolean) =>
  Effect.repeat(client.standing, { until: isReached, schedule: Schedule.spaced(100) })

const ended = (client: Client) =>
  Effect.repeat(client.open, { until: (open) => open === 0, schedule: Schedule.spaced(100) })

const long: SmallRun = {
  key: "long",
  fields: { prompt: "a heart", seed: 9, steps: 6, width: 64, height: 64, n_iter: 8 }
}

describe("a server whose runs are kept", () => {
  trying({ ...stopped, times: 1 }, () =>
    Effect.gen(function*() {
      const data = yield* temporaryFolder
      const answers: Answers = new Map()
      let server = yield* serve(data)
      answers.set(long.key, new Set([yield* server.client.submit(long)]))
      for (let time = 1; time <= stopped.times; time++) {
        yield* until(server.client, ({ made, open }) => made >= 2 * time || open === 0)
        yield* server.send("SIGTERM")
        assert.strictEqual((yield* server.end).code, 0)
        server = yield* serve(data)
      }
      yield* ended(server.client)
      yield* Effect.provide(assertAll(server.client, [long], answers), Serena.layer())
      yield* server.send("SIGTERM")
      yield* server.end
      const [run] = yield* Effect.provide(assertLogs, storesIn(data))
      assert.deepInclude(run, { strikes: 0 })
      assert.isAbove(run?.attempt ?? 0, 1)
    }).pipe(Effect.provide(NodeServices.layer)))

  trying({ ...twoServersOneFolder, times: 1 }, () =>
    Effect.gen(function*() {
      const data = yield* temporaryFolder
      const runs = yield* smallRuns(8)
      const answers: Answers = new Map()
      const one = yield* serve(data)
      const two = yield* serve(data, ["--options-file", `${data}/other.json`])
      const each = Effect.forEach(
        runs.entries(),
        ([index, run]) =>
          Effect.forEach(index % 3 === 0 ? [one, two] : index % 3 === 1 ? [one] : [two], ({ client }) =>
            Effect.map(client.submit(run), (id) =>
              answers.set(run.key, new Set([...answers.get(run.key) ?? [], id])))),
        { discard: true }
      )
      yield* each
      yield* ended(one.client)
      for (const { client } of [one, two]) {
        yield* Effect.provide(assertAll(client, runs, answers), Serena.layer())
      }
      const kept = yield* Effect.provide(assertLogs, storesIn(data))
      assert.deepStrictEqual(
        kept.map(({ attempt }) =>
          attempt
        ),
        runs.map(() => 1)
      )
    }).pipe(Effect.provide(NodeServices.layer)))

  trying({ ...durableClientGone, times: 1 }, () =>
    Effect.gen(function*() {
      const data = yield* temporaryFolder
      const server = yield* serve(data)
      const body = JSON.stringify({ ...long.fields, force_task_id: "mine", durable: true, save_images: false })
      const asked = yield* Effect.forkChild(
        Effect.exit(server.client.request("/sdapi/v1/txt2img", { method: "POST", body }))
      )
      yield* until(server.client, ({ made }) => made > 0)
      yield* Fiber.interrupt(asked)
      yield* server.send("SIGKILL")
      yield* server.end
      const again = yield* serve(data)
      yield* ended(again.client)
      const { bytes, status } = yield* again.client.request("/v1/runs/mine")
      assert.strictEqual(status, 200)
      assert.include(bytes.toString(), `"_tag":"Done","interrupted":false`)
      assert.strictEqual((yield* again.client.request("/v1/runs/mine/images/7")).status, 200)
    }).pipe(Effect.provide(NodeServices.layer)))

  trying({ ...damagedDatabase, times: 1 }, () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const data = yield* temporaryFolder
      const server = yield* serve(data)
      yield* server.client.submit({ ...long, fields: { ...long.fields, n_iter: 1 } })
      yield* ended(server.client)
      yield* server.send("SIGTERM")
      yield* server.end
      const file = `${data}/runs.sqlite`
      const whole = yield* fs.readFile(file)
      const damages = [
        ["the file is damaged", Uint8Array.from(whole).fill(0xab, 4096)],
        ["the file is no SQLite database", Buffer.from("This is no database.".repeat(1000))]
      ] as const
      for (const [reason, bytes] of damages) {
        yield* fs.writeFile(file, bytes)
        const { code, stderr } = yield* serena(["serve", "--port", "0"], { env: { SERENA_DATA_DIR: data } })
        assert.strictEqual(code, 2, stderr)
        assert.include(stderr, reason)
        assert.include(stderr, file)
        assert.deepStrictEqual(Buffer.from(yield* fs.readFile(file)), Buffer.from(bytes))
      }
      // Put back, it has all that was there.
      yield* fs.writeFile(file, whole)
      assert.lengthOf(yield* (yield* serve(data)).client.list, 1)
    }).pipe(Effect.provide(NodeServices.layer)))

  trying(readOnlyDatabase, () =>
    Effect.gen(function*() {
      const data = yield* temporaryFolder
      const file = `${data}/runs.sqlite`
      yield* Effect.scoped(Layer.build(storesIn(data)))
      const mount = `mount --bind ${file} ${file} && mount -o remount,bind,ro ${file} && exec "$@"`
      const { client } = yield* serve(data, [], { through: [...unshare, "sh", "-c", mount, "sh"] })
      const body = JSON.stringify({ ...long.fields, save: false })
      const { bytes, status } = yield* client.request("/v1/runs", { method: "POST", body })
      assert.strictEqual(status, 503, bytes.toString())
      assert.include(bytes.toString(), "it is read-only")
      assert.lengthOf(yield* client.list, 0)
    }).pipe(Effect.provide(NodeServices.layer)), cannotMount)

  trying(fullWhileAccepting, () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [disk, orders] = yield* Effect.all([temporaryFolder, temporaryFolder])
      // Fills the disk and frees it again when a file asks for it, as long as the server lives.
      const script = `mount -t tmpfs -o size=4m tmpfs ${disk} && {
        while kill -0 $$ 2>/dev/null; do
          if rm ${orders}/fill; then dd if=/dev/zero of=${disk}/fill bs=4k; touch ${orders}/full; fi
          if rm ${orders}/free; then rm ${disk}/fill; touch ${orders}/freed; fi
          sleep 0.05
        done >/dev/null 2>&1 &
        exec "$@"; }`
      const order = (name: string, done: string) =>
        Effect.andThen(
          fs.writeFileString(`${orders}/${name}`, ""),
          Effect.repeat(fs.exists(`${orders}/${done}`), { until: (is) => is, schedule: Schedule.spaced(20) })
        )
      const { client } = yield* serve(disk, [], { through: [...unshare, "sh", "-c", script, "sh"] })
      const [first, second] = yield* smallRuns(2)
      if (first === undefined || second === undefined) return
      const answers: Answers = new Map([[first.key, new Set([yield* client.submit(first)])]])
      yield* ended(client)
      yield* order("fill", "full")
      const { bytes, status } = yield* client.request("/v1/runs", {
        method: "POST",
        body: JSON.stringify({ ...second.fields, save: false })
      })
      assert.strictEqual(status, 503, bytes.toString())
      assert.include(bytes.toString(), "the disk is full")
      assert.lengthOf(yield* client.list, 1)
      yield* order("free", "freed")
      answers.set(second.key, new Set([yield* client.submit(second)]))
      yield* ended(client)
      yield* Effect.provide(assertAll(client, [first, second], answers), Serena.layer())
    }).pipe(Effect.provide(NodeServices.layer)), cannotMount)
})
