import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import { Txt2Img } from "../../src/processing/Processing.ts"
import * as RemoteRuntime from "../../src/remote/RemoteRuntime.ts"
import { processImages } from "../../src/runner/processImages.ts"
import { type Options, start, temporaryFolder } from "../cli/process.ts"
import { faults } from "./faults.ts"
import { cannotMount, imagesIn, numbers, trying, unshare } from "./trying.ts"

const { clientGone, damagedBodies, fullDisk, killedServer, killedWhileSaving, remoteClientKilled, remoteKilled } =
  faults.Servers

/** `serena serve` on a port of its own. */
const serve = (...flags: ReadonlyArray<string>) => serveThrough({}, ...flags)

const serveThrough = Effect.fnUntraced(function*(options: Options, ...flags: ReadonlyArray<string>) {
  const server = yield* start(["serve", "--port", "0", "--threads", "1", ...flags], options)
  const url = yield* server.printed(/http:\S+/)
  const request = (method: string, path: string, body?: string | Uint8Array<ArrayBuffer>) =>
    Effect.promise((signal) =>
      fetch(url + path, { method, signal, ...(body !== undefined && { body, headers: json }) })
    )
  const get = (path: string) => Effect.flatMap(request("GET", path), (reply) => Effect.promise(() => reply.text()))
  return { ...server, url, request, get }
})

const remoteRun = fileURLToPath(new URL("./remoteRun.ts", import.meta.url))

const json = { "content-type": "application/json" }

type Server = Effect.Success<ReturnType<typeof serve>>

/** A run of many batches, which takes as long as the test wants. */
const long = { prompt: "a heart", steps: 10, n_iter: 100 }

const submit = (server: Server, id: string, fields: Readonly<Record<string, unknown>>) =>
  server.request("POST", "/v1/runs", JSON.stringify({ ...fields, task_id: id }))

/** Reads a run's events until its stream has said something that fits. */
const follow = (server: Server, id: string, pattern: RegExp) =>
  Effect.tryPromise(async (signal) => {
    const { body } = await fetch(`${server.url}/v1/runs/${encodeURIComponent(id)}/events`, { signal })
    let text = ""
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk
      if (pattern.test(text)) return
    }
    throw new Error(`the events ended without ${pattern}`)
  })

/** The first image of a run that always makes the same one. */
const image = Effect.fnUntraced(function*(server: Server, id: string, fields: { readonly save?: boolean } = {}) {
  yield* submit(server, id, { prompt: "a heart", steps: 2, seed: 1, width: 64, height: 64, ...fields })
  yield* follow(server, id, /event: done/)
  const reply = yield* server.request("GET", `/v1/runs/${id}/images/0`)
  return Buffer.from(yield* Effect.promise(() => reply.arrayBuffer()))
})

// Neither is the default, which the file leaves out.
const formats = ["jpg", "webp"] as const

const Settings = Schema.fromJsonString(Schema.Struct({ samples_format: Schema.optionalKey(Schema.Literals(formats)) }))

