import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Run, RunList } from "../../../src/contract/Run.ts"
import { Problem } from "../../../src/core/Problem.ts"
import { ImageDecoder } from "../../../src/images/ImageDecoder.ts"
import { InferenceError } from "../../../src/model/ModelError.ts"
import { Limits } from "../../../src/processing/Limits.ts"
import { Img2Img, Txt2Img } from "../../../src/processing/Processing.ts"
import { processImages } from "../../../src/runner/processImages.ts"
import { Faults, ModelFaults, SavedImages, TestModel, TestRuntime } from "../../../src/testing/index.ts"
import { file, rectangle, slopes } from "../../diffusion/pictures.ts"
import { listening, type ListeningOptions, posted, small } from "./listening.ts"

const decodeRun = Schema.decodeUnknownEffect(Schema.toCodecJson(Run))
const decodeList = Schema.decodeUnknownEffect(Schema.toCodecJson(RunList))

const json = (response: Response): Effect.Effect<unknown> => Effect.promise(() => response.json())
const bytes = (response: Response) => Effect.promise(async () => new Uint8Array(await response.arrayBuffer()))

const started = Effect.fnUntraced(function*(options?: ListeningOptions) {
  const server = yield* listening(options)
  const { queue, send } = server
  const submit = Effect.fnUntraced(function*(body: unknown) {
    const response = yield* send("/v1/runs", posted(body))
    return { response, run: yield* Effect.flatMap(json(response), decodeRun) }
  })
  const look = (id: string) => Effect.flatMap(Effect.flatMap(send(`/v1/runs/${id}`), json), decodeRun)
  const ended = (id: string) => Effect.andThen(Stream.runDrain(queue.watch(id)), look(id))
  return { ...server, submit, look, ended }
})

const slow = { model: TestModel.make({ stepDuration: "10 millis" }) }

const decodeProblems = Schema.decodeUnknownEffect(Schema.Struct({ problems: Schema.Array(Problem) }))

