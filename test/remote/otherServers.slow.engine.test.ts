import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as http from "node:http"
import { requireLoaded } from "../../src/model/LoadedModel.ts"
import { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { RunnerHooks } from "../../src/runner/RunnerHooks.ts"
import { Runs } from "../../src/runner/Runs.ts"
import { RuntimeContext } from "../../src/runner/RuntimeContext.ts"
import { SavedImages, TestModel, TestRuntime } from "../../src/testing/index.ts"
import { file, rectangle, slopes } from "../diffusion/pictures.ts"
import { listening } from "../server/v1/listening.ts"
import { remoteTo } from "./remote.ts"

const cat = Txt2Img.make({ prompt: "a cat", seed: 7, steps: 3, width: 64, height: 64 })

interface Answer {
  readonly status?: number
  readonly body: unknown
}

/** A server that is not ours, answering by path, or one answer after the other; what it was asked is written down. */
const foreign = Effect.fnUntraced(function*(answers: Readonly<Record<string, Answer | ReadonlyArray<Answer>>>) {
  const asked: Array<{ readonly path: string; readonly body: string }> = []
  const server = http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const path = (request.url ?? "").split("?")[0] ?? ""
      const before = asked.filter((other) => other.path === path).length
      asked.push({ path, body: Buffer.concat(chunks).toString() })
      const answer = [answers[path] ?? []].flat()
      const { body, status = 200 } = answer[before] ?? answer.at(-1) ?? { status: 404, body: { detail: "Not Found" } }
      response.writeHead(status, { "content-type": "application/json" })
      response.end(typeof body === "string" ? body : JSON.stringify(body))
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => server.closeAllConnections())
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
  return { url: `http://127.0.0.1:${port}`, asked }
})

const options = { body: { sd_model_checkpoint: "anything-v5.safetensors [7f96a1a9ca]" } }

const failing = (url: string, processing = cat, auth?: { readonly user: string; readonly password: string }) =>
  Effect.flip(Effect.provide(processImages(processing), remoteTo({ url, auth })))

