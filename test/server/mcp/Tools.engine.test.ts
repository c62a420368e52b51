/**
 * The tools over HTTP, as the official client of the Model Context Protocol uses them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { Limits } from "../../../src/processing/Limits.ts"
import { TestModel } from "../../../src/testing/index.ts"
import { file, rectangle } from "../../diffusion/pictures.ts"
import { serving, type ServingOptions, until } from "../serving.ts"

const key = "sk-serena-0123456789"

/** A server with a client that is connected to it. */
const started = Effect.fnUntraced(function*(options: ServingOptions = {}) {
  const server = yield* serving({ routes: "all", ...options })
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ name: "test", version: "1" })
      const headers = { authorization: `Bearer ${key}` }
      await client.connect(
        new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), { requestInit: { headers } })
      )
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )
  const call = (name: string, given: Record<string, unknown>) =>
    Effect.promise((signal) => client.callTool({ name, arguments: given }, { signal }))
  return { ...server, client, call }
})

type Called = Effect.Success<ReturnType<Effect.Success<ReturnType<typeof started>>["call"]>>

const textOf = ({ content }: Called): string =>
  content.flatMap((block) => block.type === "text" ? [block.text] : []).join("\n")

const imagesOf = ({ content }: Called): ReadonlyArray<Buffer> =>
  content.flatMap((block) => block.type === "image" ? [Buffer.from(block.data, "base64")] : [])

const structuredOf = (called: Called): Record<string, unknown> => {
  assert.isNotTrue(called.isError, textOf(called))
  return Predicate.isObject(called.structuredContent) ? { ...called.structuredContent } : {}
}

interface MadeImage {
  readonly uri: string
  readonly seed: number | string
  readonly width: number
  readonly height: number
  readonly infotext: string
}

const made = (called: Called): ReadonlyArray<MadeImage> => Object(structuredOf(called)["images"])

const small = { prompt: "a cat", steps: 2, width: 64, height: 64, seed: 5 }