describe("POST /v1/runs", () => {
  it.live("answers at once, and the run goes on by itself", () =>
    Effect.gen(function*() {
      const { ended, submit } = yield* started(slow)
      const { response, run } = yield* submit({ ...small, steps: 5, task_id: "mine" })
      assert.strictEqual(response.status, 202)
      assert.deepStrictEqual([run.task_id, run.status._tag, run.ended_at], ["mine", "Running", null])
      const end = yield* ended(run.id)
      assert.strictEqual(end.status._tag, "Done")
      assert.strictEqual((yield* ended("mine")).id, run.id)
      if (end.status._tag === "Done") {
        assert.deepInclude(end.status.images[0], {
          index: 0,
          url: `/v1/runs/${run.id}/images/0`,
          seed: 5,
          width: 64,
          height: 64,
          format: "png",
          complete: true
        })
      }
    }))

  it.live("tells of those who wait how many are before them", () =>
    Effect.gen(function*() {
      const { queue, submit } = yield* started(slow)
      const first = yield* submit({ ...small, steps: 100 })
      const second = yield* submit(small)
      const third = yield* submit(small)
      assert.deepStrictEqual([second.run.status, third.run.status], [
        { _tag: "Queued", position: 1 },
        { _tag: "Queued", position: 2 }
      ])
      yield* queue.cancel(first.run.id)
    }))

  it.live("names every problem of a request at once", () =>
    Effect.gen(function*() {
      const { send } = yield* started()
      const response = yield* send(
        "/v1/runs",
        posted({
          steps: "x",
          width: 3,
          height: 100_000,
          save: "yes",
          task_id: "",
          override_settings: { nope: 1, outdir_samples: "/etc" }
        })
      )
      assert.strictEqual(response.status, 422)
      const body = yield* json(response)
      assert.deepInclude(body, { _tag: "InvalidProcessing" })
      const text = JSON.stringify(body)
      for (
        const path of [
          "steps",
          "width",
          "height",
          "save",
          "task_id",
          "override_settings.nope",
          "override_settings.outdir_samples"
        ]
      ) assert.include(text, `"path":"${path}"`)
    }))

  it.live("refuses names of samplers and schedules, and models that are not in the list, before they wait", () =>
    Effect.gen(function*() {
      const { queue, send } = yield* started()
      const names = yield* send(
        "/v1/runs",
        posted({ ...small, sampler_name: "Eulr", enable_hr: true, hr_scheduler: "Karas" })
      )
      assert.strictEqual(names.status, 422)
      const body = JSON.stringify(yield* json(names))
      assert.match(body, /"path":"sampler_name","message":"No sampler is named \\"Eulr\\". Did you mean/)
      for (
        const wish of [
          { override_settings: { sd_model_checkpoint: "/models/first-model/../.." } },
          { refiner_checkpoint: "nobody" },
          { enable_hr: true, hr_checkpoint_name: "nobody" }
        ]
      ) {
        const model = yield* send("/v1/runs", posted({ ...small, ...wish }))
        assert.strictEqual(model.status, 404)
        assert.deepInclude(yield* json(model), { _tag: "ModelNotFound", known: ["first-model", "second-model"] })
      }
      assert.deepStrictEqual(yield* queue.list, [])
    }))

  it.live("refuses what is no JSON, no object, or nested too deep", () =>
    Effect.gen(function*() {
      const { send } = yield* started()
      for (const body of ["{", "", "[".repeat(10_000)]) {
        const response = yield* send("/v1/runs", { method: "POST", body })
        assert.strictEqual(response.status, 400)
        assert.deepInclude(yield* json(response), { _tag: "InvalidRequest" })
      }
      const list = yield* send("/v1/runs", posted([small]))
      assert.strictEqual(list.status, 422)
    }))

  it.live("takes images as JSON, and as the files of a form, to the same end", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      const picture = yield* file(slopes())
      const mask = yield* file(rectangle([8, 8, 40, 56]))
      const asJson = yield* submit({
        ...small,
        init_images: [Base64.encode(picture)],
        mask: Base64.encode(mask),
        override_settings: { CLIP_stop_at_last_layers: 2 }
      })
      const form = new FormData()
      for (const [name, value] of Object.entries(small)) form.append(name, String(value))
      form.append("override_settings", JSON.stringify({ CLIP_stop_at_last_layers: 2 }))
      form.append("init_images", new Blob([new Uint8Array(picture)], { type: "image/png" }), "picture.png")
      form.append("mask", new Blob([new Uint8Array(mask)]), "mask.png")
      const response = yield* send("/v1/runs", { method: "POST", body: form })
      const asForm = yield* Effect.flatMap(json(response), decodeRun)
      assert.strictEqual(response.status, 202)
      const ends = yield* Effect.forEach([asJson.run.id, asForm.id], ended)
      assert.deepStrictEqual(ends.map(({ request }) => request._tag), ["Img2Img", "Img2Img"])
      const [one, two] = yield* Effect.forEach(ends, ({ id }) => Effect.flatMap(send(`/v1/runs/${id}/images/0`), bytes))
      assert.deepStrictEqual(one, two)
    }))

  it.live("names the problems of a form as those of JSON", () =>
    Effect.gen(function*() {
      const { send } = yield* started()
      const form = new FormData()
      form.append("steps", "many")
      form.append("prompt", "7")
      form.append("styles", "a, b")
      form.append("cfg_scale", "")
      form.append("width", "12000")
      const response = yield* send("/v1/runs", { method: "POST", body: form })
      assert.strictEqual(response.status, 422)
      const text = JSON.stringify(yield* json(response))
      assert.include(text, `"path":"steps"`)
      assert.include(text, `"path":"width"`)
      assert.notInclude(text, `"path":"prompt"`)
      assert.notInclude(text, `"path":"styles"`)
      const stray = new FormData()
      for (const name of ["prompt", "override_settings", "unknown"]) stray.append(name, new Blob(["a file"]), "a.txt")
      stray.append("steps", "many")
      const files = yield* send("/v1/runs", { method: "POST", body: stray })
      assert.strictEqual(files.status, 422)
      const problems = (yield* Effect.flatMap(json(files), decodeProblems)).problems
      assert.deepStrictEqual(problems.slice(0, 2), [
        { path: "prompt", message: "only images can be files" },
        { path: "override_settings", message: "only images can be files" }
      ])
      assert.deepStrictEqual(problems.map(({ path }) => path), ["prompt", "override_settings", "steps", "unknown"])
      const cut = yield* send("/v1/runs", {
        method: "POST",
        body: "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na c",
        headers: { "content-type": "multipart/form-data; boundary=x" }
      })
      assert.strictEqual(cut.status, 400)
    }))

  it.live("refuses files and bodies that are too large", () =>
    Effect.gen(function*() {
      const limits = Limits.make({ max_image_bytes: 1000 })
      const { send } = yield* started({ cmdOpts: { limits }, server: { max_body_bytes: 10_000 } })
      const form = new FormData()
      form.append("init_images", new Blob([new Uint8Array(2000)]), "large.png")
      const large = yield* send("/v1/runs", { method: "POST", body: form })
      assert.strictEqual(large.status, 413)
      assert.deepInclude(yield* json(large), { _tag: "TooLarge", limit: 1000 })
      const encoded = yield* send("/v1/runs", posted({ init_images: [Base64.encode(new Uint8Array(5000))] }))
      assert.strictEqual(encoded.status, 413)
      const info = yield* send("/v1/png-info", { method: "POST", body: new Uint8Array(2000) })
      assert.strictEqual(info.status, 413)
    }))

  it.live("refuses what would wait too long, and says when to ask again", () =>
    Effect.gen(function*() {
      const { queue, send, submit } = yield* started({ ...slow, server: { queue: 1 } })
      const { run } = yield* submit({ ...small, steps: 100 })
      yield* submit(small)
      const response = yield* send("/v1/runs", posted(small))
      assert.strictEqual(response.status, 429)
      assert.match(response.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
      assert.deepInclude(yield* json(response), { _tag: "QueueFull", waiting: 1 })
      yield* queue.cancel(run.id)
    }))

  it.live("writes files when it is asked to, and not when it is told not to", () =>
    Effect.gen(function*() {
      const { context, ended, submit } = yield* started()
      const { files } = Context.get(context, SavedImages)
      yield* ended((yield* submit({ ...small, batch_size: 2, save: false })).run.id)
      assert.strictEqual((yield* files).size, 0)
      yield* ended((yield* submit({ ...small, save: true, override_settings: { samples_save: false } })).run.id)
      assert.strictEqual((yield* files).size, 1)
    }))
})

