import { createOpenAI } from "@ai-sdk/openai"
import { assert, describe, it } from "@effect/vitest"
import { generateImage } from "ai"
import * as Effect from "effect/Effect"
import OpenAI, { APIError, AuthenticationError, NotFoundError, toFile } from "openai"
import { TestModel } from "../../../src/testing/index.ts"
import { file, rectangle } from "../../diffusion/pictures.ts"
import { serving, type ServingOptions, until } from "../serving.ts"

const key = "sk-serena-0123456789"

/** A server with OpenAI's own client of it. */
const started = Effect.fnUntraced(function*(options: ServingOptions = {}) {
  const server = yield* serving({ routes: "all", ...options, server: { api_keys: [key], ...options.server } })
  const clientOf = (apiKey = key, path = "/v1") => new OpenAI({ apiKey, baseURL: server.url + path, maxRetries: 0 })
  return { ...server, clientOf, client: clientOf() }
})

const ask = <A>(evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: (error) => error instanceof APIError ? error : new APIError(0, {}, String(error), undefined)
  })

const sizeOf = (base64 = "") => {
  const bytes = Buffer.from(base64, "base64")
  assert.strictEqual(bytes.toString("latin1", 1, 4), "PNG")
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
}

const small = { prompt: "a cat", size: "64x64" } as const
const few = { serena: { steps: 2, seed: 5 } }

const imageFile = (bytes: Uint8Array, name = "image.png") => toFile(bytes, name, { type: "image/png" })