describe("A run on another server", () => {
  it.live(
    "gives the bytes of the library, of one image, a grid, a second pass, an image to start from, a mask",
    () =>
      Effect.gen(function*() {
        const { url } = yield* listening()
        const picture = yield* file(slopes())
        const mask = yield* file(rectangle([16, 16, 40, 48]))
        for (
          const processing of [
            cat,
            { ...cat, batch_size: 2, n_iter: 2, sampler_name: "DPM++ 2M SDE Karras" },
            { ...cat, negative_prompt: "a dog", subseed: 3, subseed_strength: 0.25, cfg_scale: 4.5 },
            { ...cat, enable_hr: true, hr_scale: 2, hr_upscaler: "Lanczos" },
            Img2Img.make({ prompt: "a cat", seed: 1, steps: 4, width: 64, height: 64, init_images: [picture] }),
            Img2Img.make({ prompt: "a cat", seed: 1, steps: 4, width: 64, height: 64, init_images: [picture], mask })
          ]
        ) {
          const there = yield* Effect.provide(processImages(processing), remoteTo({ url }))
          const here = yield* Effect.provide(processImages(processing), TestRuntime.layer())
          assert.deepStrictEqual(
            there.images.map(({ infotext }) => infotext),
            here.images.map(({ infotext }) => infotext)
          )
          assert.deepStrictEqual(there.images.map(({ bytes }) => bytes), here.images.map(({ bytes }) => bytes))
          assert.deepStrictEqual(there.images.map(({ pixels }) => pixels), here.images.map(({ pixels }) => pixels))
          assert.deepStrictEqual(
            there.extraImages.map(({ bytes }) => bytes),
            here.extraImages.map(({ bytes }) => bytes)
          )
        }
      }),
    20_000
  )

  it.live("takes along the settings that are not as they come, and leaves those of files here", () =>
    Effect.gen(function*() {
      const { url } = yield* listening()
      const layer = remoteTo({ url, options: { CLIP_stop_at_last_layers: 2, randn_source: "NV", samples_save: false } })
      const { images: [image] } = yield* Effect.provide(processImages(cat), layer)
      assert.match(image?.infotext ?? "", /Clip skip: 2.*RNG: NV/)
      assert.isUndefined(image?.path)
    }))

  it.live("gives masks and composites when they are asked for", () =>
    Effect.gen(function*() {
      const { url } = yield* listening()
      const picture = yield* file(slopes())
      const mask = yield* file(rectangle([16, 16, 40, 48]))
      const { extraImages, images } = yield* Effect.provide(
        processImages(Img2Img.make({
          seed: 1,
          steps: 3,
          width: 64,
          height: 64,
          batch_size: 2,
          init_images: [picture],
          mask,
          override_settings: { return_mask: true, return_mask_composite: true }
        })),
        remoteTo({ url, options: { return_grid: false } })
      )
      assert.strictEqual(images.length, 2)
      assert.deepStrictEqual(extraImages.map(({ index, kind }) => [kind, index]), [
        ["mask", 0],
        ["mask composite", 0],
        ["mask", 1],
        ["mask composite", 1]
      ])
    }))

  it.live("shows previews of what is made there", () =>
    Effect.gen(function*() {
      const { url } = yield* listening({
        model: TestModel.make({ stepDuration: "10 millis" }),
        opts: { show_progress_every_n_steps: 1 }
      })
      yield* Effect.gen(function*() {
        const runs = yield* Runs
        const fiber = yield* Effect.forkChild(processImages({ ...cat, steps: 40 }, { runId: "r1" }))
        const seen = yield* Stream.runHead(Stream.filter(runs.watch("r1"), ({ preview }) => preview !== undefined))
        const progress = seen._tag === "Some" ? seen.value : undefined
        assert.strictEqual(
          progress?.preview?.pixels.length,
          (progress?.preview?.width ?? 0) * (progress?.preview?.height ?? 0) * 3
        )
        assert.strictEqual(progress?.samplingSteps, 40)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(remoteTo({ url })))
    }))

  it.live("frees the server's queue when its caller goes away", () =>
    Effect.gen(function*() {
      const { queue, url } = yield* listening({ model: TestModel.make({ stepDuration: "10 millis" }) })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(processImages({ ...cat, steps: 100 }, { runId: "r1" }))
        yield* Stream.runHead(Stream.filter((yield* Runs).watch("r1"), ({ samplingStep }) => samplingStep > 0))
        yield* Fiber.interrupt(fiber)
        const ended = yield* Stream.runLast(queue.watch("r1"))
        assert.isTrue(ended._tag === "Some" && ended.value.endedAt !== undefined)
      }).pipe(Effect.provide(remoteTo({ url })))
    }))

  it.live("passes an interruption on, also of a run that still waits there", () =>
    Effect.gen(function*() {
      const { queue, url } = yield* listening({ model: TestModel.make({ stepDuration: "10 millis" }) })
      const first = yield* queue.submit({ ...cat, steps: 60 })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(processImages({ ...cat, steps: 60 }, { runId: "r1" }))
        yield* Stream.runHead(
          Stream.fromEffectRepeat(queue.get("r1")).pipe(Stream.filter(({ _tag }) => _tag === "Some"))
        )
        const [run] = yield* (yield* Runs).list
        yield* run?.interrupt ?? Effect.void
        const processed = yield* Fiber.join(fiber)
        assert.deepStrictEqual([processed.images.length, processed.interrupted], [0, true])
      }).pipe(Effect.provide(remoteTo({ url })))
      yield* queue.cancel(first.run.id)
    }))

  it.live("shows hooks what is known of the model, and says that its networks are elsewhere", () =>
    Effect.gen(function*() {
      const { url } = yield* listening()
      const seen: Array<unknown> = []
      const hooks = RunnerHooks.layer({
        onPrepare: () =>
          Effect.gen(function*() {
            const { model } = yield* RuntimeContext
            seen.push(model, (yield* Effect.flip(requireLoaded(model))).message)
          }).pipe(Effect.orDie)
      })
      yield* Effect.provide(processImages(cat), remoteTo({ url, hooks }))
      const [model, message] = seen
      assert.deepStrictEqual(model, { name: url, defaultSize: { width: 64, height: 64 }, sizeMultiple: 8 })
      assert.match(String(message), /on another server/)
    }))
})

