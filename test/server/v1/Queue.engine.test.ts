import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Metric from "effect/Metric"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { DatabaseSync } from "node:sqlite"
import { QueueStatus, Run, RunIds, RunList } from "../../../src/contract/Run.ts"
import * as Metrics from "../../../src/instrumentation/Metrics.ts"
import { listening, type ListeningOptions, posted, small } from "./listening.ts"

const decodeRun = Schema.decodeUnknownEffect(Schema.toCodecJson(Run))
const decodeList = Schema.decodeUnknownEffect(Schema.toCodecJson(RunList))
const decodeQueue = Schema.decodeUnknownEffect(Schema.toCodecJson(QueueStatus))
const decodeIds = Schema.decodeUnknownEffect(RunIds)

const json = (response: Response): Effect.Effect<unknown> => Effect.promise(() => response.json())

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

const started = Effect.fnUntraced(function*(options?: ListeningOptions) {
  const server = yield* listening(options)
  const { queue, send } = server
  const ask = (path: string, init?: RequestInit) => Effect.flatMap(send(path, init), json)
  const post = (body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    send("/v1/runs", { ...posted(body), headers: { "content-type": "application/json", ...headers } })
  const submit = (body: unknown, headers?: Readonly<Record<string, string>>) =>
    Effect.flatMap(Effect.flatMap(post(body, headers), json), decodeRun)
  const list = (query = "") => Effect.flatMap(ask(`/v1/runs${query}`), decodeList)
  const ids = (query?: string) => Effect.map(list(query), ({ runs }) => runs.map(({ id }) => id))
  const look = (id: string) => Effect.flatMap(ask(`/v1/runs/${id}`), decodeRun)
  const patch = (id: string, body: unknown) => Effect.flatMap(ask(`/v1/runs/${id}`, posted(body, "PATCH")), decodeRun)
  const setPaused = (paused: boolean) => Effect.flatMap(ask("/v1/queue", posted({ paused }, "PATCH")), decodeQueue)
  const ended = (id: string) => Effect.andThen(Stream.runDrain(queue.watch(id)), look(id))
  return { ...server, ask, post, submit, list, ids, look, patch, setPaused, ended }
})

const data = FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped({ prefix: "serena-queue-" })).pipe(
  Effect.provide(NodeFileSystem.layer)
)

