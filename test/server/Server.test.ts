import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { get } from "node:https"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import { SaveError } from "../../src/images/ImageError.ts"
import { NetworkLoadError } from "../../src/model/ModelError.ts"
import * as OptionsFile from "../../src/server/host/OptionsFile.ts"
import { ServerOptions } from "../../src/server/host/ServerOptions.ts"
import { Faults, ModelFaults, TestModel } from "../../src/testing/index.ts"
import { savedWithLines } from "../textFiles.ts"
import { type Answer, serving, small, until } from "./serving.ts"
import { freePort, knock } from "./sockets.ts"

const v1 = "/sdapi/v1"

const field = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (inner, key) => typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined,
    value
  )

const basic = (user: string) => ({ headers: { authorization: `Basic ${Buffer.from(user).toString("base64")}` } })

/** What a server says to bytes as they are, until it hangs up. */
const raw = (port: number, text: string) =>
  Effect.callback<string>((resume) => {
    const chunks: Array<string> = []
    const socket = connect(port, "127.0.0.1", () => socket.write(text))
    socket.on("data", (chunk) => chunks.push(chunk.toString()))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(chunks.join(""))))
    return Effect.sync(() => socket.destroy())
  })

describe("errors", () => {
  it.live("have their four shapes, and every reply its headers", () =>
    Effect.gen(function*() {
      const { get, post, send } = yield* serving()
      const shape = ({ body, status }: Answer) => [status, Object.keys(body ?? {})]
      assert.deepStrictEqual(shape(yield* get("/nothing")), [404, ["detail"]])
      const wrong = yield* send(`${v1}/txt2img`, { method: "DELETE" })
      assert.deepStrictEqual([wrong.status, wrong.headers.get("allow"), wrong.text], [
        405,
        "POST",
        "{\"detail\":\"Method Not Allowed\"}"
      ])
      const slash = yield* get(`${v1}/samplers/?a=1`)
      assert.deepStrictEqual([slash.status, slash.headers.get("location")], [307, `${v1}/samplers?a=1`])
      const broken = yield* post(`${v1}/txt2img`, undefined, { body: "{" })
      assert.deepStrictEqual([broken.status, field(broken.body, "detail", 0, "loc")], [422, ["body", 1]])
      const empty = yield* post(`${v1}/txt2img`)
      assert.deepStrictEqual(field(empty.body, "detail"), [
        { loc: ["body"], msg: "field required", type: "value_error.missing" }
      ])
      const headers = (yield* get(`${v1}/scripts`)).headers
      assert.match(headers.get("x-process-time") ?? "", /^\d+\.\d+$/)
      assert.match(headers.get("x-request-id") ?? "", /^[\w-]+$/)
      assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
      const named = yield* send(`${v1}/scripts`, { headers: { "x-request-id": "mine" } })
      assert.strictEqual(named.headers.get("x-request-id"), "mine")
    }))

  it.live("of methods are the same everywhere: 405 with the methods that are allowed", () =>
    Effect.gen(function*() {
      const { send } = yield* serving({ routes: "all" })
      const asking = (method: string, path: string) =>
        Effect.map(send(path, { method }), ({ headers, status }) => [status, headers.get("allow")])
      for (
        const [path, wrong, allowed] of [
          [`${v1}/options`, "DELETE", "GET, POST"],
          [`${v1}/samplers`, "HEAD", "GET"],
          ["/internal/ping", "PUT", "GET"],
          ["/v1/runs", "PATCH", "POST, GET, HEAD, OPTIONS"],
          ["/v1/runs/some/images/0", "POST", "GET, HEAD, OPTIONS"],
          ["/v1/runs/some/skip", "GET", "POST, OPTIONS"],
          ["/health/live", "POST", "GET, HEAD, OPTIONS"],
          ["/openapi.json", "PUT", "GET, HEAD, OPTIONS"],
          ["/docs", "DELETE", "GET, HEAD, OPTIONS"],
          ["/", "POST", "GET, HEAD, OPTIONS"],
          ["/studio/app.js", "PUT", "GET, HEAD, OPTIONS"]
        ] as const
      ) assert.deepStrictEqual(yield* asking(wrong, path), [405, allowed], path)
      assert.deepStrictEqual(yield* asking("OPTIONS", "/v1/models"), [204, "GET, HEAD, OPTIONS"])
      assert.strictEqual(
        (yield* send("/v1/models", { method: "POST" })).text.slice(0, 26),
        `{"_tag":"MethodNotAllowed"`
      )
      const [head, get] = [yield* send("/v1/models", { method: "HEAD" }), yield* send("/v1/models")]
      assert.deepStrictEqual([head.status, head.text, head.headers.get("content-type")], [
        200,
        "",
        get.headers.get("content-type")
      ])
    }))

  it.live("before a route have the form of the API that was asked", () =>
    Effect.gen(function*() {
      const { get, port, post } = yield* serving({ routes: "all", server: { max_body_bytes: 1024 } })
      assert.deepStrictEqual(field((yield* get("/v1/nothing")).body, "_tag"), "PathNotFound")
      const large = yield* post("/v1/runs", { prompt: "x".repeat(2000) })
      assert.deepStrictEqual([large.status, field(large.body, "_tag"), field(large.body, "limit")], [
        413,
        "TooLarge",
        1024
      ])
      const asked = (head: string) => raw(port, `${head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
      assert.match(
        yield* asked("GET /v1/models HTTP/1.1\r\nHost: evil.example"),
        /^HTTP\/1\.1 421 [^]*"_tag":"UnknownHost"/
      )
      assert.match(
        yield* asked("POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example"),
        /^HTTP\/1\.1 403 [^]*"_tag":"ForeignOrigin","origin":"https:\/\/evil\.example"/
      )
    }))

  it.live("of our own making tell nothing of the inside, and leave the server well", () =>
    Effect.gen(function*() {
      const model = ModelFaults.die({ step: 1 }, new Error("a secret place"), { times: 1 })(TestModel.make())
      const { get, post } = yield* serving({ model })
      const answer = yield* post(`${v1}/txt2img`, small)
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(Object.keys(answer.body ?? {}), ["error", "detail", "body", "errors"])
      assert.notInclude(answer.text, "secret")
      assert.notInclude(answer.text, ".ts")
      assert.strictEqual(field((yield* get(`${v1}/progress`)).body, "state", "job_count"), 0)
      assert.strictEqual((yield* post(`${v1}/txt2img`, small)).status, 200)
    }))

  it.live("of a run are told with its sentence", () =>
    Effect.gen(function*() {
      const { post } = yield* serving({ model: ModelFaults.outOfMemory({ step: 1 })(TestModel.make()) })
      const { body, status } = yield* post(`${v1}/txt2img`, small)
      assert.deepStrictEqual([status, field(body, "error")], [500, "InferenceError"])
      assert.match(String(field(body, "errors")), /memory/)
    }))

  it.live("tell no folder of the machine, in either API", () =>
    Effect.gen(function*() {
      const errors = [
        new NetworkLoadError({
          file: "/home/ada/models/foo/unet/model.onnx",
          reason: "Load model from /home/ada/models/foo/unet/model.onnx failed"
        }),
        new SaveError({ path: "/home/ada/out/0.png", reason: "no space", saved: ["/home/ada/out/1.png"] })
      ]
      for (const error of errors) {
        const { get, post } = yield* serving({ routes: "all", faults: [Faults.fail("execute", error)] })
        const upstream = yield* post(`${v1}/txt2img`, small)
        assert.deepStrictEqual([upstream.status, field(upstream.body, "error")], [500, error._tag])
        const { body } = yield* post("/v1/runs", small)
        const path = `/v1/runs/${String(field(body, "id"))}`
        const ended = yield* until(get(path), ({ body }) => field(body, "status", "_tag") === "Failed")
        assert.strictEqual(field(ended.body, "status", "error", "_tag"), error._tag)
        for (const { text } of [upstream, ended]) assert.notMatch(text, /\/(?:ada|home)\b/)
      }
    }))

  it.live("of a network thread that died end that run only", () =>
    Effect.gen(function*() {
      const model = ModelFaults.threadDied({ step: 1 }, { times: 1 })(TestModel.make())
      const { get, post } = yield* serving({ model })
      const { body, status } = yield* post(`${v1}/txt2img`, small)
      assert.deepStrictEqual([status, field(body, "error")], [500, "NetworkThreadDied"])
      assert.strictEqual((yield* get("/health/ready")).status, 200)
      assert.strictEqual((yield* post(`${v1}/txt2img`, small)).status, 200)
    }))

  it.live("large replies are compressed for those who can read it", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      const accepting = (encoding: string) =>
        Effect.map(
          send(`${v1}/options`, { headers: { "accept-encoding": encoding } }),
          ({ body, headers }) => [headers.get("content-encoding"), field(body, "send_seed")]
        )
      assert.deepStrictEqual(yield* accepting("gzip"), ["gzip", true])
      assert.deepStrictEqual(yield* accepting("identity"), [null, true])
    }))
})

describe("signing in", () => {
  it.live("is needed where users are named, and nowhere else", () =>
    Effect.gen(function*() {
      const { get, post, send } = yield* serving({ server: { api_auth: ["ada:s:ecret", "bob:x"] } })
      const asking = (init?: RequestInit) =>
        Effect.map(send(`${v1}/samplers`, init), ({ body, status }) => [status, field(body, "detail")])
      assert.deepStrictEqual(yield* asking(), [401, "Not authenticated"])
      assert.deepStrictEqual(yield* asking({ headers: { authorization: "Bearer x" } }), [401, "Not authenticated"])
      assert.deepStrictEqual(yield* asking({ headers: { authorization: "Basic %" } }), [
        401,
        "Invalid authentication credentials"
      ])
      assert.deepStrictEqual(yield* asking(basic("ada:x")), [401, "Incorrect username or password"])
      assert.strictEqual((yield* asking(basic("ada:s:ecret")))[0], 200)
      assert.strictEqual((yield* asking(basic("bob:x")))[0], 200)
      assert.strictEqual((yield* get(`${v1}/samplers`)).headers.get("www-authenticate"), "Basic")
      assert.strictEqual((yield* post(`${v1}/txt2img`, small)).status, 401)
      // Other spellings of a path open no door.
      for (const path of [`${v1}/%73amplers`, `/${v1}/samplers`, `${v1}/./samplers`, `${v1}/SAMPLERS`]) {
        assert.notStrictEqual((yield* get(path)).status, 200, path)
      }
      assert.notStrictEqual((yield* send(`${v1}/samplers`, { method: "HEAD" })).status, 200)
      assert.strictEqual((yield* get("/nothing")).status, 404)
      assert.strictEqual((yield* get("/health/live")).status, 200)
    }))

  it.live("is passed over where none are", () =>
    Effect.gen(function*() {
      const { send } = yield* serving()
      for (const authorization of ["", "Basic ", "Basic Og==", "Bearer x"]) {
        assert.strictEqual((yield* send(`${v1}/options`, { headers: { authorization } })).status, 200)
      }
    }))

  it.effect("a server that others can reach is not started without it", () =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(ServerOptions.decode({ host: "0.0.0.0" }))
      assert.deepStrictEqual(problems.map(({ path }) => path), ["api_auth"])
      yield* ServerOptions.decode({ host: "0.0.0.0", insecure: true })
      yield* ServerOptions.decode({ host: "0.0.0.0", api_auth: ["a:b"] })
      const all = yield* Effect.flip(
        ServerOptions.decode({ port: 70_000, api_auth: ["x"], cors_allow_origins_regex: "(" })
      )
      assert.deepStrictEqual(all.problems.map(({ path }) => path), ["port", "api_auth.0", "cors_allow_origins_regex"])
      const tls = yield* Effect.flip(ServerOptions.decode({ tls_certfile: "a.pem" }))
      assert.deepStrictEqual(tls.problems.map(({ path }) => path), ["tls_keyfile"])
    }))
})

describe("TLS", () => {
  it.live("is spoken with a certificate, and a wrong file is named", () =>
    Effect.gen(function*() {
      const file = (name: string) => fileURLToPath(new URL(`tls/${name}`, import.meta.url))
      const { port } = yield* serving({ server: { tls_certfile: file("cert.pem"), tls_keyfile: file("key.pem") } })
      const status = yield* Effect.callback<number | undefined>((resume) => {
        get({ port, path: "/health/live", rejectUnauthorized: false, agent: false }, (response) => {
          response.resume()
          response.on("end", () => resume(Effect.succeed(response.statusCode)))
        })
      })
      assert.strictEqual(status, 200)
      // A handshake that never comes is given as long as headers are.
      const patient = { tls_certfile: file("cert.pem"), tls_keyfile: file("key.pem"), headers_timeout: 1 }
      assert.strictEqual(yield* raw((yield* serving({ server: patient })).port, ""), "")
      const error = yield* Effect.flip(serving({ server: { tls_certfile: "none.pem", tls_keyfile: file("key.pem") } }))
      assert.match(error.message, /tls_certfile: none\.pem cannot be read/)
    }))
})

describe("pages of other origins", () => {
  const preflight = (origin: string) => ({
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "x-a" }
  })

  it.live("may not ask, unless they are named", () =>
    Effect.gen(function*() {
      const off = yield* serving()
      const refused = yield* off.send(`${v1}/txt2img`, preflight("https://a.example"))
      assert.deepStrictEqual([refused.status, refused.text], [400, "Disallowed CORS origin"])
      const plain = yield* off.send(`${v1}/scripts`, { headers: { origin: "https://a.example" } })
      assert.isNull(plain.headers.get("access-control-allow-origin"))

      const on = yield* serving({
        server: { cors_allow_origins: ["https://a.example"], cors_allow_origins_regex: "https://.*\\.b\\.example" }
      })
      for (const origin of ["https://a.example", "https://x.b.example"]) {
        const { headers, status } = yield* on.send(`${v1}/txt2img`, preflight(origin))
        assert.deepStrictEqual(
          [status, headers.get("access-control-allow-origin"), headers.get("access-control-max-age")],
          [200, origin, "600"]
        )
        assert.strictEqual(headers.get("access-control-allow-headers"), "x-a")
      }
      assert.strictEqual((yield* on.send(`${v1}/txt2img`, preflight("https://a.example.evil"))).status, 400)
      const answer = yield* on.send(`${v1}/scripts`, { headers: { origin: "https://a.example" } })
      assert.strictEqual(answer.headers.get("access-control-allow-origin"), "https://a.example")
    }))
})

describe("names of other hosts", () => {
  const set = (host: string) => {
    const body = JSON.stringify({ jpeg_quality: 3 })
    return `POST ${v1}/options HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n` +
      body
  }

  it.live("do not control a server without sign-in, unless they are named", () =>
    Effect.gen(function*() {
      const { get, port } = yield* serving()
      const answer = yield* raw(port, set("evil.example"))
      assert.match(answer, /^HTTP\/1.1 421 /)
      assert.include(answer, "--allowed-hosts")
      assert.notStrictEqual(field((yield* get(`${v1}/options`)).body, "jpeg_quality"), 3)
      assert.match(yield* raw(port, set("localhost")), /^HTTP\/1.1 200 /)
      const named = yield* serving({ server: { allowed_hosts: ["images.example"] } })
      assert.match(yield* raw(named.port, set("images.example")), /^HTTP\/1.1 200 /)
    }))
})

describe("pages of other sites", () => {
  it.live("may not even send what needs no preflight", () =>
    Effect.gen(function*() {
      const { port } = yield* serving({ server: { cors_allow_origins: ["https://a.example"] } })
      // fetch does not let a program say what only browsers say.
      const asking = (site: string, origin: string) =>
        Effect.map(
          raw(
            port,
            `POST ${v1}/interrupt HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: ${site}\r\nOrigin: ${origin}\r\n` +
              "Content-Length: 0\r\nConnection: close\r\n\r\n"
          ),
          (answer) => answer.slice(9, 12)
        )
      assert.strictEqual(yield* asking("cross-site", "https://evil.example"), "403")
      assert.strictEqual(yield* asking("cross-site", "https://a.example"), "200")
      assert.strictEqual(yield* asking("same-origin", "http://localhost"), "200")
    }))
})

describe("limits", () => {
  it.live("bodies: large ones are taken, larger ones refused, announced or not", () =>
    Effect.gen(function*() {
      const { post, send } = yield* serving({ server: { max_body_bytes: 1_000_000 } })
      assert.strictEqual((yield* post(`${v1}/txt2img`, { ...small, comments: "x".repeat(900_000) })).status, 200)
      const large = yield* post(`${v1}/txt2img`, { ...small, comments: "x".repeat(1_100_000) })
      assert.deepStrictEqual([large.status, field(large.body, "detail")], [413, "Request body too large"])
      const chunk = new TextEncoder().encode("x".repeat(100_000))
      let left = 20
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => left-- > 0 ? controller.enqueue(chunk) : controller.close()
      })
      const streamed = yield* send(`${v1}/txt2img`, { method: "POST", body, duplex: "half" } as RequestInit)
      assert.strictEqual(streamed.status, 413)
    }))

  it.live("JSON that is nested a hundred thousand times is refused, and the server goes on", () =>
    Effect.gen(function*() {
      const { get, post } = yield* serving()
      const deep = "[".repeat(100_000) + "]".repeat(100_000)
      for (const body of [deep, `{"script_args": ${deep}}`, "[".repeat(100_000)]) {
        assert.strictEqual((yield* post(`${v1}/txt2img`, undefined, { body })).status, 422)
        assert.strictEqual((yield* post(`${v1}/options`, undefined, { body })).status, 422)
      }
      assert.strictEqual((yield* get("/health/ready")).status, 200)
    }))

  it.live("headers: huge ones and slow ones", () =>
    Effect.gen(function*() {
      const { port } = yield* serving({ server: { headers_timeout: 1 } })
      const huge = yield* raw(port, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`)
      assert.match(huge, /^HTTP\/1\.1 431 [^]*\{"detail":"Request Header Fields Too Large"\}$/)
      const nonsense = yield* raw(port, "NONSENSE\r\n\r\n")
      assert.match(nonsense, /^HTTP\/1\.1 400 /)
      const slow = yield* raw(port, "GET / HTTP/1.1\r\nHost: localhost\r\n")
      assert.match(slow, /^HTTP\/1\.1 408 [^]*\{"detail":"Request Timeout"\}$/)
    }))

  it.live("paths that climb lead nowhere", () =>
    Effect.gen(function*() {
      const { port } = yield* serving()
      for (
        const path of [
          "/../../etc/passwd",
          "/sdapi/v1/../../../etc/passwd",
          "/%2e%2e/%2e%2e/etc/passwd",
          "/%00",
          "/%ff"
        ]
      ) {
        const answer = yield* raw(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
        assert.match(answer, /^HTTP\/1\.1 40[04] /, path)
      }
    }))
})

describe("queue", () => {
  it.live("a client that goes away takes its run with it, unless its images are to be saved", () =>
    Effect.gen(function*() {
      for (const save_images of [false, true]) {
        const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
        const { queue, post } = yield* serving({ model: fault(TestModel.make()) })
        const client = yield* Effect.forkChild(post(`${v1}/txt2img`, { ...small, save_images, force_task_id: "mine" }))
        yield* hanging
        yield* Fiber.interrupt(client)
        const ended = until(queue.get("mine"), Option.exists(({ endedAt }) => endedAt !== undefined))
        if (save_images) yield* release
        const run = yield* ended
        assert.deepStrictEqual(
          Option.map(run, ({ status }) => status._tag),
          Option.some(save_images ? "Done" as const : "Cancelled" as const)
        )
      }
    }))

  it.live("when too many wait, one more is told when to come back", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* Faults.hang("execute")
      const { queue, post } = yield* serving({ server: { queue: 1 }, faults: [fault] })
      const clients = [yield* Effect.forkChild(post(`${v1}/txt2img`, small))]
      yield* hanging
      clients.push(yield* Effect.forkChild(post(`${v1}/txt2img`, small)))
      yield* until(queue.list, (all) => all.length === 2)
      const full = yield* post(`${v1}/txt2img`, small)
      assert.strictEqual(full.status, 429)
      assert.match(full.headers.get("retry-after") ?? "", /^\d+$/)
      yield* release
      for (const client of clients) assert.strictEqual((yield* Fiber.join(client)).status, 200)
    }))

  it.live("progress is 0 at rest, and tells of the run that goes on", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 3 })
      const { get, queue, post } = yield* serving({ model: fault(TestModel.make()) })
      const progress = (query = "") => Effect.map(get(`${v1}/progress${query}`), ({ body }) => body)
      const state = (body: unknown, name: string) => field(body, "state", name)
      const rest = yield* progress()
      assert.deepStrictEqual([
        field(rest, "progress"),
        field(rest, "eta_relative"),
        state(rest, "job_count"),
        state(rest, "job")
      ], [
        0,
        0,
        0,
        ""
      ])
      const client = yield* Effect.forkChild(
        post(`${v1}/txt2img`, {
          ...small,
          steps: 4,
          n_iter: 2,
          force_task_id: "mine",
          override_settings: { show_progress_every_n_steps: 1 }
        })
      )
      yield* hanging
      yield* until(queue.current, Option.isSome)
      const during = yield* progress()
      assert.strictEqual(state(during, "job_count"), 2)
      assert.strictEqual(state(during, "job"), "Batch 1 out of 2")
      assert.isAbove(Number(field(during, "progress")), 0)
      assert.isBelow(Number(field(during, "progress")), 0.5)
      assert.deepStrictEqual(field(yield* progress("?task_id=mine"), "progress"), field(during, "progress"))
      assert.strictEqual(field(yield* progress("?task_id=other"), "progress"), 0)
      assert.match(String(field(during, "current_image")), /^iVBORw0KGgo/)
      assert.isNull(field(yield* progress("?skip_current_image=true"), "current_image"))
      assert.strictEqual((yield* get(`${v1}/progress?skip_current_image=x`)).status, 422)
      const task = yield* post("/internal/progress", { id_task: "mine" })
      assert.deepStrictEqual([field(task.body, "active"), field(task.body, "completed")], [true, false])
      yield* post(`${v1}/interrupt`)
      yield* release
      const answer = yield* Fiber.join(client)
      assert.strictEqual(answer.status, 200)
      assert.lengthOf(Object.values(field(answer.body, "images") ?? {}), 1)
      assert.deepStrictEqual(field(JSON.parse(String(field(answer.body, "info"))), "all_seeds"), [5, 6])
      const after = yield* progress()
      assert.deepStrictEqual([field(after, "progress"), state(after, "job_count"), state(after, "interrupted")], [
        0,
        0,
        true
      ])
      // At rest neither does anything that lasts.
      yield* post(`${v1}/interrupt`)
      yield* post(`${v1}/skip`)
      const next = yield* post(`${v1}/txt2img`, { ...small, n_iter: 2 })
      assert.lengthOf(Object.values(field(next.body, "images") ?? {}), 2)
      assert.strictEqual(field((yield* post("/internal/progress", { id_task: "mine" })).body, "completed"), true)
    }))

  it.live("an interrupt by a task's id ends that task only, and one that waits never begins", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* Faults.hang("execute")
      const { get, queue, post } = yield* serving({ faults: [fault] })
      const first = yield* Effect.forkChild(post(`${v1}/txt2img`, { ...small, force_task_id: "first" }))
      yield* hanging
      const second = yield* Effect.forkChild(post(`${v1}/txt2img`, { ...small, force_task_id: "second" }))
      yield* until(queue.list, (all) => all.length === 2)
      assert.deepStrictEqual((yield* get("/internal/pending-tasks")).body, { size: 1, tasks: ["second"] })
      yield* post(`${v1}/interrupt?task_id=second`)
      assert.strictEqual((yield* Fiber.join(second)).status, 409)
      yield* release
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
    }))

  it.live("a server that ends answers who waits, and gives what its run has", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      const scope = yield* Scope.make()
      const { queue, post } = yield* Scope.provide(
        serving({ server: { grace: 0 }, model: fault(TestModel.make()) }),
        scope
      )
      const running = yield* Effect.forkChild(post(`${v1}/txt2img`, { ...small, steps: 5 }))
      yield* hanging
      const waiting = yield* Effect.forkChild(post(`${v1}/txt2img`, small))
      yield* until(queue.list, (all) => all.length === 2)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      assert.strictEqual((yield* Fiber.join(waiting)).status, 503)
      assert.isFalse(queue.isAccepting())
      yield* until(queue.current, (run) =>
        Option.exists(run, ({ status }) => status._tag === "Running" && status.progress?.interrupted === true))
      yield* release
      assert.strictEqual((yield* Fiber.join(running)).status, 200)
      yield* Fiber.join(closing)
    }))
})