describe("A server that cannot", () => {
  it.live("is reported when it does not answer", () =>
    Effect.gen(function*() {
      const error = yield* failing("http://127.0.0.1:9")
      assert.strictEqual(error._tag, "RemoteServerError")
      assert.match(error.message, /http:\/\/127\.0\.0\.1:9 does not answer: .*ECONNREFUSED.* Check the address/)
    }))

  it.live("is reported when it wants a sign-in, and serves those who are known", () =>
    Effect.gen(function*() {
      const { url } = yield* listening({ server: { api_auth: ["ada:secret"] } })
      const error = yield* failing(url)
      assert.deepInclude(error, { _tag: "RemoteServerError", kind: "unauthorized", status: 401 })
      const wrong = yield* failing(url, cat, { user: "ada", password: "wrong" })
      assert.match(wrong.message, /Incorrect username or password/)
      const { images } = yield* Effect.provide(
        processImages(cat),
        remoteTo({ url, auth: { user: "ada", password: "secret" } })
      )
      assert.strictEqual(images.length, 1)
    }))

  it.live("is reported with every problem that it names", () =>
    Effect.gen(function*() {
      const { url } = yield* foreign({
        "/sdapi/v1/options": options,
        "/sdapi/v1/txt2img": {
          status: 422,
          body: {
            detail: [
              { loc: ["body", "steps"], msg: "value is not a valid integer", type: "type_error.integer" },
              { loc: ["body", "script_args"], msg: "none is not an allowed value", type: "x" }
            ]
          }
        }
      })
      const error = yield* failing(url)
      assert.deepInclude(error, { kind: "refused", status: 422 })
      assert.include(error.message, "steps: value is not a valid integer; script_args: none is not an allowed value")
    }))

  it.live("is reported with what it failed of", () =>
    Effect.gen(function*() {
      const { url } = yield* foreign({
        "/sdapi/v1/options": options,
        "/sdapi/v1/txt2img": {
          status: 500,
          body: { error: "OutOfMemoryError", detail: "", body: "", errors: "CUDA out of memory." }
        }
      })
      const error = yield* failing(url)
      assert.deepInclude(error, { kind: "failed", status: 500, reason: "CUDA out of memory" })
    }))

  it.live("is reported when it is none of this API", () =>
    Effect.gen(function*() {
      const other = yield* foreign({})
      assert.deepInclude(yield* failing(other.url), { kind: "unreadable", status: 404 })
      const page = yield* foreign({ "/sdapi/v1/options": { body: "<html>Welcome</html>" } })
      assert.deepInclude(yield* failing(page.url), { kind: "unreadable" })
      const broken = yield* foreign({
        "/sdapi/v1/options": options,
        "/sdapi/v1/txt2img": { body: { images: ["?"], info: "no JSON" } }
      })
      assert.deepInclude(yield* failing(broken.url), { kind: "unreadable" })
    }))
})

/** A reply with one image. */
const reply = (image: Uint8Array, seed: number) => ({
  body: {
    images: [Base64.encode(image)],
    info: JSON.stringify({
      infotexts: [`image of ${seed}`],
      all_prompts: ["a cat"],
      all_negative_prompts: [""],
      all_seeds: [seed],
      all_subseeds: [seed],
      index_of_first_image: 0
    })
  }
})