describe("An idempotency key", () => {
  it.live("makes one run of two submissions: by header, by field, by form, and raced", () =>
    Effect.gen(function*() {
      const { ids, submit } = yield* started()
      const first = yield* submit(small, { "idempotency-key": "one" })
      assert.strictEqual((yield* submit(small, { "idempotency-key": "one" })).id, first.id)
      assert.strictEqual((yield* submit({ ...small, idempotency_key: "one" })).id, first.id)
      // The field wins.
      assert.notStrictEqual(
        (yield* submit({ ...small, idempotency_key: "two" }, { "idempotency-key": "one" })).id,
        first.id
      )
      const raced = yield* Effect.all(
        Array.from({ length: 8 }, () => submit({ ...small, idempotency_key: "raced" })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(raced.map(({ id }) => id)).size, 1)
      assert.lengthOf(yield* ids(), 3)
    }))

  it.live("is refused for another request, and when it is none", () =>
    Effect.gen(function*() {
      const { ids, post, submit } = yield* started()
      const { id } = yield* submit({ ...small, idempotency_key: "one" })
      const other = yield* post({ ...small, seed: 6, idempotency_key: "one" })
      assert.strictEqual(other.status, 422)
      const text = JSON.stringify(yield* json(other))
      assert.include(text, `"path":"idempotency_key"`)
      assert.include(text, `it was used for another request, the run ${id}`)
      assert.strictEqual((yield* post({ ...small, idempotency_key: "" })).status, 422)
      assert.strictEqual((yield* post({ ...small, idempotency_key: 7 })).status, 422)
      assert.strictEqual((yield* post(small, { "idempotency-key": "x".repeat(201) })).status, 400)
      assert.lengthOf(yield* ids(), 1)
    }))

  it.live("belongs to its user or key", () =>
    Effect.gen(function*() {
      const { submit } = yield* started({ server: { api_keys: ["key-of-ada", "key-of-ben"] } })
      const body = { ...small, idempotency_key: "one" }
      const a = yield* submit(body, bearer("key-of-ada"))
      assert.strictEqual((yield* submit(body, bearer("key-of-ada"))).id, a.id)
      assert.notStrictEqual((yield* submit(body, bearer("key-of-ben"))).id, a.id)
    }))

  it.live("holds over a restart", () =>
    Effect.gen(function*() {
      const dataDir = yield* data
      const submitted = Effect.scoped(Effect.gen(function*() {
        const { ended, submit } = yield* started({ stores: { dataDir } })
        const { id } = yield* submit({ ...small, idempotency_key: "one" })
        return yield* ended(id)
      }))
      const first = yield* submitted
      assert.strictEqual(first.status._tag, "Done")
      assert.deepStrictEqual(yield* submitted, first)
    }))
})

describe("A form", () => {
  it.live("has the key, the priority and the requirements of a run", () =>
    Effect.gen(function*() {
      const { ask, send, setPaused } = yield* started()
      yield* setPaused(true)
      const sent = (change: (form: FormData) => void) => {
        const form = new FormData()
        for (const [name, value] of Object.entries(small)) form.append(name, String(value))
        form.append("idempotency_key", "12")
        form.append("priority", "7")
        change(form)
        return send("/v1/runs", { method: "POST", body: form })
      }
      const requires = (form: FormData) => {
        form.append("requires", "gpu")
        form.append("requires", "site=eu")
      }
      const first = yield* Effect.flatMap(Effect.flatMap(sent(requires), json), decodeRun)
      assert.strictEqual(first.priority, 7)
      const asJson = (form: FormData) => form.append("requires", `["gpu", "site=eu"]`)
      assert.strictEqual((yield* Effect.flatMap(Effect.flatMap(sent(asJson), json), decodeRun)).id, first.id)
      const wrong = yield* sent((form) => form.set("priority", "high"))
      assert.strictEqual(wrong.status, 422)
      assert.include(JSON.stringify(yield* json(wrong)), `"path":"priority"`)
      const described = JSON.stringify(yield* ask("/openapi.json"))
      for (const name of ["idempotency-key", "idempotency_key", "priority", "requires"]) {
        assert.include(described, `"${name}"`)
      }
    }))
})

describe("The history", () => {
  it.live("is listed by what is asked for, in pages", () =>
    Effect.gen(function*() {
      const { ended, ids, list, patch, send, submit } = yield* started()
      const fox = yield* submit({ ...small, prompt: "A red fox in the snow" })
      const owl = yield* submit({ ...small, override_settings: { sd_model_checkpoint: "second-model" } })
      const cat = yield* submit(small)
      for (const { id } of [fox, owl, cat]) yield* ended(id)
      yield* patch(fox.id, { starred: true, tags: ["winter", "winter"] })
      assert.deepStrictEqual(yield* ids(), [cat.id, owl.id, fox.id])
      assert.deepStrictEqual(yield* ids("?search=SNOW+fox"), [fox.id])
      assert.deepStrictEqual(yield* ids("?starred=true"), [fox.id])
      assert.deepStrictEqual(yield* ids("?starred=false"), [cat.id, owl.id])
      assert.deepStrictEqual(yield* ids("?tag=winter"), [fox.id])
      assert.deepStrictEqual(yield* ids("?model=second-model"), [owl.id])
      // The selected model, which no request and no setting names.
      assert.deepStrictEqual(yield* ids("?model=first-model"), [cat.id, fox.id])
      assert.deepStrictEqual(yield* ids("?state=failed"), [])
      assert.deepStrictEqual(yield* ids(`?from=${cat.submitted_at + 1}`), [])
      assert.include(yield* ids(`?to=${cat.submitted_at + 1}`), fox.id)
      const page = yield* list("?limit=2&state=done")
      assert.strictEqual(page.next, owl.id)
      assert.deepInclude(yield* list(`?limit=2&state=done&before=${page.next}`), { next: null })
      for (const wrong of ["?state=lost", "?starred=yes", "?limit=0", "?from=now", "?colour=red"]) {
        assert.strictEqual((yield* send(`/v1/runs${wrong}`)).status, 400, wrong)
      }
      assert.strictEqual((yield* send("/v1/runs?before=none")).status, 404)
    }))

  it.live("keeps marks, and lets ended runs be removed with their files and cancelled ones be retried", () =>
    Effect.gen(function*() {
      const { ask, ended, ids, look, patch, send, setPaused, submit } = yield* started()
      const done = yield* submit(small)
      yield* ended(done.id)
      yield* setPaused(true)
      const waiting = yield* submit({ ...small, seed: 8 })
      assert.deepInclude(yield* patch(done.id, { starred: true, tags: ["a"] }), { starred: true, tags: ["a"] })
      assert.deepInclude(yield* patch(done.id, { starred: false }), { starred: false, tags: ["a"] })
      assert.strictEqual((yield* send(`/v1/runs/${done.id}`, posted({ tags: [""] }, "PATCH"))).status, 400)
      assert.strictEqual((yield* send("/v1/runs/none", posted({}, "PATCH"))).status, 404)

      yield* send(`/v1/runs/${waiting.id}`, { method: "DELETE" })
      assert.strictEqual((yield* look(waiting.id)).status._tag, "Cancelled")
      const retried = yield* Effect.flatMap(ask(`/v1/runs/${waiting.id}/retry`, { method: "POST" }), decodeRun)
      assert.deepStrictEqual(retried.status, { _tag: "Queued", position: 0 })
      const same = yield* Effect.flatMap(ask(`/v1/runs/${done.id}/retry`, { method: "POST" }), decodeRun)
      assert.strictEqual(same.status._tag, "Done")

      const removed = yield* Effect.flatMap(
        ask("/v1/runs/remove", posted({ ids: [done.id, waiting.id, "none"] })),
        decodeIds
      )
      assert.deepStrictEqual(removed.ids, [done.id])
      assert.deepStrictEqual(yield* ids(), [waiting.id])
      assert.strictEqual((yield* send(`/v1/runs/${done.id}/images/0`)).status, 404)
      yield* setPaused(false)
      assert.strictEqual((yield* ended(waiting.id)).status._tag, "Done")
    }))
})

describe("The queue", () => {
  it.live("pauses and goes on, also after a restart", () =>
    Effect.gen(function*() {
      const dataDir = yield* data
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const { setPaused, submit } = yield* started({ stores: { dataDir } })
        assert.deepInclude(yield* setPaused(true), { paused: true, queued: 0 })
        const { id, status } = yield* submit(small)
        assert.deepStrictEqual(status, { _tag: "Queued", position: 0 })
        return id
      }))
      const { ended, look, setPaused } = yield* started({ stores: { dataDir } })
      assert.strictEqual((yield* look(id)).status._tag, "Queued")
      assert.deepInclude(yield* setPaused(false), { paused: false })
      assert.strictEqual((yield* ended(id)).status._tag, "Done")
    }))

  it.live("begins with the highest priority, and takes a run to another place", () =>
    Effect.gen(function*() {
      const { ask, ended, look, patch, setPaused, submit } = yield* started()
      yield* setPaused(true)
      const first = yield* submit(small)
      const second = yield* submit(small)
      const urgent = yield* submit({ ...small, priority: 5 })
      const position = (id: string) =>
        Effect.map(look(id), ({ status }) => status._tag === "Queued" ? status.position : -1)
      const positions = Effect.forEach([first, second, urgent], ({ id }) => position(id))
      assert.deepStrictEqual(yield* positions, [1, 2, 0])
      yield* patch(second.id, { before: first.id })
      assert.deepStrictEqual(yield* positions, [2, 1, 0])
      yield* patch(second.id, { before: null })
      assert.deepStrictEqual(yield* positions, [1, 2, 0])
      const { oldest, queued } = yield* Effect.flatMap(ask("/v1/queue"), decodeQueue)
      assert.deepStrictEqual([queued, oldest], [3, first.submitted_at])
      yield* setPaused(false)
      const all = yield* Effect.forEach([first, second, urgent], ({ id }) => ended(id))
      const beginnings = all.map(({ started_at }) => started_at ?? 0)
      assert.isTrue((beginnings[2] ?? 0) <= (beginnings[0] ?? 0) && (beginnings[0] ?? 0) <= (beginnings[1] ?? 0))
    }))

  it.live("takes turns between keys: small runs of one pass large ones of another, within a bound", () =>
    Effect.gen(function*() {
      const { send, submit } = yield* started({ server: { api_keys: ["key-of-ada", "key-of-ben"] } })
      const as = (key: string, init?: RequestInit): RequestInit => ({
        ...init,
        headers: { "content-type": "application/json", ...bearer(key) }
      })
      yield* send("/v1/queue", as("key-of-ada", posted({ paused: true }, "PATCH")))
      const large = yield* Effect.forEach([1, 2], () => submit({ ...small, steps: 10 }, bearer("key-of-ada")))
      const tiny = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], () => submit(small, bearer("key-of-ben")))
      const positions = yield* Effect.forEach([...large, ...tiny], ({ id }) =>
        Effect.gen(function*() {
          const { status } = yield* Effect.flatMap(
            Effect.flatMap(send(`/v1/runs/${id}`, as("key-of-ada")), json),
            decodeRun
          )
          return status._tag === "Queued" ? status.position : -1
        }))
      // A large one costs as much as five small ones: so many pass it at most, and then it is its turn.
      const [first = -1, second = -1, ...others] = positions
      assert.isTrue(first === 4 || first === 5, `the first large one waits for ${first}`)
      assert.strictEqual(second, 9)
      assert.deepStrictEqual(others, others.toSorted((a, b) => a - b))
    }))

  it.live("keeps a run that no worker can serve, and shows who could", () =>
    Effect.gen(function*() {
      const { ask, ended, look, submit } = yield* started()
      const picky = yield* submit({ ...small, requires: ["gpu"] })
      // Another one passes it.
      assert.strictEqual((yield* ended((yield* submit(small)).id)).status._tag, "Done")
      assert.deepStrictEqual((yield* look(picky.id)).status, { _tag: "Queued", position: 0 })
      const { queued, workers } = yield* Effect.flatMap(ask("/v1/queue"), decodeQueue)
      assert.deepStrictEqual([queued, workers.map(({ labels }) => labels)], [1, [[]]])
    }))
})