describe("/mcp", () => {
  it.live("lists tools whose arguments are the fields of a request, within the limits of the server", () =>
    Effect.gen(function*() {
      const { client } = yield* started({ cmdOpts: { limits: Limits.make({ max_steps: 50 }) } })
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.deepStrictEqual(tools.map(({ name }) => name), [
        "generate",
        "edit",
        "upscale",
        "list_models",
        "read_infotext"
      ])
      const [generate, edit] = tools
      const { steps, prompt } = Object(generate?.inputSchema.properties)
      assert.deepInclude(steps, { type: "integer", minimum: 1, maximum: 50, default: 20, title: "Sampling steps" })
      assert.deepInclude(prompt, { type: "string", description: "What the image shows, in the prompt language." })
      assert.deepStrictEqual(edit?.inputSchema.required, ["image"])
      assert.sameMembers(Object.keys(Object(generate?.outputSchema?.["properties"])), ["run", "images", "warnings"])
    }))

  it.live("makes images, with seeds, infotexts, and addresses of the whole files", () =>
    Effect.gen(function*() {
      const { call, client, post } = yield* started()
      const called = yield* call("generate", { ...small, n_iter: 2 })
      const images = made(called)
      assert.deepStrictEqual(images.map(({ height, seed, width }) => [seed, width, height]), [[5, 64, 64], [6, 64, 64]])
      assert.include(images[0]?.infotext, "a cat\nSteps: 2, ")
      assert.include(textOf(called), images[1]?.uri ?? "no image")
      const [first] = imagesOf(called)
      // The very bytes of the other APIs.
      const own = yield* post("/sdapi/v1/txt2img", small)
      assert.include(own.text, `"${first?.toString("base64")}"`)
      const { contents: [whole] } = yield* Effect.promise(() => client.readResource({ uri: images[0]?.uri ?? "" }))
      assert.deepInclude(whole, { mimeType: "image/png", blob: first?.toString("base64") })
    }))

  it.live("says how far it is, each time further", () =>
    Effect.gen(function*() {
      const { client } = yield* started({ model: TestModel.make({ stepDuration: "20 millis" }) })
      const seen: Array<number> = []
      const messages: Array<string> = []
      yield* Effect.promise(() =>
        client.callTool({ name: "generate", arguments: { ...small, steps: 12 } }, {
          onprogress: ({ message = "", progress, total }) => {
            assert.strictEqual(total, 1)
            seen.push(progress)
            messages.push(message)
          }
        })
      )
      assert.isAbove(seen.length, 2)
      assert.deepStrictEqual(seen, [...new Set(seen)].toSorted((a, b) => a - b))
      assert.isTrue(messages.some((message) => /Step \d+ of 12/.test(message)), messages.join("\n"))
    }))

  it.live("changes an image that it made: all of it, or where a mask is white", () =>
    Effect.gen(function*() {
      const { call } = yield* started()
      const [{ uri } = { uri: "" }] = made(yield* call("generate", small))
      const [changed] = made(yield* call("edit", { ...small, image: uri, denoising_strength: 0.9 }))
      assert.include(changed?.infotext, "Denoising strength: 0.9")
      const mask = Buffer.from(yield* file(rectangle([16, 16, 48, 48]))).toString("base64")
      const [painted] = made(yield* call("edit", { ...small, image: uri, mask }))
      assert.include(painted?.infotext, "Mask blur")
    }))

  it.live("enlarges an image, and reads the infotext that stays in it", () =>
    Effect.gen(function*() {
      const { call } = yield* started()
      const [{ uri } = { uri: "" }] = made(yield* call("generate", small))
      const { uri: large, ...facts } = structuredOf(yield* call("upscale", { image: uri, factor: 3 }))
      assert.deepInclude(facts, { width: 192, height: 192, upscaler: "Lanczos" })
      const read = structuredOf(yield* call("read_infotext", { image: large }))
      assert.deepInclude(Object(read["parameters"]), { Prompt: "a cat", Steps: "2", Seed: "5" })
    }))

  it.live("lists the models, and takes one by its name", () =>
    Effect.gen(function*() {
      const { call, queue } = yield* started()
      const { samplers, upscalers } = structuredOf(yield* call("list_models", {}))
      assert.include(Object(samplers), "Euler a")
      assert.deepStrictEqual(upscalers, ["Lanczos", "Nearest"])
      yield* call("generate", { ...small, model: "second-model" })
      const used = (yield* queue.list).at(-1)?.request.override_settings.sd_model_checkpoint
      assert.strictEqual(used, "second-model")
      const unknown = yield* call("generate", { ...small, model: "third-model" })
      assert.isTrue(unknown.isError)
      assert.include(textOf(unknown), "first-model, second-model")
    }))

  it.live("says in plain words what is wrong, all of it at once", () =>
    Effect.gen(function*() {
      const { call } = yield* started()
      const refusals: ReadonlyArray<readonly [tool: string, given: Record<string, unknown>, words: RegExp]> = [
        ["generate", { ...small, width: "wide", stepz: 3 }, /width: .*stepz: .*did you mean "steps"\?/],
        ["edit", { prompt: "a cat" }, /^image: an image is needed/],
        ["edit", { ...small, image: "serena://runs/none/images/0" }, /no image at serena:\/\/runs\/none\/images\/0/],
        ["edit", { ...small, image: "/etc/hostname" }, /^image: it is neither base64/],
        ["edit", { ...small, image: "file:///etc/hostname" }, /^image: this server reads no files/],
        ["upscale", { image: "aGVsbG8=", factor: 9, by: 2 }, /factor: .*; by: no argument has this name/],
        ["upscale", { image: "aGVsbG8=" }, /neither a PNG, JPEG/]
      ]
      for (const [tool, given, words] of refusals) {
        const called = yield* call(tool, given)
        assert.isTrue(called.isError, tool)
        assert.match(textOf(called), words)
      }
    }))

  it.live("cancels the run of a call that is cancelled", () =>
    Effect.gen(function*() {
      const { client, queue } = yield* started({ model: TestModel.make({ stepDuration: "20 millis" }) })
      const aborted = new AbortController()
      const given = { name: "generate", arguments: { ...small, steps: 150 } }
      const called = client.callTool(given, { signal: aborted.signal }).then(() => "answered", () => "cancelled")
      yield* until(queue.list, (runs) => runs.at(-1)?.status._tag === "Running")
      aborted.abort()
      assert.strictEqual(yield* Effect.promise(() => called), "cancelled")
      yield* until(queue.list, (runs) => runs.at(-1)?.status._tag === "Cancelled")
    }))

  it.live("needs a key where the server has keys, and answers no pages of other origins", () =>
    Effect.gen(function*() {
      const { client, post, url } = yield* started({ server: { api_keys: [key] } })
      yield* Effect.promise(() => client.ping())
      const initialize = { jsonrpc: "2.0", id: 1, method: "initialize", params: {} }
      const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" }
      const unsigned = yield* post("/mcp", initialize, { headers })
      assert.strictEqual(unsigned.status, 401)
      assert.match(unsigned.text, /Sign in with/)
      const foreign = yield* post("/mcp", initialize, {
        headers: { ...headers, authorization: `Bearer ${key}`, origin: "https://example.com" }
      })
      assert.strictEqual(foreign.status, 403)
      assert.strictEqual((yield* Effect.promise(() => fetch(`${url}/mcp`))).status, 401)
    }))
})