describe("a server that ends", () => {
  it.live("answers until its run has ended: not ready but alive, and without new runs", () =>
    Effect.gen(function*() {
      const { fault, hanging, release } = yield* ModelFaults.hang({ step: 1 })
      const scope = yield* Scope.make()
      const { get, port, post, queue } = yield* Scope.provide(
        serving({ server: { grace: 60 }, model: fault(TestModel.make()) }),
        scope
      )
      const running = yield* Effect.forkChild(post(`${v1}/txt2img`, small))
      yield* hanging
      const waiting = yield* Effect.forkChild(post(`${v1}/txt2img`, small))
      yield* until(queue.list, (all) => all.length === 2)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      assert.strictEqual((yield* Fiber.join(waiting)).status, 503)
      const ready = yield* get("/health/ready")
      assert.deepStrictEqual([ready.status, ready.headers.get("retry-after")], [503, "10"])
      assert.strictEqual((yield* get("/health/live")).status, 200)
      assert.strictEqual((yield* post(`${v1}/txt2img`, small)).status, 503)
      yield* release
      const { body, status } = yield* Fiber.join(running)
      assert.strictEqual(status, 200)
      assert.lengthOf(Object.values(field(body, "images") ?? {}), 1)
      yield* Fiber.join(closing)
      assert.isUndefined(yield* knock(port, "/health/live"))
    }))
})