describe("Images of a run", () => {
  it.live("are the bytes that the library makes of the same request", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      const picture = yield* file(slopes())
      for (
        const processing of [
          Txt2Img.make({ ...small, batch_size: 2, negative_prompt: "a dog" }),
          Img2Img.make({ ...small, init_images: [picture], denoising_strength: 0.5 })
        ]
      ) {
        const { run } = yield* submit({
          ...processing,
          ...("init_images" in processing && { init_images: [Base64.encode(picture)] })
        })
        const { status } = yield* ended(run.id)
        const library = yield* Effect.provide(processImages(processing), TestRuntime.layer())
        assert.strictEqual(status._tag, "Done")
        if (status._tag !== "Done") continue
        assert.deepStrictEqual(
          status.images.map(({ infotext }) => infotext),
          library.images.map(({ infotext }) => infotext)
        )
        const over = yield* Effect.forEach(status.images, ({ url }) => Effect.flatMap(send(url), bytes))
        assert.deepStrictEqual(over, library.images.map(({ bytes }) => bytes))
      }
    }))

  it.live("may be kept for ever, and are not sent twice", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      const { run } = yield* submit(small)
      yield* ended(run.id)
      const first = yield* send(`/v1/runs/${run.id}/images/0`)
      const etag = first.headers.get("etag") ?? ""
      assert.deepStrictEqual(
        ["content-type", "cache-control", "content-disposition"].map((name) => first.headers.get(name)),
        [
          "image/png",
          "private, max-age=31536000, immutable",
          `inline; filename="00000-5.png"; filename*=UTF-8''00000-5.png`
        ]
      )
      assert.match(etag, /^".+"$/)
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
        const again = yield* send(`/v1/runs/${run.id}/images/0`, { headers: { "if-none-match": known } })
        assert.deepStrictEqual([again.status, (yield* bytes(again)).length, again.headers.get("etag")], [304, 0, etag])
      }
      const other = yield* send(`/v1/runs/${run.id}/images/0`, { headers: { "if-none-match": `"other"` } })
      assert.strictEqual(other.status, 200)
    }))

  it.live("have small copies, which are kept by clients like the images", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      const { run } = yield* submit({ ...small, width: 512, height: 256, steps: 1 })
      yield* ended(run.id)
      const path = `/v1/runs/${run.id}/images/0/thumbnail`
      const response = yield* send(path)
      const etag = response.headers.get("etag") ?? ""
      assert.deepStrictEqual(
        [response.status, response.headers.get("content-type"), response.headers.get("cache-control")],
        [200, "image/webp", "private, max-age=31536000, immutable"]
      )
      const { height, width } = yield* Effect.flatMap(ImageDecoder, ({ decode }) =>
        Effect.flatMap(bytes(response), (file) => decode(file, Limits.make({})))).pipe(
          Effect.provide(ImageDecoder.layer)
        )
      assert.deepStrictEqual([width, height], [320, 160])
      assert.strictEqual((yield* send(path, { headers: { "if-none-match": etag } })).status, 304)
      assert.strictEqual((yield* send(`/v1/runs/${run.id}/images/9/thumbnail`)).status, 404)
    }))

  it.live("have grids, masks and composites next to them", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      const picture = Base64.encode(yield* file(slopes()))
      const mask = Base64.encode(yield* file(rectangle([8, 8, 40, 56])))
      const { run } = yield* submit({
        ...small,
        batch_size: 2,
        init_images: [picture],
        mask,
        override_settings: { return_grid: true, return_mask: true }
      })
      const { status } = yield* ended(run.id)
      assert.strictEqual(status._tag, "Done")
      if (status._tag !== "Done") return
      assert.deepStrictEqual(status.extras.map(({ index, kind }) => [kind, index]), [["grid", null], ["mask", 0], [
        "mask",
        1
      ]])
      for (const { bytes: length, url } of status.extras) {
        const response = yield* send(url)
        assert.deepStrictEqual([response.status, response.headers.get("content-type")], [200, "image/png"])
        assert.strictEqual((yield* bytes(response)).length, length)
        const small = yield* send(`${url}/thumbnail`)
        assert.deepStrictEqual([small.status, small.headers.get("content-type")], [200, "image/webp"])
      }
      assert.strictEqual((yield* send(`/v1/runs/${run.id}/extras/9/thumbnail`)).status, 404)
    }))

  it.live("are not there before the run ends, of other numbers, or of runs that no one knows", () =>
    Effect.gen(function*() {
      const { queue, send, submit } = yield* started(slow)
      const { run } = yield* submit({ ...small, steps: 100 })
      for (const path of [`${run.id}/images/0`, `${run.id}/extras/0`, `${run.id}/images/7`]) {
        const response = yield* send(`/v1/runs/${path}`)
        assert.strictEqual(response.status, 404)
        assert.deepInclude(yield* json(response), { _tag: "ImageNotFound", id: run.id })
      }
      for (const path of ["nobody", "nobody/images/0", "nobody/events", "nobody/preview"]) {
        assert.deepInclude(yield* Effect.flatMap(send(`/v1/runs/${path}`), json), { _tag: "RunNotFound", id: "nobody" })
      }
      const index = yield* send(`/v1/runs/${run.id}/images/first`)
      assert.strictEqual(index.status, 400)
      yield* queue.cancel(run.id)
    }))
})