// Most repeat their fault themselves: a server that has started again is the one for the next time.
describe("a server", () => {
  trying({ ...killedServer, times: 1 }, () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      let server = yield* serve("--outdir", outdir)
      for (let time = 0; time < killedServer.times; time++) {
        const { count: before } = yield* imagesIn(outdir)
        yield* submit(server, "killed", { ...long, save: true })
        yield* submit(server, "waiting", { ...long, save: true })
        yield* follow(server, "killed", new RegExp(`(?:event: image[^]*){${time + 1}}`))
        yield* server.send("SIGKILL")
        assert.strictEqual((yield* server.end).code, 137)
        const { areWhole, count } = yield* imagesIn(outdir)
        assert.isTrue(areWhole)
        assert.isAtLeast(count - before, time + 1)

        server = yield* serve("--outdir", outdir)
        assert.isAbove((yield* image(server, "next")).length, 0)
      }
    }))

  trying({ ...killedWhileSaving, times: 1 }, () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* temporaryFolder}/settings.json`
      const set = (server: Server, turn: number) =>
        server.request("PATCH", "/v1/options", JSON.stringify({ samples_format: formats[turn % 2] }))
      let server = yield* serve("--options-file", file)
      for (let time = 0; time < killedWhileSaving.times; time++) {
        for (let turn = 0; turn <= time; turn++) assert.strictEqual((yield* set(server, turn)).status, 200)
        const unanswered = yield* Effect.forkChild(Effect.exit(set(server, time + 1)), { startImmediately: true })
        // Later from one time to the next, by turns of this process.
        yield* Effect.forEach(Array.from({ length: 10 * time }), () => Effect.promise(() => new Promise(setImmediate)))
        yield* server.send("SIGKILL")
        yield* server.end
        yield* Fiber.interrupt(unanswered)
        const kept = yield* Schema.decodeUnknownEffect(Settings)(yield* fs.readFileString(file))
        assert.include([formats[time % 2], formats[(time + 1) % 2]], kept.samples_format)

        server = yield* serve("--options-file", file)
        assert.include(yield* server.get("/v1/options"), `"samples_format":"${kept.samples_format}"`)
      }
    }))

  trying(fullDisk, () =>
    Effect.gen(function*() {
      const disk = yield* temporaryFolder
      const script = `mount -t tmpfs -o size=1m tmpfs ${disk} && mkdir ${disk}/tmp ${disk}/data ${disk}/images &&
        { dd if=/dev/zero of=${disk}/fill bs=4k 2>/dev/null; exec "$@"; }`
      const options: Options = {
        through: [...unshare, "sh", "-c", script, "sh"],
        env: { TMPDIR: `${disk}/tmp`, SERENA_DATA_DIR: `${disk}/data` }
      }
      const server = yield* serveThrough(options, "--outdir", `${disk}/images`)
      yield* server.said(/cannot be saved .*the disk is full/)
      const settings = yield* server.get("/v1/options")
      const refused = yield* server.request("PATCH", "/v1/options", JSON.stringify({ samples_format: "webp" }))
      assert.strictEqual(refused.status, 500)
      assert.include(yield* Effect.promise(() => refused.text()), "the disk is full")
      assert.strictEqual(yield* server.get("/v1/options"), settings)

      const small = { prompt: "a heart", steps: 1, width: 64, height: 64 }
      yield* submit(server, "saved", { ...small, save: true })
      yield* follow(server, "saved", /event: failed[^]*the disk is full/)
      assert.isAbove((yield* image(server, "given", { save: false })).length, 0)
    }), cannotMount)

  trying({ ...clientGone, times: 1 }, () =>
    Effect.gen(function*() {
      const server = yield* serve()
      for (let time = 0; time < clientGone.times; time++) {
        const [gone, stays] = [`gone ${time}`, `stays ${time}`]
        const asked = yield* Effect.forkChild(
          server.request("POST", "/sdapi/v1/txt2img", JSON.stringify({ ...long, force_task_id: gone }))
        )
        yield* Effect.eventually(follow(server, gone, /event: image/))
        yield* Fiber.interrupt(asked)
        yield* follow(server, gone, /event: cancelled/)

        yield* submit(server, stays, { ...long, n_iter: 3 })
        yield* follow(server, stays, /event: image/)
        yield* follow(server, stays, /event: done/)
        assert.include(yield* server.get(`/v1/runs/${encodeURIComponent(stays)}`), `"_tag":"Done"`)
      }
    }))

  trying({ ...damagedBodies, times: 1 }, () =>
    Effect.gen(function*() {
      const server = yield* serve("--max-width", "128", "--max-height", "128", "--max-steps", "4", "--queue", "1000")
      const before = yield* image(server, "before")
      const valid = Buffer.from(JSON.stringify({
        prompt: "a (red:1.2) heart",
        negative_prompt: "é",
        steps: 1,
        width: 64,
        height: 64,
        seed: 5,
        cfg_scale: 4.5,
        override_settings: { CLIP_stop_at_last_layers: 1 },
        sampler_name: "Euler a"
      }))
      const random = numbers(7)
      for (let time = 0; time < damagedBodies.times; time++) {
        const path = ["/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/v1/runs", "/sdapi/v1/options"][time % 4] ?? ""
        const body = damage(valid, random)
        const reply = yield* server.request("POST", path, body)
        const text = yield* Effect.promise(() => reply.text())
        assert.isBelow(reply.status, 500, `${path} ${body.toString("latin1")}: ${text.slice(0, 200)}`)
      }
      assert.isTrue(before.equals(yield* image(server, "after")))
    }))

  trying(remoteKilled, () =>
    Effect.gen(function*() {
      const server = yield* serve()
      const run = yield* Effect.forkChild(
        processImages(Txt2Img.make({ ...long, width: 64, height: 64 })).pipe(
          Effect.provide(RemoteRuntime.layer({ url: server.url, options: { samples_save: false } })),
          Effect.flip
        )
      )
      const isRunning = Effect.filterOrFail(server.get("/v1/runs"), (runs) => runs.includes(`"_tag":"Running"`))
      yield* Effect.eventually(isRunning)
      yield* server.send("SIGKILL")
      const error = yield* Fiber.join(run)
      assert.strictEqual(error._tag, "RemoteServerError")
      assert.include(error.message, server.url)
    }))

  trying(remoteClientKilled, (time) =>
    Effect.gen(function*() {
      const server = yield* serve()
      const outdir = yield* temporaryFolder
      const client = yield* start([server.url, outdir], { program: remoteRun })
      yield* client.said(new RegExp(`\\b${time + 1} finished`))
      yield* client.send("SIGKILL")
      assert.strictEqual((yield* client.end).code, 137)
      const { areWhole, count } = yield* imagesIn(outdir)
      assert.isTrue(areWhole)
      assert.isAtLeast(count, time + 1)
    }))
})

/** The bytes with one to three places damaged. */
const damage = (bytes: Buffer<ArrayBuffer>, random: (end: number) => number): Buffer<ArrayBuffer> => {
  let damaged = bytes
  for (let i = random(3); i >= 0; i--) {
    const from = random(damaged.length)
    const to = from + random(damaged.length - from)
    const [before, part, after] = [damaged.subarray(0, from), damaged.subarray(from, to), damaged.subarray(to)]
    const other = Buffer.from(part)
    if (other.length > 0) other[random(other.length)] = random(256)
    damaged = Buffer.concat(
      [
        [before, after],
        [before, part, part, after],
        [before, other, after],
        [before, Buffer.from([random(256)]), part, after],
        [before]
      ][random(5)] ?? []
    )
  }
  return damaged
}