describe("a server that starts", () => {
  it.live("accepts connections once it answers them", () =>
    Effect.gen(function*() {
      const building = yield* Latch.make()
      const built = yield* Latch.make()
      const port = yield* freePort
      const starting = yield* Effect.forkChild(serving({
        server: { port },
        routes: Layer.effectDiscard(Effect.andThen(building.open, built.await))
      }))
      yield* building.await
      for (let i = 0; i < 20; i++) assert.isUndefined(yield* knock(port, "/health/live"))
      yield* built.open
      const first = yield* until(knock(port, "/health/live"), (answer) => answer !== undefined)
      assert.match(first ?? "", /^HTTP\/1.1 200 OK/)
      yield* Fiber.join(starting)
    }))
})

describe("the file of settings", () => {
  it.live("keeps them from one start to the next, replaced whole", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dir = yield* fs.makeTempDirectoryScoped()
      const options_file = `${dir}/settings.json`
      yield* Effect.scoped(Effect.gen(function*() {
        const { post } = yield* serving({ server: { options_file } })
        yield* post(`${v1}/options`, { jpeg_quality: 91, send_seed: false })
      }))
      assert.deepStrictEqual(yield* fs.readDirectory(dir), ["settings.json"])
      const { get } = yield* serving({ server: { options_file } })
      const { body } = yield* get(`${v1}/options`)
      assert.deepStrictEqual([field(body, "jpeg_quality"), field(body, "send_seed")], [91, false])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("are read from a file that any editor saved, and from no other", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped()}/settings.json`
      const read = Effect.scoped(Effect.map(OptionsFile.open(file), ({ values }) => values))
      const text = "{\n\"outdir_samples\": \"\u732B\"\n}\n"
      for (const [name, save] of savedWithLines) {
        yield* fs.writeFile(file, save(text))
        assert.deepStrictEqual(yield* read, { outdir_samples: "\u732B" }, name)
      }
      for (const bytes of [Buffer.from("{\"a\": \"d\u00E9tail\"}", "latin1"), Buffer.from(text, "utf16le")]) {
        yield* fs.writeFile(file, bytes)
        assert.include((yield* Effect.flip(read)).message, `${file}: it is not valid UTF-8; save it as UTF-8`)
      }
    }).pipe(Effect.provide([NodeFileSystem.layer, NodePath.layer])))

  it.live("keeps what clients have changed: a default too, and no flags, which go over it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const options_file = `${yield* fs.makeTempDirectoryScoped()}/settings.json`
      const opts = { outdir_grids: "of-a-flag" }
      const saved = Effect.map(fs.readFileString(options_file), (text): unknown => JSON.parse(text))
      yield* Effect.scoped(Effect.gen(function*() {
        const { get, post } = yield* serving({ server: { options_file }, opts })
        const { body } = yield* get(`${v1}/options`)
        assert.deepStrictEqual([field(body, "grid_save"), field(body, "outdir_grids")], [true, "of-a-flag"])
        // As clients do that send all settings back.
        yield* post(`${v1}/options`, { ...Object(body), sd_model_checkpoint: undefined, grid_save: false })
        assert.deepStrictEqual(yield* saved, { grid_save: false })
        yield* post(`${v1}/options`, { outdir_grids: "changed" })
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const { get, post } = yield* serving({ server: { options_file }, opts })
        const { body } = yield* get(`${v1}/options`)
        assert.deepStrictEqual([field(body, "grid_save"), field(body, "outdir_grids")], [false, "of-a-flag"])
        yield* post(`${v1}/options`, { jpeg_quality: 91 })
        assert.deepStrictEqual(yield* saved, { grid_save: false, outdir_grids: "changed", jpeg_quality: 91 })
      }))
      const { get } = yield* serving({ server: { options_file } })
      assert.strictEqual(field((yield* get(`${v1}/options`)).body, "outdir_grids"), "changed")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("that cannot be written changes nothing, and says what to do", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const options_file = `${yield* fs.makeTempDirectoryScoped()}/settings.json`
      // No run ends by itself.
      const { fault } = yield* Faults.hang("execute")
      const { get, post, queue } = yield* serving({ server: { options_file }, faults: [fault] })
      yield* post(`${v1}/options`, { jpeg_quality: 91, send_seed: false })
      const before = (yield* get(`${v1}/options`)).body
      yield* fs.remove(options_file)
      yield* fs.makeDirectory(options_file)
      const change = { jpeg_quality: 7, send_seed: true }
      const answers = [
        yield* post(`${v1}/options`, change),
        yield* post(`${v1}/txt2img`, {
          ...small,
          override_settings: change,
          override_settings_restore_afterwards: false
        })
      ]
      for (const { status, text } of answers) {
        assert.strictEqual(status, 500)
        assert.match(text, /The settings were not saved in settings\.json: .*None has changed.*--data-dir/)
        assert.notMatch(text, /image|--outdir/)
        assert.notInclude(text, options_file)
      }
      assert.deepStrictEqual((yield* get(`${v1}/options`)).body, before)
      const ended = yield* until(queue.list, (runs) => runs.every(({ endedAt }) => endedAt !== undefined))
      assert.deepStrictEqual(ended.map(({ status }) => status._tag), ["Cancelled"])
      yield* fs.remove(options_file, { recursive: true })
      assert.strictEqual((yield* post(`${v1}/options`, change)).status, 200)
      assert.strictEqual(field((yield* get(`${v1}/options`)).body, "jpeg_quality"), 7)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("belongs to one server at a time, under every name of the file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dir = yield* fs.makeTempDirectoryScoped()
      const options_file = `${dir}/settings.json`
      yield* fs.writeFileString(options_file, "{}")
      yield* fs.symlink(options_file, `${dir}/link.json`)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* serving({ server: { options_file } })
        for (const name of [options_file, `${dir}/link.json`]) {
          const { message } = yield* Effect.flip(serving({ server: { options_file: name } }))
          assert.include(message, `process ${process.pid}`)
          assert.match(message, /Stop it, or .*--data-dir.*--options-file/)
        }
      }))
      const { post } = yield* serving({ server: { options_file: `${dir}/link.json` } })
      yield* post(`${v1}/options`, { jpeg_quality: 91 })
      assert.include(yield* fs.readFileString(options_file), "91")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("is refused with everything that is wrong with it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const options_file = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(
        options_file,
        "{\"jpeg_quality\": \"best\", \"send_seed\": 7, \"of_another_program\": 1}"
      )
      const error = yield* Effect.flip(serving({ server: { options_file } }))
      assert.strictEqual(error._tag, "InvalidOptions")
      if (error._tag === "InvalidOptions") {
        assert.deepStrictEqual(error.problems.map(({ path }) => path).toSorted(), [
          `${options_file}: jpeg_quality`,
          `${options_file}: send_seed`
        ])
      }
      yield* fs.writeFileString(options_file, "{")
      assert.match((yield* Effect.flip(serving({ server: { options_file } }))).message, /it is not JSON/)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