describe("POST /v1/images/generations", () => {
  it.live("gives OpenAI's client as many images as it asks for, inline", () =>
    Effect.gen(function*() {
      const { client, post } = yield* started()
      const { created, data = [], output_format, size } = yield* ask(() =>
        client.images.generate({ ...small, n: 2, ...few })
      )
      assert.isAbove(created, 1_700_000_000)
      assert.deepStrictEqual([data.length, size, output_format], [2, "64x64", "png"])
      for (const { b64_json } of data) assert.deepStrictEqual(sizeOf(b64_json), [64, 64])
      // The same bytes as through Serena's own API.
      const headers = { authorization: `Bearer ${key}` }
      const own = yield* post("/sdapi/v1/txt2img", { prompt: "a cat", width: 64, height: 64, steps: 2, seed: 5 }, {
        headers
      })
      assert.include(own.text, `"${data[0]?.b64_json}"`)
    }))

  it.live("gives addresses to clients that ask for them, and to those of DALL-E", () =>
    Effect.gen(function*() {
      const { client, url } = yield* started()
      for (const asked of [{ response_format: "url" }, { model: "dall-e-3", style: "vivid" }] as const) {
        const { data = [] } = yield* ask(() => client.images.generate({ ...small, ...few, ...asked }))
        const address = data[0]?.url ?? ""
        assert.isTrue(address.startsWith(`${url}/v1/runs/`), address)
        const image = yield* ask(() => fetch(address, { headers: { authorization: `Bearer ${key}` } }))
        assert.deepStrictEqual([image.status, image.headers.get("content-type")], [200, "image/png"])
      }
    }))

  it.live("takes the server's selected model for OpenAI's, any of its own, and no other", () =>
    Effect.gen(function*() {
      const { client, queue } = yield* started()
      const modelOf = Effect.fnUntraced(function*(model: string) {
        yield* ask(() => client.images.generate({ ...small, ...few, model }))
        return (yield* queue.list).at(-1)?.request.override_settings.sd_model_checkpoint
      })
      assert.strictEqual(yield* modelOf("gpt-image-1"), undefined)
      assert.strictEqual(yield* modelOf("second-model"), "second-model")
      const error = yield* Effect.flip(modelOf("third-model"))
      assert.instanceOf(error, NotFoundError)
      assert.deepInclude(error, { code: "model_not_found", param: "model" })
      assert.include(error.message, "first-model, second-model")
    }))

  it.live("streams previews of the image's size, and each image when it is made", () =>
    Effect.gen(function*() {
      const { client } = yield* started({ model: TestModel.make({ stepDuration: "20 millis" }) })
      const seen = yield* ask(async () => {
        const seen: Array<string> = []
        const asked = { ...small, n: 2, partial_images: 2, serena: { steps: 12 } }
        for await (const event of await client.images.generate({ ...asked, stream: true })) {
          assert.deepStrictEqual(sizeOf(event.b64_json), [64, 64])
          seen.push(event.type)
        }
        return seen
      })
      const partial = "image_generation.partial_image"
      const completed = "image_generation.completed"
      assert.deepStrictEqual(seen.filter((type) => type === completed).length, 2)
      assert.strictEqual(seen[0], partial)
      assert.strictEqual(seen.at(-1), completed)
      assert.isAtMost(seen.length, 6)
    }))

  it.live("cancels the run of a client that goes away", () =>
    Effect.gen(function*() {
      const { queue, url } = yield* started({ model: TestModel.make({ stepDuration: "20 millis" }) })
      for (const stream of [true, false]) {
        const aborted = new AbortController()
        const asked = fetch(`${url}/v1/images/generations`, {
          method: "POST",
          headers: { authorization: `Bearer ${key}` },
          body: JSON.stringify({ ...small, serena: { steps: 150 }, stream, partial_images: stream ? 1 : 0 }),
          signal: aborted.signal
        })
        yield* until(queue.current, (run) => run._tag === "Some")
        if (stream) yield* ask(() => asked)
        aborted.abort()
        yield* Effect.exit(ask(() => asked))
        const ended = yield* until(queue.list, (runs) => runs.every(({ endedAt }) => endedAt !== undefined))
        assert.strictEqual(ended.at(-1)?.status._tag, "Cancelled", `stream: ${stream}`)
      }
    }))

  it.live.each<readonly [asked: object, status: number, code: string, param: string | null, words: string]>([
    [{ ...small, n: 0, size: "wide", sise: "1x1" }, 400, "invalid_value", "n", "Invalid 'size': Expected WIDTHxHEIGHT"],
    [{ ...small, sise: "1x1" }, 400, "unknown_parameter", "sise", "did you mean \"size\"?"],
    [{ size: "64x64" }, 400, "invalid_value", "prompt", "Missing key"],
    [{ ...small, size: "4096x64" }, 400, "invalid_value", "size", "4096 is over the limit of 2048"],
    [{ ...small, n: 1000 }, 400, "invalid_value", "n", "1000 is over the limit of 100"],
    [{ ...small, background: "transparent" }, 400, "invalid_value", "background", "use opaque"],
    [{ ...small, stream: true, response_format: "url" }, 400, "invalid_value", "response_format", "use b64_json"],
    [{ ...small, serena: { stepz: 3 } }, 400, "invalid_value", "serena.stepz", "did you mean \"steps\"?"],
    [{ ...small, serena: { sampler_name: "Oiler" } }, 400, "invalid_value", "serena.sampler_name", "Oiler"]
  ])("refuses %j with %i", ([asked, status, code, param, words]) =>
    Effect.gen(function*() {
      const { post } = yield* started()
      const { body, status: answered } = yield* post("/v1/images/generations", asked, {
        headers: { authorization: `Bearer ${key}` }
      })
      assert.strictEqual(answered, status)
      assert.deepInclude(body, { error: { ...Object(Object(body).error), code, param, type: "invalid_request_error" } })
      assert.include(JSON.stringify(body).replaceAll("\\\"", "\""), words)
    }))

  it.live("refuses what is no JSON, other methods and other paths in OpenAI's form", () =>
    Effect.gen(function*() {
      const { send } = yield* started()
      const headers = { authorization: `Bearer ${key}` }
      const answers = yield* Effect.all([
        send("/v1/images/generations", { method: "POST", headers, body: "{" }),
        send("/v1/images/generations", { headers }),
        send("/openai/v1/chat/completions", { method: "POST", headers, body: "{}" })
      ])
      assert.deepStrictEqual(answers.map(({ status }) => status), [400, 405, 404])
      for (const { body } of answers) assert.hasAllKeys(Object(body).error, ["message", "type", "param", "code"])
      const codes = answers.map(({ body }) => Object(body).error.code)
      assert.deepStrictEqual(codes, ["invalid_value", "method_not_allowed", "path_not_found"])
    }))
})

