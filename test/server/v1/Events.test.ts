import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as http from "node:http"
import { Run, RunEvent } from "../../../src/contract/Run.ts"
import { readMetadata } from "../../../src/images/Metadata.ts"
import { eventStream } from "../../../src/server/v1/EventStream.ts"
import { Faults, TestModel } from "../../../src/testing/index.ts"
import * as PlainEncoder from "../../../src/testing/PlainEncoder.ts"
import { listening, type ListeningOptions, posted, small } from "./listening.ts"

const decodeEvent = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(RunEvent)))
const decodeRun = Schema.decodeUnknownEffect(Schema.toCodecJson(Run))

interface Sent {
  readonly id: string
  readonly name: string
  readonly event: RunEvent
}

// Read line by line, as the standard has it, and not by the code that writes it.
const read = Effect.fnUntraced(function*(text: string) {
  return yield* Effect.forEach(
    text.split("\n\n").filter((block) => block.includes("data:")),
    Effect.fnUntraced(function*(block) {
      const field = (name: string) =>
        block.split("\n").filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))
          .join("\n")
      const sent: Sent = { id: field("id"), name: field("event"), event: yield* decodeEvent(field("data")) }
      return sent
    })
  )
})

const started = Effect.fnUntraced(function*(options?: ListeningOptions) {
  const server = yield* listening(options)
  const { send } = server
  const submit = (body: unknown) =>
    send("/v1/runs", posted(body)).pipe(
      Effect.flatMap((response) => Effect.promise(() => response.json())),
      Effect.flatMap(decodeRun)
    )
  const events = (id: string, query = "", headers: Readonly<Record<string, string>> = {}) =>
    send(`/v1/runs/${id}/events${query}`, { headers }).pipe(
      Effect.flatMap((response) => Effect.promise(() => response.text())),
      Effect.flatMap(read)
    )
  return { ...server, submit, events }
})

const slow = TestModel.make({ stepDuration: "4 millis" })

/** A model that decodes its nth image, and all later ones, only once the hold opens. */
const heldAtImage = (nth: number) => {
  const model = TestModel.make()
  const hold = Latch.makeUnsafe()
  let decoded = 0
  return {
    hold,
    model: TestModel.make({
      decode: (latent, shape) =>
        Effect.suspend(() => ++decoded < nth ? Effect.void : hold.await).pipe(
          Effect.andThen(model.decode(latent, shape))
        )
    })
  }
}

describe("A silent stream of events", () => {
  it.effect("gives a sign of life every 15 seconds", () =>
    Effect.gen(function*() {
      const { body } = yield* eventStream(Stream.never, { previews: false })
      assert.strictEqual(body._tag, "Stream")
      if (body._tag !== "Stream") return
      const fiber = yield* Effect.forkChild(Stream.runCollect(Stream.take(Stream.decodeText(body.stream), 2)))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual([...yield* Fiber.join(fiber)], [": alive\n\n", ": alive\n\n"])
    }).pipe(Effect.provide(PlainEncoder.layer)))
})