describe("Runs that share calls", () => {
  it.live("execute at once, in their order, and one that is cancelled leaves the others as they are", () =>
    Effect.gen(function*() {
      const { ask, ended, look, queue, send, setPaused, submit } = yield* started()
      yield* setPaused(true)
      const shared = { override_settings: { runs_per_call: 3 } }
      const long = yield* submit({ ...small, steps: 150, ...shared })
      const own = yield* submit({ ...small, steps: 20, ...shared })
      const next = yield* submit({ ...small, steps: 20, seed: 6, ...shared })
      const apart = yield* submit({ ...small, steps: 20 })
      const last = yield* submit({ ...small, ...shared })
      yield* setPaused(false)
      const samples = (id: string) =>
        Stream.runHead(
          Stream.filter(queue.watch(id), ({ status }) =>
            status._tag === "Running" && status.progress?.activity === "sampling" && status.progress.samplingStep > 0)
        )
      yield* Effect.forEach([long, own, next], ({ id }) => samples(id), { concurrency: "unbounded", discard: true })
      const { workers: [worker] } = yield* Effect.flatMap(ask("/v1/queue"), decodeQueue)
      assert.deepStrictEqual(worker?.runs, [long.id, own.id, next.id])
      yield* send(`/v1/runs/${long.id}`, { method: "DELETE" })
      const runs = yield* Effect.forEach([own, next, apart, last], ({ id }) => ended(id))
      assert.deepStrictEqual(runs.map(({ status }) => status._tag), ["Done", "Done", "Done", "Done"])
      assert.strictEqual((yield* look(long.id)).status._tag, "Cancelled")
      // In the order in which they came: the last one did not go before the one that shares nothing.
      const starts = runs.map(({ started_at }) => started_at ?? assert.fail("it did not start"))
      assert.deepStrictEqual(starts, starts.toSorted((a, b) => a - b))
    }))
})