describe("POST /v1/images/edits", () => {
  it.live("changes one image or several, at the size of the first", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      const bytes = yield* file(rectangle([8, 8, 40, 40], 72, 64))
      const one = yield* ask(async () => client.images.edit({ image: await imageFile(bytes), prompt: "a cat" }))
      assert.deepStrictEqual([one.data?.length, one.size], [1, "72x64"])
      const both = yield* ask(async () =>
        client.images.edit({ image: [await imageFile(bytes), await imageFile(bytes, "b.png")], prompt: "a cat" })
      )
      assert.strictEqual(both.data?.length, 2)
    }))

  it.live("makes anew what is transparent in the mask, and keeps the rest", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      const image = yield* file(rectangle([8, 8, 40, 40], 64, 64))
      const mask = (left: number) => {
        const data = new Uint8Array(64 * 64 * 4)
        for (let i = 0; i < 64 * 64; i++) data[i * 4 + 3] = i % 64 < left ? 0 : 255
        return file({ width: 64, height: 64, channels: 4, data })
      }
      const half = yield* mask(32)
      const edited = yield* ask(async () =>
        client.images.edit({ image: await imageFile(image), mask: await imageFile(half, "mask.png"), prompt: "a cat" })
      )
      assert.strictEqual(edited.data?.length, 1)
      const opaque = yield* mask(0)
      const error = yield* Effect.flip(ask(async () =>
        client.images.edit({
          image: await imageFile(image),
          mask: await imageFile(opaque, "mask.png"),
          prompt: "a cat"
        })
      ))
      assert.include(error.message, "Invalid 'mask': it has no transparent pixels")
    }))
})

describe("what applications send", () => {
  const auth = { authorization: `Bearer ${key}` }

  it.live("Open WebUI: generations with its settings' size, and edits as a form with one image or several", () =>
    Effect.gen(function*() {
      const { post, send } = yield* started()
      const body = { model: "first-model", prompt: "a cat", n: 1, size: "64x64", response_format: "b64_json" }
      const headers = { ...auth, "content-type": "application/json" }
      const made = yield* post("/v1/images/generations?api-version=2024-02-01", body, { headers })
      assert.strictEqual(made.status, 200, made.text)
      const image = Buffer.from(Object(made.body).data[0].b64_json, "base64")
      for (const names of [["image"], ["image[]", "image[]"]]) {
        const form = new FormData()
        form.append("model", "first-model")
        form.append("prompt", "a cat")
        form.append("size", "64x64")
        form.append("response_format", "b64_json")
        for (const name of names) form.append(name, new Blob([image], { type: "image/png" }), "image.png")
        const edited = yield* send("/v1/images/edits", { method: "POST", headers: auth, body: form })
        assert.strictEqual(edited.status, 200, edited.text)
        assert.lengthOf(Object(edited.body).data, names.length)
      }
    }))

  it.live("LibreChat: its image tools for GPT Image, and the older one for DALL-E", () =>
    Effect.gen(function*() {
      const { client, send } = yield* started()
      const tool = { model: "gpt-image-1", n: 1, background: "auto", quality: "auto", size: "auto" } as const
      const made = yield* ask(() => client.images.generate({ ...tool, prompt: "a cat", output_format: "png" }))
      const image = Buffer.from(made.data?.[0]?.b64_json ?? "", "base64")
      const form = new FormData()
      for (
        const [name, value] of Object.entries({ model: "gpt-image-1", prompt: "a cat", quality: "auto", size: "auto" })
      ) {
        form.append(name, value)
      }
      form.append("image[]", new Blob([image], { type: "image/png" }), "image.png")
      const edited = yield* send("/v1/images/edits", { method: "POST", headers: auth, body: form })
      assert.strictEqual(edited.status, 200, edited.text)
      assert.isString(Object(edited.body).data[0].b64_json)
      const older = { model: "dall-e-3", quality: "standard", style: "vivid", size: "64x64", n: 1 } as const
      const { data: [first] = [] } = yield* ask(() => client.images.generate({ ...older, prompt: "a cat" }))
      assert.match(first?.url ?? "", /^http/)
    }))

  it.live("edits as JSON name their images and mask by data URLs", () =>
    Effect.gen(function*() {
      const { post } = yield* started()
      const image = Buffer.from(yield* file(rectangle([8, 8, 40, 40], 64, 64))).toString("base64")
      const images = [{ image_url: `data:image/png;base64,${image}` }]
      const made = yield* post("/v1/images/edits", { prompt: "a cat", images, quality: "max" }, { headers: auth })
      assert.strictEqual(made.status, 200, made.text)
      assert.strictEqual(Object(made.body).quality, "max")
      const elsewhere = [{ image_url: "https://example.com/a.png" }, { file_id: "file-1" }]
      const refused = yield* post("/v1/images/edits", { prompt: "a cat", images: elsewhere, frame_count: 3 }, {
        headers: auth
      })
      assert.strictEqual(refused.status, 400)
      assert.match(refused.text, /'images.0': the server fetches no images.*'images.1'.*animations and vector images/)
    }))

  it.live("is described in /openapi.json, with the keys", () =>
    Effect.gen(function*() {
      const { send } = yield* started()
      const { body } = yield* send("/openapi.json", { headers: auth })
      const { components, paths } = Object(body)
      const { post: edit } = paths["/v1/images/edits"]
      assert.sameMembers(Object.keys(edit.requestBody.content), ["application/json", "multipart/form-data"])
      const { properties, required } =
        paths["/v1/images/generations"].post.requestBody.content["application/json"].schema
      assert.containsAllKeys(properties, ["prompt", "size", "partial_images", "serena"])
      assert.deepStrictEqual(required, ["prompt"])
      assert.deepStrictEqual(edit.security, [{ basic: [] }, { bearer: [] }])
      assert.deepInclude(components.securitySchemes.bearer, { type: "http", scheme: "bearer" })
    }))
})