describe("GET /v1/runs/{id}/events", () => {
  it.live("tells of a run from the queue to its end, and ends there", () =>
    Effect.gen(function*() {
      const { hold, model } = heldAtImage(1)
      const { send, submit } = yield* started({ model })
      // Not at its last image, when the next one is prepared.
      yield* submit({ ...small, batch_size: 2 })
      const { id } = yield* submit({ ...small, steps: 4, batch_size: 2 })
      // The first one ends once the events of the next are asked for.
      const response = yield* send(`/v1/runs/${id}/events`)
      yield* hold.open
      const all = yield* Effect.flatMap(Effect.promise(() => response.text()), read)
      const names = all.map(({ name }) => name)
      assert.deepStrictEqual(all[0]?.event, { _tag: "Queued", position: 1 })
      assert.deepStrictEqual(names.filter((name) => name !== "step").slice(-3), ["image", "image", "done"])
      assert.strictEqual(names.at(-1), "done")
      assert.deepStrictEqual([...new Set(names)], ["queued", "step", "image", "done"])
      const ids = all.map(({ id }) => Number(id))
      assert.deepStrictEqual(ids, ids.toSorted((a, b) => a - b))
      const steps = all.flatMap(({ event }) => event._tag === "Step" ? [event.progress] : [])
      assert.deepStrictEqual(steps.map(({ fraction }) => fraction), steps.map(({ fraction }) => fraction).toSorted())
      assert.isTrue(steps.some(({ step, steps }) => step > 0 && steps === 4))
      const last = all.at(-1)?.event
      if (last?._tag === "Done") {
        assert.deepStrictEqual(
          last.images,
          all.flatMap(({ event }) => event._tag === "Image" ? [event.image] : [])
        )
      }
    }))

  it.live("sends each image once, when it is made, and gives its file while the run continues", () =>
    Effect.gen(function*() {
      const { hold, model } = heldAtImage(3)
      const { events, queue, send, submit } = yield* started({ model })
      const { id } = yield* submit({ ...small, n_iter: 3 })
      const response = yield* send(`/v1/runs/${id}/events`)
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ""
      const readUntil = (holds: () => boolean) =>
        Effect.promise(async () => {
          while (!holds()) {
            const chunk = await reader?.read()
            if (chunk === undefined || chunk.done) return
            text += chunk.value
          }
        })
      const imagesOf = (all: ReadonlyArray<Sent>) =>
        all.flatMap(({ event }) => event._tag === "Image" ? [event.image] : [])
      yield* readUntil(() => text.includes(`/images/1"`) && text.endsWith("\n\n"))
      const early = imagesOf(yield* read(text))
      assert.deepStrictEqual(early.map(({ index }) => index), [0, 1])
      assert.isUndefined(Option.getOrUndefined(yield* queue.get(id))?.endedAt)
      const file = (index: number) =>
        Effect.flatMap(send(`/v1/runs/${id}/images/${index}`), (answer) =>
          Effect.promise(async () => ({
            status: answer.status,
            etag: answer.headers.get("etag"),
            bytes: new Uint8Array(await answer.arrayBuffer())
          })))
      const files = yield* Effect.all([file(0), file(1)])
      assert.deepStrictEqual(files.map(({ bytes, status }) => [status, bytes.length]), early.map((i) => [200, i.bytes]))
      assert.strictEqual((yield* file(2)).status, 404)

      yield* hold.open
      yield* readUntil(() => false)
      const all = yield* read(text)
      const last = all.at(-1)?.event
      assert.strictEqual(last?._tag, "Done")
      if (last?._tag !== "Done") return
      assert.deepStrictEqual(imagesOf(all), last.images)
      assert.deepStrictEqual(last.images.slice(0, 2), early)
      assert.deepStrictEqual(yield* events(id), all)
      assert.deepStrictEqual(yield* Effect.all([file(0), file(1)]), files)
    }))

  it.live("tells those who wait that they have moved up, whichever door the others came through", () =>
    Effect.gen(function*() {
      const { queue, send, submit } = yield* started({ model: slow })
      const first = yield* submit({ ...small, steps: 150 })
      assert.strictEqual(first.request._tag, "Txt2Img")
      if (first.request._tag !== "Txt2Img") return
      const other = yield* queue.submit(first.request, { client: "address:127.0.0.1" })
      const { id } = yield* submit(small)
      const response = yield* send(`/v1/runs/${id}/events`)
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ""
      const readUntil = (holds: () => boolean) =>
        Effect.promise(async () => {
          while (!holds()) {
            const chunk = await reader?.read()
            if (chunk === undefined || chunk.done) return
            text += chunk.value
          }
        })
      yield* readUntil(() => text.includes("queued"))
      yield* queue.cancel(other.run.id)
      yield* readUntil(() => text.includes(`"position":1`))
      yield* queue.cancel(first.id)
      yield* readUntil(() => false)
      const all = yield* read(text)
      assert.deepStrictEqual(all.flatMap(({ event }) => event._tag === "Queued" ? [event.position] : []).slice(0, 2), [
        2,
        1
      ])
      assert.strictEqual(all.at(-1)?.name, "done")
    }))

  it.live("goes on after the event that a client saw last, by header or by query", () =>
    Effect.gen(function*() {
      const { events, submit } = yield* started({ model: slow })
      const { id } = yield* submit({ ...small, steps: 8 })
      const all = yield* events(id)
      for (const seen of [1, 3, all.length - 1]) {
        assert.deepStrictEqual(yield* events(id, "", { "last-event-id": String(seen) }), all.slice(seen))
        assert.deepStrictEqual(yield* events(id, `?last_event_id=${seen}`), all.slice(seen))
      }
      // What is no number is the beginning.
      assert.deepStrictEqual(yield* events(id, "", { "last-event-id": "-1" }), all)
      assert.deepStrictEqual(yield* events(id, "", { "last-event-id": "x" }), all)
    }))

  it.live("sends nothing, and has an EventSource stay away, after the last event", () =>
    Effect.gen(function*() {
      const { events, send, submit } = yield* started()
      const { id } = yield* submit(small)
      const last = (yield* events(id)).at(-1)?.id ?? ""
      const response = yield* send(`/v1/runs/${id}/events`, { headers: { "last-event-id": last } })
      assert.strictEqual(response.status, 204)
    }))

  it.live("forgets the oldest events of a long run, and keeps the last", () =>
    Effect.gen(function*() {
      const { events, submit } = yield* started({ model: TestModel.make({ stepDuration: "1 millis" }) })
      const { id } = yield* submit({ ...small, width: 8, height: 8, steps: 150, n_iter: 5, save: false })
      yield* events(id)
      const kept = yield* events(id)
      assert.isAtMost(kept.length, 256)
      assert.strictEqual(kept.at(-1)?.name, "done")
      const ids = kept.map(({ id }) => Number(id))
      assert.deepStrictEqual(ids, ids.map((_, i) => (ids[0] ?? 0) + i))
    }))

  it.live("brings previews to those who ask, and to no one else", () =>
    Effect.gen(function*() {
      const { events, submit } = yield* started({ model: slow, opts: { show_progress_every_n_steps: 1 } })
      const { id } = yield* submit({ ...small, steps: 150 })
      const [without, withThem] = yield* Effect.all([events(id), events(id, "?previews=true")], { concurrency: 2 })
      const previews = (all: ReadonlyArray<Sent>) =>
        all.flatMap(({ event }) => event._tag === "Step" && event.preview !== null ? [event.preview] : [])
      assert.deepStrictEqual(previews(without), [])
      assert.isAtLeast(previews(withThem).length, 2)
      for (const { png } of previews(withThem)) {
        // Only a whole file has its texts read.
        assert.isUndefined((yield* readMetadata(Buffer.from(png, "base64"))).infotext)
      }
    }))

  it.live("does not cancel the run when its reader leaves", () =>
    Effect.gen(function*() {
      const { events, queue, submit, url } = yield* started({ model: slow })
      const { id } = yield* submit({ ...small, steps: 30 })
      yield* Effect.callback<void>((resume) => {
        const request = http.get(`${url}/v1/runs/${id}/events`, { agent: false }, (response) => {
          response.once("data", () => {
            request.destroy()
            resume(Effect.void)
          })
        })
        request.on("error", () => {})
      })
      yield* Stream.runDrain(queue.watch(id))
      assert.strictEqual((yield* events(id)).at(-1)?.name, "done")
    }))

  it.live("is neither kept nor compressed on the way", () =>
    Effect.gen(function*() {
      const { send, submit } = yield* started()
      const { id } = yield* submit(small)
      const { headers, body } = yield* send(`/v1/runs/${id}/events`, { headers: { "accept-encoding": "gzip" } })
      assert.deepStrictEqual(
        ["content-type", "cache-control", "content-encoding", "x-accel-buffering"].map((name) => headers.get(name)),
        ["text/event-stream", "no-store, no-transform", null, "no"]
      )
      yield* Effect.promise(async () => body?.cancel())
    }))

  it.live("ends with what went wrong, or with the cancellation", () =>
    Effect.gen(function*() {
      const failing = yield* started({ faults: [Faults.die("execute", new Error("secret"))] })
      const failed = yield* failing.submit(small)
      const last = (yield* failing.events(failed.id)).at(-1)
      assert.strictEqual(last?.name, "failed")
      assert.notInclude(JSON.stringify(last), "secret")

      const { events, queue, submit } = yield* started({ model: slow })
      const { id } = yield* submit({ ...small, steps: 100 })
      yield* queue.cancel(id)
      assert.deepStrictEqual((yield* events(id)).at(-1)?.event, { _tag: "Cancelled", images: [] })
    }))

  it.live("tells the end of runs that came through another door", () =>
    Effect.gen(function*() {
      const { events, send } = yield* started()
      yield* send("/sdapi/v1/txt2img", posted({ ...small, force_task_id: "theirs" }))
      assert.deepStrictEqual((yield* events("theirs")).at(-1)?.event, {
        _tag: "Done",
        interrupted: false,
        images: [],
        extras: [],
        warnings: []
      })
    }))
})