describe("A run", () => {
  it.live("that is cancelled gives nothing, and makes room for the next", () =>
    Effect.gen(function*() {
      const { ended, look, send, submit } = yield* started(slow)
      const first = yield* submit({ ...small, steps: 150 })
      const second = yield* submit({ ...small, steps: 150 })
      const third = yield* submit(small)
      assert.deepStrictEqual((yield* look(third.run.id)).status, { _tag: "Queued", position: 2 })
      const gone = yield* send(`/v1/runs/${second.run.id}`, { method: "DELETE" })
      assert.deepStrictEqual((yield* Effect.flatMap(json(gone), decodeRun)).status, { _tag: "Cancelled", images: [] })
      assert.deepStrictEqual((yield* look(third.run.id)).status, { _tag: "Queued", position: 1 })
      yield* send(`/v1/runs/${first.run.id}`, { method: "DELETE" })
      assert.deepStrictEqual((yield* ended(first.run.id)).status, { _tag: "Cancelled", images: [] })
      assert.strictEqual((yield* ended(third.run.id)).status._tag, "Done")
      // Once more changes nothing.
      const again = yield* send(`/v1/runs/${third.run.id}`, { method: "DELETE" })
      assert.strictEqual((yield* Effect.flatMap(json(again), decodeRun)).status._tag, "Done")
    }))

  it.live("that is interrupted gives what it has; one batch can be skipped", () =>
    Effect.gen(function*() {
      const { ended, queue, send, submit } = yield* started(slow)
      const { run } = yield* submit({ ...small, steps: 100, n_iter: 2 })
      yield* Stream.runHead(Stream.filter(queue.watch(run.id), ({ status }) =>
        status._tag === "Running" && status.progress?.activity === "sampling"))
      yield* send(`/v1/runs/${run.id}/skip`, { method: "POST" })
      yield* Stream.runHead(Stream.filter(queue.watch(run.id), ({ status }) =>
        status._tag === "Running" && status.progress?.passesDone === 1 && status.progress.samplingStep > 0))
      const asked = yield* send(`/v1/runs/${run.id}/interrupt`, { method: "POST" })
      assert.strictEqual(asked.status, 200)
      const { status } = yield* ended(run.id)
      assert.strictEqual(status._tag, "Done")
      if (status._tag === "Done") {
        assert.isTrue(status.interrupted)
        assert.isFalse(status.images.every(({ complete }) =>
          complete
        ))
      }
    }))

  it.live("that fails tells its error with its tag and as a sentence", () =>
    Effect.gen(function*() {
      const fault = Faults.fail(
        "execute",
        new InferenceError({ file: "unet", reason: "out of memory", remedy: "size" })
      )
      const { ended, submit } = yield* started({ faults: [fault] })
      const { status } = yield* ended((yield* submit(small)).run.id)
      assert.strictEqual(status._tag, "Failed")
      if (status._tag === "Failed") {
        assert.deepStrictEqual(
          status.error,
          new InferenceError({ file: "unet", reason: "out of memory", remedy: "size" })
        )
        assert.match(status.message, /Try a smaller size/)
      }
    }))

  it.live("that fails or is cancelled names the images that it had finished, and they are served like any others", () =>
    Effect.gen(function*() {
      // The third image of the first run cannot be decoded, and is waited for in the second.
      let decoded = 0
      const sound = TestModel.make()
      const { fault, hanging } = yield* ModelFaults.hang("decode")
      const model = {
        ...sound,
        decode: (...call: Parameters<typeof sound.decode>) => {
          const failure = new InferenceError({ file: "vae_decoder", reason: "out of memory" })
          decoded++
          return decoded === 3
            ? Effect.fail(failure)
            : decoded === 6
            ? fault(sound).decode(...call)
            : sound.decode(...call)
        }
      }
      const { ended, queue, send, submit } = yield* started({ model })
      const request = { ...small, n_iter: 3 }
      const library = yield* Effect.provide(processImages(Txt2Img.make(request)), TestRuntime.layer())
      const failed = yield* ended((yield* submit(request)).run.id)
      const { run } = yield* submit(request)
      yield* hanging
      // The second image is being written, or has been.
      yield* Stream.runHead(
        Stream.filter(
          queue.watch(run.id),
          ({ status }) => status._tag === "Running" && status.progress?.images.length === 2
        )
      )
      yield* queue.cancel(run.id)
      const cancelled = yield* ended(run.id)
      assert.deepStrictEqual([failed.status._tag, cancelled.status._tag], ["Failed", "Cancelled"])
      for (const { id, status } of [failed, cancelled]) {
        const images = status._tag === "Failed" || status._tag === "Cancelled" ? status.images : []
        assert.deepStrictEqual(images.map(({ index, url }) => [index, url]), [
          [0, `/v1/runs/${id}/images/0`],
          [1, `/v1/runs/${id}/images/1`]
        ])
        for (const { index, url } of images) {
          const response = yield* send(url)
          assert.strictEqual(response.status, 200)
          assert.deepStrictEqual(yield* bytes(response), library.images[index]?.bytes)
        }
        assert.strictEqual((yield* send(`/v1/runs/${id}/images/2`)).status, 404)
      }
    }))

  it.live("that dies tells nothing of the server's insides", () =>
    Effect.gen(function*() {
      const { ended, submit } = yield* started({ faults: [Faults.die("execute", new Error("/home/ada/secret"))] })
      const { status } = yield* ended((yield* submit(small)).run.id)
      assert.strictEqual(status._tag, "Failed")
      assert.notInclude(JSON.stringify(status), "secret")
      if (status._tag === "Failed") assert.strictEqual(status.error._tag, "InternalError")
    }))

  it.live("shows its latest preview, which may not be kept", () =>
    Effect.gen(function*() {
      const { queue, send, submit } = yield* started({ ...slow, opts: { show_progress_every_n_steps: 1 } })
      const { run } = yield* submit({ ...small, steps: 100 })
      yield* Stream.runHead(Stream.filter(queue.watch(run.id), ({ status }) =>
        status._tag === "Running" && status.progress?.preview !== undefined))
      const response = yield* send(`/v1/runs/${run.id}/preview`)
      assert.deepStrictEqual(
        [response.status, response.headers.get("content-type"), response.headers.get("cache-control")],
        [200, "image/png", "no-store"]
      )
      yield* queue.cancel(run.id)
    }))
})