describe("POST /v1/images/variations", () => {
  it.live("makes another version of an image, with the prompt that the image names", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      const { data: [first] = [] } = yield* ask(() => client.images.generate({ ...small, ...few }))
      const bytes = Buffer.from(first?.b64_json ?? "", "base64")
      const { data } = yield* ask(async () => client.images.createVariation({ image: await imageFile(bytes) }))
      assert.include(JSON.stringify(data), "a cat\\nSteps: 20")
    }))
})

describe("the models and keys", () => {
  it.live("are listed in OpenAI's form for clients with a bearer token, and in Serena's for others", () =>
    Effect.gen(function*() {
      const { clientOf } = yield* started()
      for (const path of ["/v1", "/openai/v1"]) {
        const { data } = yield* ask(() => clientOf(key, path).models.list())
        assert.deepStrictEqual(data.map(({ id }) => id), ["first-model", "second-model"])
      }
      assert.strictEqual(
        (yield* ask(() => clientOf(key, "/openai/v1").models.retrieve("second-model"))).id,
        "second-model"
      )
      const { get } = yield* serving({ routes: "all" })
      assert.isArray((yield* get("/v1/models")).body)
    }))

  it.live("open all APIs, and no other key does", () =>
    Effect.gen(function*() {
      const { clientOf, get, send } = yield* started()
      const error = yield* Effect.flip(ask(() => clientOf("sk-wrong-0123456789").images.generate(small)))
      assert.instanceOf(error, AuthenticationError)
      assert.deepInclude(error, { status: 401, code: "invalid_api_key" })
      for (const path of ["/sdapi/v1/options", "/v1/options", "/openapi.json"]) {
        assert.strictEqual((yield* get(path)).status, 401, path)
        assert.strictEqual((yield* send(path, { headers: { authorization: `bearer ${key}` } })).status, 200, path)
      }
    }))
})

describe("Vercel's AI SDK", () => {
  it.live("generates images through its OpenAI provider", () =>
    Effect.gen(function*() {
      const { url } = yield* started()
      const { image } = createOpenAI({ apiKey: key, baseURL: `${url}/v1` })
      const { images } = yield* ask(() =>
        generateImage({ model: image("first-model"), prompt: "a cat", size: "64x64", n: 2 })
      )
      assert.strictEqual(images.length, 2)
      for (const { base64 } of images) assert.deepStrictEqual(sizeOf(base64), [64, 64])
    }))
})