describe("A run of several batches on another server", () => {
  it.live("asks for one batch after the other, each with its seeds, and waits where others are before it", () =>
    Effect.gen(function*() {
      const images = yield* Effect.forEach([9, 18, 27], (side) => file(rectangle([0, 0, side, side])))
      const [one, two, three] = images.map((image, i) => reply(image, 7 + i))
      const full = { status: 429, body: { detail: "Too many requests" } }
      const { asked, url } = yield* foreign({
        "/sdapi/v1/options": options,
        "/sdapi/v1/txt2img": [one, full, two, three].flatMap((answer) => answer ?? [])
      })
      const processed = yield* Effect.provide(
        processImages({ ...cat, n_iter: 3 }, { runId: "r1" }),
        remoteTo({ url, options: { return_grid: false } })
      )
      assert.deepStrictEqual(processed.images.map(({ bytes }) => bytes), images)
      assert.deepStrictEqual(processed.images.map(({ infotext, seed }) => [infotext, seed]), [
        ["image of 7", 7],
        ["image of 8", 8],
        ["image of 9", 9]
      ])
      const requests = asked.filter(({ path }) => path.endsWith("txt2img")).map(({ body }) => JSON.parse(body))
      assert.deepStrictEqual(
        requests.map(({ force_task_id, n_iter, seed }) => [force_task_id, n_iter, seed]),
        [["r1-1", 1, 7], ["r1-2", 1, 8], ["r1-2", 1, 8], ["r1-3", 1, 9]]
      )
    }))

  it.live("has saved what came before the server failed", () =>
    Effect.gen(function*() {
      const image = yield* file(slopes())
      const { url } = yield* foreign({
        "/sdapi/v1/options": options,
        "/sdapi/v1/txt2img": [reply(image, 7), { status: 500, body: { detail: "CUDA out of memory" } }]
      })
      yield* Effect.gen(function*() {
        const error = yield* Effect.flip(processImages({ ...cat, n_iter: 3 }))
        assert.deepInclude(error, { _tag: "RemoteServerError", kind: "failed" })
        const { files } = yield* SavedImages
        assert.deepStrictEqual([...(yield* files).values()], [image])
      }).pipe(Effect.provide(remoteTo({ url })))
    }))

  it.live("ends after the batch when it is asked to stop", () =>
    Effect.gen(function*() {
      const { url } = yield* listening({ model: TestModel.make({ stepDuration: "10 millis" }) })
      yield* Effect.gen(function*() {
        const runs = yield* Runs
        const fiber = yield* Effect.forkChild(processImages({ ...cat, n_iter: 5 }, { runId: "r1" }))
        yield* Stream.runHead(Stream.filter(runs.watch("r1"), ({ activity }) => activity === "sampling"))
        const [run] = yield* runs.list
        yield* run?.stop ?? Effect.void
        const { images, interrupted } = yield* Fiber.join(fiber)
        assert.deepStrictEqual([images.map(({ complete }) => complete), interrupted], [[true], true])
      }).pipe(Effect.provide(remoteTo({ url })))
    }))
})

describe("A server that is a webui", () => {
  it.live("has its model named, its grid passed over, and samplers that only it knows", () =>
    Effect.gen(function*() {
      const [grid, one, two] = yield* Effect.all([file(slopes(128, 64)), file(slopes()), file(rectangle([0, 0, 9, 9]))])
      const { asked, url } = yield* foreign({
        "/sdapi/v1/options": options,
        "/sdapi/v1/samplers": { body: [{ name: "DPM++ 2M Turbo", aliases: ["k_turbo"], options: {} }] },
        "/sdapi/v1/schedulers": { body: [{ name: "turbo", label: "Turbo", aliases: null }] },
        "/sdapi/v1/txt2img": {
          body: {
            images: [grid, one, two].map((bytes) => Base64.encode(bytes)),
            parameters: {},
            info: JSON.stringify({
              infotexts: ["grid", "first", "second"],
              all_prompts: ["a cat", "a cat"],
              all_negative_prompts: ["", ""],
              all_seeds: [7, 8],
              all_subseeds: [99, 100],
              index_of_first_image: 1,
              version: "1.10.1"
            })
          }
        }
      })
      const { images, state } = yield* Effect.provide(
        processImages({ ...cat, batch_size: 2, sampler_name: "K_TURBO", scheduler: "turbo" }),
        remoteTo({ url, options: { return_grid: false, CLIP_stop_at_last_layers: 2 } })
      )
      assert.deepStrictEqual(images.map(({ infotext }) => infotext), ["first", "second"])
      assert.deepStrictEqual(images.map(({ subseed }) => subseed), [99, 100])
      assert.deepStrictEqual(images.map(({ bytes }) => bytes), [one, two])
      assert.deepStrictEqual(state.model, {
        name: "anything-v5",
        hash: "7f96a1a9ca",
        isInpainting: undefined,
        isEditing: undefined
      })
      const sent: unknown = JSON.parse(asked.find(({ path }) => path.endsWith("txt2img"))?.body ?? "{}")
      assert.deepInclude(sent, {
        sampler_name: "DPM++ 2M Turbo",
        scheduler: "Turbo",
        save_images: false,
        seed: 7,
        batch_size: 2,
        override_settings: { CLIP_stop_at_last_layers: 2 }
      })
    }))
})