describe("GET /v1/runs", () => {
  it.live("lists runs of every door, the newest first, page by page", () =>
    Effect.gen(function*() {
      const { ended, send, submit } = yield* started()
      const ids: Array<string> = []
      for (let i = 0; i < 3; i++) {
        const { run } = yield* submit({ ...small, seed: i })
        ids.unshift(run.id)
        yield* ended(run.id)
      }
      yield* send("/sdapi/v1/txt2img", posted({ ...small, seed: 99 }))
      const page = (query: string) => Effect.flatMap(Effect.flatMap(send(`/v1/runs${query}`), json), decodeList)
      const first = yield* page("?limit=2")
      assert.deepStrictEqual(first.runs.map(({ request }) => request.seed), [99, 2])
      assert.strictEqual(first.next, ids[0])
      const second = yield* page(`?limit=2&before=${first.next}`)
      assert.deepStrictEqual(second.runs.map(({ id }) => id), ids.slice(1))
      assert.isNull(second.next)
      assert.strictEqual((yield* send("/v1/runs?limit=0")).status, 400)
      assert.strictEqual((yield* send("/v1/runs?before=nobody")).status, 404)
    }))

  it.live("does not repeat the images that came with a request", () =>
    Effect.gen(function*() {
      const { look, submit } = yield* started()
      const picture = Base64.encode(yield* file(slopes()))
      const { response, run } = yield* submit({ ...small, init_images: [picture] })
      assert.strictEqual(response.status, 202)
      assert.notInclude(JSON.stringify(yield* look(run.id)), picture.slice(0, 40))
    }))
})