describe("The metrics of a server", () => {
  it.live("count what becomes of runs, and say what the queue holds", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      yield* ended((yield* submit(small)).id)
      const waiting = yield* submit({ ...small, requires: ["gpu"] })
      yield* send(`/v1/runs/${waiting.id}`, { method: "DELETE" })
      const lines = (yield* Metrics.prometheus).split("\n")
      for (
        const line of [
          "serena_queue_taken_total 1",
          `serena_queue_ended_total{state="done"} 1`,
          `serena_queue_ended_total{state="cancelled"} 1`,
          `serena_queue_ended_total{state="failed"} 0`,
          // As the server began.
          `serena_queue_runs{state="queued"} 0`
        ]
      ) assert.include(lines, line)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("A database that fails", () => {
  it.live("is a 503 with the time to come back, and nothing is accepted", () =>
    Effect.gen(function*() {
      const dataDir = yield* data
      const { post, send } = yield* started({ stores: { dataDir } })
      const database = new DatabaseSync(`${dataDir}/runs.sqlite`)
      database.exec("DROP TABLE runs")
      database.close()
      const refused = yield* post(small)
      assert.strictEqual(refused.status, 503)
      assert.strictEqual(refused.headers.get("retry-after"), "10")
      const body = yield* json(refused)
      assert.isTrue(Predicate.isObject(body))
      assert.deepInclude(body, { _tag: "RunsUnavailable" })
      assert.notInclude(JSON.stringify(body), dataDir)
      assert.strictEqual((yield* send("/v1/runs")).status, 503)
    }))
})

describe("A run of /sdapi/v1", () => {
  it.live("is found by its task id where it asks to be kept, also after a restart", () =>
    Effect.gen(function*() {
      const dataDir = yield* data
      yield* Effect.scoped(Effect.gen(function*() {
        const { send } = yield* started({ stores: { dataDir } })
        for (const [task, durable] of [["kept", true], ["not kept", false]] as const) {
          const reply = yield* send("/sdapi/v1/txt2img", posted({ ...small, force_task_id: task, durable }))
          assert.strictEqual(reply.status, 200, yield* Effect.promise(() => reply.text()))
        }
      }))
      const { look, send } = yield* started({ stores: { dataDir } })
      const { id, status } = yield* look("kept")
      assert.strictEqual(status._tag === "Done" && status.images.length, 1)
      assert.strictEqual((yield* send(`/v1/runs/${id}/images/0`)).status, 200)
      const other = yield* look("not kept")
      assert.strictEqual(other.status._tag === "Done" && other.status.images.length, 0)
    }))
})
