import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as http from "node:http"
import { Client, Img2Img, InferenceError, Txt2Img } from "../../src/client/index.ts"
import * as FileSignature from "../../src/images/FileSignature.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { Faults, SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"
import { file, slopes } from "../diffusion/pictures.ts"
import { listening, type ListeningOptions, small } from "../server/v1/listening.ts"

const started = Effect.fnUntraced(function*(options?: ListeningOptions, auth?: Client.ClientOptions["auth"]) {
  const server = yield* listening(options)
  return { ...server, client: yield* Client.make({ url: server.url, auth }) }
})

const cat = Txt2Img.make(small)
const slow = TestModel.make({ stepDuration: "4 millis" })

describe("A client", () => {
  it.live("makes the images of the library", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      const picture = yield* file(slopes())
      for (
        const processing of [
          { ...cat, batch_size: 2 },
          Img2Img.make({ ...small, init_images: [picture], override_settings: { CLIP_stop_at_last_layers: 2 } })
        ]
      ) {
        const { id, images } = yield* client.generate(processing)
        const files = yield* Effect.forEach(images, ({ index }) => client.image(id, index))
        const library = yield* Effect.provide(processImages(processing), TestRuntime.layer())
        assert.deepStrictEqual(files, library.images.map(({ bytes }) => bytes))
        assert.deepStrictEqual(images.map(({ infotext }) => infotext), library.images.map(({ infotext }) => infotext))
      }
    }))

  it.live("submits, looks, lists, follows, interrupts, cancels", () =>
    Effect.gen(function*() {
      const { client } = yield* started({ model: slow })
      const run = yield* client.submit({ ...cat, steps: 100 }, { taskId: "first", save: false })
      const waiting = yield* client.submit(cat)
      assert.strictEqual((yield* client.run("first")).id, run.id)
      assert.deepStrictEqual((yield* client.list({ limit: 5 })).runs.map(({ id }) => id), [waiting.id, run.id])
      assert.deepStrictEqual((yield* client.cancel(waiting.id)).status, { _tag: "Cancelled", images: [] })
      yield* client.events(run.id).pipe(
        Stream.filter(({ event }) => event._tag === "Step" && event.progress.step > 0),
        Stream.runHead
      )
      assert.deepInclude(yield* client.status, { running: 1, runs: [run.id] })
      yield* client.interrupt(run.id)
      const last = yield* Stream.runLast(client.events(run.id))
      assert.isTrue(last._tag === "Some" && last.value.event._tag === "Done" && last.value.event.interrupted)
    }))

  it.live("submits a request once only, finds and marks runs, retries and removes them, and pauses the queue", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      const fox = yield* client.generate({ ...cat, prompt: "a red fox" })
      assert.deepInclude(yield* client.setQueue({ paused: true }), { paused: true, queued: 0 })
      const once = { idempotencyKey: "once", priority: 3, requires: ["gpu"] }
      const run = yield* client.submit(cat, once)
      assert.strictEqual((yield* client.submit(cat, once)).id, run.id)
      assert.strictEqual(run.priority, 3)
      const other = yield* client.submit(cat, { priority: 3 })
      yield* client.update(other.id, { before: run.id, starred: true, tags: ["pet"] })
      assert.deepInclude((yield* client.run(run.id)).status, { position: 1 })
      const found = (query: Client.ListQuery) => Effect.map(client.list(query), ({ runs }) => runs.map(({ id }) => id))
      assert.deepStrictEqual(yield* found({ search: "fox", state: "done" }), [fox.id])
      assert.deepStrictEqual(yield* found({ starred: true, tag: "pet" }), [other.id])
      assert.deepStrictEqual(yield* found({ starred: false, from: run.submitted_at }), [run.id])
      yield* client.cancel(run.id)
      assert.strictEqual((yield* client.retry(run.id)).status._tag, "Queued")
      assert.deepStrictEqual(yield* client.remove([fox.id, run.id]), [fox.id])
      const { paused, queued, workers } = yield* client.queue
      assert.deepStrictEqual([paused, queued, workers.length], [true, 2, 1])
    }))

  it.live("asks for what there is", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      assert.deepStrictEqual((yield* client.models).map(({ name }) => name), ["first-model", "second-model"])
      assert.include((yield* client.samplers).map(({ name }) => name), "Euler a")
      assert.include((yield* client.schedulers).map(({ label }) => label), "Karras")
      assert.include((yield* client.upscalers).map(({ name }) => name), "Lanczos")
      assert.include((yield* client.preprocessors).map(({ name }) => name), "canny")
      const image = yield* file(slopes())
      const map = yield* client.preprocess({ image, module: "canny", processor_res: 64 })
      assert.strictEqual(FileSignature.sniff(map), "png")
      const wrong = yield* Effect.flip(client.preprocess({ image, module: "nothing" }))
      assert.strictEqual(wrong._tag === "InvalidProcessing" && wrong.problems[0]?.path, "module")
      assert.deepStrictEqual(yield* client.styles, [])
      const { prompt: { tokens } } = yield* client.countTokens({ prompt: "a cat" })
      assert.strictEqual(tokens, 2)
      assert.strictEqual((yield* client.limits).max_width, 2048)
      assert.strictEqual((yield* client.setOptions({ CLIP_stop_at_last_layers: 2 })).CLIP_stop_at_last_layers, 2)
      assert.strictEqual((yield* client.options).CLIP_stop_at_last_layers, 2)
      const { id } = yield* client.generate(cat)
      assert.deepInclude((yield* client.pngInfo(yield* client.image(id, 0))).request, { prompt: "a cat", seed: 5 })
    }))

  it.live("gets every error as the value that it was", () =>
    Effect.gen(function*() {
      const { client } = yield* started({
        model: slow,
        server: { queue: 0 },
        faults: [Faults.fail("finalize", new InferenceError({ file: "vae", reason: "out of memory" }))]
      })
      const failed = yield* Effect.flip(client.generate(cat))
      assert.deepStrictEqual(failed, new InferenceError({ file: "vae", reason: "out of memory" }))
      const wrong = yield* Effect.flip(client.submit({ ...cat, width: 100_000, steps: 9999 }))
      assert.strictEqual(wrong._tag, "InvalidProcessing")
      if (wrong._tag === "InvalidProcessing") {
        assert.deepStrictEqual(wrong.problems.map(({ path }) => path), ["steps", "width"])
      }
      assert.strictEqual((yield* Effect.flip(client.run("nobody")))._tag, "RunNotFound")
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(client.events("nobody"))))._tag, "RunNotFound")
      const run = yield* client.submit({ ...cat, steps: 100 })
      assert.strictEqual((yield* Effect.flip(client.image(run.id, 0)))._tag, "ImageNotFound")
      const full = yield* Effect.flip(client.submit(cat))
      assert.isTrue(full._tag === "QueueFull" && full.retryAfter >= 1)
      yield* client.cancel(run.id)
      const options = yield* Effect.flip(client.pngInfo(new Uint8Array([1])))
      assert.strictEqual(options._tag, "ImageCodecError")
    }))

  it.live("says what to do when the server is not there, is another's, or wants a sign-in", () =>
    Effect.gen(function*() {
      const away = yield* Effect.flip((yield* Client.make({ url: "http://127.0.0.1:9" })).status)
      assert.deepInclude(away, { _tag: "ConnectionError", url: "http://127.0.0.1:9" })
      const { url } = yield* listening({ server: { api_auth: ["ada:secret"] } })
      const other = yield* Effect.flip((yield* Client.make({ url: `${url}/docs` })).status)
      assert.strictEqual(other._tag, "UnexpectedReply")
      const stranger = yield* Effect.flip((yield* Client.make({ url })).status)
      assert.strictEqual(stranger._tag, "Unauthorized")
      const known = yield* Client.make({ url, auth: { user: "ada", password: "secret" } })
      assert.isTrue((yield* known.status).accepting)
      const { url: keyed } = yield* listening({ server: { api_keys: ["key-of-ada"] } })
      assert.isTrue((yield* (yield* Client.make({ url: keyed, auth: { key: "key-of-ada" } })).status).accepting)
    }))

  it.live("cancels its run when the fiber that waits for it is interrupted", () =>
    Effect.gen(function*() {
      const { client, queue } = yield* started({ model: slow })
      const fiber = yield* Effect.forkChild(client.generate({ ...cat, steps: 100 }, { taskId: "mine" }))
      yield* Stream.runHead(
        Stream.filter(Stream.fromEffectRepeat(queue.get("mine")), (run) =>
          run._tag === "Some" && run.value.status._tag === "Running")
      )
      yield* Fiber.interrupt(fiber)
      yield* Stream.runDrain(queue.watch("mine"))
      assert.deepStrictEqual((yield* client.run("mine")).status, { _tag: "Cancelled", images: [] })
    }))

  it.live("goes on where it was when its connection breaks", () =>
    Effect.gen(function*() {
      const { port, url } = yield* listening({ model: slow }).pipe(
        Effect.map(({ url }) => ({ url, port: new URL(url).port }))
      )
      // A proxy that lets few bytes of events through each time, then breaks off.
      const asked: Array<string | undefined> = []
      const proxy = http.createServer((request, response) => {
        const isEvents = request.url?.includes("/events") === true
        const from = request.headers["last-event-id"]
        if (isEvents) asked.push(Array.isArray(from) ? from[0] : from)
        const onward = http.request(
          {
            port,
            host: "127.0.0.1",
            path: request.url,
            method: request.method,
            headers: request.headers,
            agent: false
          },
          (reply) => {
            response.writeHead(reply.statusCode ?? 500, reply.headers)
            reply.on("data", (chunk: Buffer) => {
              response.write(chunk)
              if (isEvents && asked.length <= 3) setImmediate(() => response.destroy())
            })
            reply.on("end", () => response.end())
            reply.on("error", () => response.destroy())
          }
        )
        onward.on("error", () => response.destroy())
        response.on("close", () => onward.destroy())
        request.pipe(onward)
      })
      const at = yield* Effect.acquireRelease(
        Effect.callback<string>((resume) => {
          proxy.listen(0, "127.0.0.1", () => {
            const address = proxy.address()
            resume(Effect.succeed(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`))
          })
        }),
        () =>
          Effect.sync(() => {
            proxy.closeAllConnections()
            proxy.close()
          })
      )
      const through = yield* Client.make({ url: at })
      const direct = yield* Client.make({ url })
      const { id } = yield* through.submit({ ...cat, steps: 40 })
      const seen = yield* Stream.runCollect(through.events(id))
      const all = yield* Stream.runCollect(direct.events(id))
      const ids = seen.map(({ id }) => Number(id))
      assert.isAbove(asked.length, 3)
      assert.deepStrictEqual(ids, ids.toSorted((a, b) => a - b))
      assert.strictEqual(new Set(ids).size, ids.length)
      assert.deepStrictEqual(seen.at(-1)?.event, all.at(-1)?.event)
      assert.deepStrictEqual(seen.map(({ id }) => id), all.map(({ id }) => id))
    }))

  it.live("has the server write files when it is asked to", () =>
    Effect.gen(function*() {
      const { client, context } = yield* started()
      const { files } = Context.get(context, SavedImages)
      yield* client.generate(cat, { save: false })
      assert.strictEqual((yield* files).size, 0)
      yield* client.generate(cat, { save: true })
      assert.strictEqual((yield* files).size, 1)
    }))
})