describe("An error", () => {
  it.live("is told as a sentence next to its fields", () =>
    Effect.gen(function*() {
      const { send } = yield* started({ server: { queue: 0 } })
      for (
        const [path, init, sentence] of [
          ["/v1/runs/nobody", undefined, /No run has the id "nobody"/],
          ["/v1/runs?limit=0", undefined, /The request is invalid: limit/],
          ["/v1/runs?limt=5", undefined, /The request is invalid: limt: /],
          [
            "/v1/runs",
            { method: "POST", body: "{\n  steps: 2}" },
            /^The request is invalid: the body is not valid JSON: a property name in .* is expected at line 2, column 3\.$/
          ],
          ["/v1/runs", posted({ steps: "x" }), /The request cannot be processed. Correct steps/],
          [
            "/v1/options",
            posted({ samples_format: "gif" }, "PATCH"),
            /The options cannot be used. Correct samples_format/
          ]
        ] as const
      ) {
        const response = yield* send(path, init)
        const body = yield* json(response)
        assert.match(Predicate.hasProperty(body, "message") ? String(body.message) : "", sentence)
        assert.strictEqual(Number(response.headers.get("content-length")), JSON.stringify(body).length)
      }
    }))
})

describe("Signing in", () => {
  it.live("is asked for by every path of /v1, and of no one when there are no users", () =>
    Effect.gen(function*() {
      const { send } = yield* started({ server: { api_auth: ["ada:secret"] } })
      const authorization = `Basic ${Buffer.from("ada:secret").toString("base64")}`
      for (const path of ["/v1/runs", "/v1/status", "/v1/runs/x/events", "/v1/options"]) {
        const refused = yield* send(path)
        assert.strictEqual(refused.status, 401)
        assert.match(refused.headers.get("www-authenticate") ?? "", /^Basic/)
        assert.deepInclude(yield* json(refused), { _tag: "Unauthorized" })
        assert.notStrictEqual((yield* send(path, { headers: { authorization } })).status, 401)
      }
      const posting = yield* send("/v1/runs", posted(small))
      assert.strictEqual(posting.status, 401)
    }))
})
