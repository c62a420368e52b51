import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { hash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll } from "vitest"
import { ClusterRuntime } from "../../src/cluster/index.ts"
import { Txt2Img } from "../../src/processing/requests.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { temporaryFolder } from "../cli/process.ts"
import { type Postgres, postgres } from "../runs/postgres.ts"
import { type Places, server, worker } from "./cluster.ts"

const shapes = fileURLToPath(new URL("../../models/shapes-128", import.meta.url))

const scope = Scope.makeUnsafe()
let database: Postgres | undefined
beforeAll(async () => {
  database = await Effect.runPromise(Scope.provide(postgres, scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const test = <A, E>(
  name: string,
  trial: (places: Places) => Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>
) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const places: Places = {
        database: yield* Effect.suspend(() => database?.database ?? Effect.die("no database")),
        blobs: yield* temporaryFolder
      }
      return yield* trial(places)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

const Reply = Schema.Struct({
  images: Schema.Array(Schema.String),
  info: Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))
})
const sha256 = (text: string) => hash("sha256", text)

const decodeReply = Schema.decodeUnknownEffect(Reply)

const short = { prompt: "a red circle", seed: 3, steps: 4, n_iter: 2 }

/** A run of batches, each of which takes a while. */
const long = { prompt: "a blue ring", seed: 7, steps: 20, n_iter: 8 }

describe("workers and front ends on one database", () => {
  test("make the images of one machine, each those whose labels it has, and save them nowhere else", (places) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [folder, ...others] = yield* Effect.all([temporaryFolder, temporaryFolder])
      const alone = yield* server({ database: "memory", blobs: others[0] })
      const expected = yield* alone.images(yield* alone.end((yield* alone.submit(short)).id))

      const front = yield* server(places, [], { cwd: folder })
      yield* worker(places, [], { cwd: folder })
      const [required, plain] = [
        yield* front.submit({ ...short, requires: ["gpu", "site=eu"], save: true }),
        yield* front.submit(short)
      ]
      assert.deepStrictEqual(yield* front.images(yield* front.end(plain.id)), expected)
      // The same from a program.
      const options = { samples_save: false }
      const { images } = yield* processImages(Txt2Img.make(short)).pipe(
        Effect.provide(ClusterRuntime.layer({ ...places, options }))
      )
      assert.deepStrictEqual(images.map(({ bytes }) => Buffer.from(bytes).toString("base64")), expected)
      assert.deepInclude(yield* front.get(required.id), { attempts: 0 })
      yield* worker(places, ["--label", "gpu", "--label", "site=eu"], { cwd: folder })
      assert.deepStrictEqual(yield* front.images(yield* front.end(required.id)), expected)
      assert.deepStrictEqual(yield* fs.readDirectory(folder), [])
    }))

  test("answer clients of the webui's API with what workers make, and need no models for that", (places) =>
    Effect.gen(function*() {
      const alone = yield* server({ database: "memory", blobs: yield* temporaryFolder })
      const front = yield* server(places)
      // A model that the front end does not have.
      const models = yield* temporaryFolder
      yield* FileSystem.FileSystem.use((fs) => fs.copy(shapes, `${models}/of-workers`))
      yield* worker(places, ["--models-dir", models])
      const ask = ({ request }: { readonly request: typeof front.request }, body: object) =>
        Effect.flatMap(
          request("POST", "/sdapi/v1/txt2img", body),
          (reply) => Effect.flatMap(Effect.promise(() => reply.json()), decodeReply)
        )

      const shapes128 = { sd_model_checkpoint: "shapes-128" }
      const small = { ...short, width: 64, height: 64 }
      const asked = { ...small, batch_size: 2, override_settings: shapes128 }
      const expected = yield* ask(alone, asked)
      const made = yield* ask(front, asked)
      assert.deepStrictEqual(made.images.map(sha256), expected.images.map(sha256))
      assert.deepStrictEqual({ ...made.info, job_timestamp: "" }, { ...expected.info, job_timestamp: "" })

      const listed = yield* Effect.flatMap(
        front.request("GET", "/v1/models"),
        (reply) => Effect.promise(() => reply.text())
      )
      assert.include(listed, "of-workers")
      const kept = yield* ask(front, {
        ...small,
        override_settings: { sd_model_checkpoint: "of-workers" },
        durable: true,
        force_task_id: "mine"
      })
      assert.strictEqual(kept.info["sd_model_name"], "of-workers")
      assert.lengthOf((yield* front.get("mine")).status.images ?? [], 2)
      // The other one is not.
      const runs = yield* front.runs
      assert.deepStrictEqual(runs.map(({ status: { images = [] } }) => images.length), [2, 0])

      // A front end that ends does not leave its clients without an answer.
      const waiting = yield* Effect.forkChild(
        front.request("POST", "/sdapi/v1/txt2img", { ...small, steps: 150, n_iter: 50 }),
        { startImmediately: true }
      )
      while ((yield* front.queue).running === 0) yield* Effect.sleep(20)
      yield* front.send("SIGTERM")
      assert.strictEqual((yield* Fiber.join(waiting)).status, 200)
    }))

  test("show progress and previews at every front end, and cancel and interrupt from each", (places) =>
    Effect.gen(function*() {
      const [one, two] = [yield* server(places), yield* server(places)]
      yield* worker(places)
      const { id } = yield* one.submit({ ...long, n_iter: 50 })
      yield* Effect.all([
        one.eventsUntil(id, /"preview":\{"step":\d/),
        two.eventsUntil(id, /"preview":\{"step":\d/)
      ], { concurrency: 2 })
      assert.strictEqual((yield* two.request("GET", `/v1/runs/${id}/preview`)).status, 200)
      assert.strictEqual((yield* two.request("POST", `/v1/runs/${id}/interrupt`)).status, 200)
      const interrupted = yield* one.end(id)
      assert.strictEqual(interrupted.status._tag, "Done")
      assert.isBelow(interrupted.status.images?.length ?? 0, 50)

      const next = yield* two.submit({ ...long, n_iter: 50 })
      yield* one.eventsUntil(next.id, /event: image/)
      assert.strictEqual((yield* one.request("DELETE", `/v1/runs/${next.id}`)).status, 200)
      assert.strictEqual((yield* two.end(next.id)).status._tag, "Cancelled")
    }))

  test("accept one run for one key, at whichever front end", (places) =>
    Effect.gen(function*() {
      const [one, two] = [yield* server(places), yield* server(places)]
      const asked = { ...short, idempotency_key: "once" }
      const runs = yield* Effect.all([one, two, one, two].map(({ submit }) => submit(asked)), { concurrency: 4 })
      assert.lengthOf(new Set(runs.map(({ id }) => id)), 1)
    }))

  test("give back what a worker leaves that is asked to end, after its batch, and make no batch again", (places) =>
    Effect.gen(function*() {
      const front = yield* server(places)
      const first = yield* worker(places)
      const { id } = yield* front.submit(long)
      yield* front.eventsUntil(id, /event: image/)
      yield* first.send("SIGTERM")
      assert.strictEqual((yield* first.end).code, 0)
      const { attempts, status } = yield* front.get(id)
      assert.deepStrictEqual([attempts, status._tag], [1, "Queued"])
      yield* worker(places)
      const done = yield* front.end(id)
      assert.strictEqual(done.attempts, 2)
      // Images that are made are events; each of the eight is one.
      const events = yield* front.eventsUntil(id, /event: done/)
      assert.lengthOf(events.match(/^event: image$/gm) ?? [], long.n_iter)
      assert.lengthOf(new Set(yield* front.images(done)), long.n_iter)
    }))

  test("begin a run again whose worker was killed", (places) =>
    Effect.gen(function*() {
      const front = yield* server(places)
      const first = yield* worker(places)
      const { id } = yield* front.submit(long)
      yield* front.eventsUntil(id, /event: image/)
      yield* first.send("SIGKILL")
      yield* worker(places)
      const done = yield* front.end(id)
      assert.deepStrictEqual([done.attempts, done.status._tag], [2, "Done"])
      assert.lengthOf(new Set(yield* front.images(done)), long.n_iter)
    }))

  test("fail a run that ends three workers", (places) =>
    Effect.gen(function*() {
      const front = yield* server(places)
      const { id } = yield* front.submit({ ...long, steps: 150, batch_size: 8 })
      for (let attempt = 1; attempt <= 3; attempt++) {
        const victim = yield* worker(places)
        yield* front.eventsUntil(id, /event: step/)
        while ((yield* front.get(id)).attempts < attempt) yield* Effect.sleep(50)
        yield* victim.send("SIGKILL")
        yield* victim.end
      }
      const { attempts, status } = yield* front.end(id)
      assert.deepStrictEqual([attempts, status._tag], [3, "Failed"])
      assert.match(status.message ?? "", /3 times/)
    }))

  test("begin a run elsewhere within 15 seconds whose worker is frozen, and take nothing of it later", (places) =>
    Effect.gen(function*() {
      const front = yield* server(places)
      const frozen = yield* worker(places)
      const { id } = yield* front.submit(long)
      yield* front.eventsUntil(id, /event: image/)
      yield* frozen.send("SIGSTOP")
      const begun = performance.now()
      yield* worker(places)
      while ((yield* front.get(id)).attempts < 2) yield* Effect.sleep(100)
      assert.isBelow(performance.now() - begun, 15_000)
      yield* frozen.send("SIGCONT")
      const done = yield* front.end(id)
      assert.deepStrictEqual([done.attempts, done.status._tag], [2, "Done"])
      const images = yield* front.images(done)
      // It has seen that it lost the run once it takes another.
      yield* front.end((yield* front.submit(short)).id)
      yield* frozen.send("SIGTERM")
      assert.strictEqual((yield* frozen.end).code, 0)
      assert.deepStrictEqual(yield* front.images(yield* front.get(id)), images)
      assert.lengthOf(new Set(images), long.n_iter)
    }))
})
