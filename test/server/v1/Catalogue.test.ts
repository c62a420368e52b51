import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { ModelFile } from "../../../src/contract/Catalogue.ts"
import { Limits } from "../../../src/processing/Limits.ts"
import { Options } from "../../../src/processing/Options.ts"
import * as PlainEncoder from "../../../src/testing/PlainEncoder.ts"
import { slopes } from "../../diffusion/pictures.ts"
import { safetensors } from "../../models/checkpoint/safetensorsFile.ts"
import { embedding, lora } from "../../models/hub/files.ts"
import { listening, type ListeningOptions, posted, small } from "./listening.ts"

const started = Effect.fnUntraced(function*(options?: ListeningOptions) {
  const server = yield* listening(options)
  const { send } = server
  const ask = (path: string, init?: RequestInit) =>
    Effect.flatMap(send(path, init), (response) =>
      Effect.promise(async () => {
        const body: unknown = await response.json()
        return { status: response.status, headers: response.headers, body }
      }))
  return { ...server, ask, get: (path: string) => Effect.map(ask(path), ({ body }) => body) }
})

describe("What there is to choose from", () => {
  it.live("is listed", () =>
    Effect.gen(function*() {
      const { get } = yield* started({
        opts: { sd_model_checkpoint: "second-model" },
        styles: [{ name: "Noir", prompt: "{prompt}, film noir", negativePrompt: "colour" }]
      })
      assert.deepStrictEqual(yield* get("/v1/models"), [
        {
          name: "first-model",
          title: "first-model",
          kind: "checkpoint",
          family: null,
          variant: null,
          width: 128,
          height: 128,
          file: "first-model",
          hash: null,
          selected: false,
          embedded: true
        },
        {
          name: "second-model",
          title: "second-model",
          kind: "checkpoint",
          family: null,
          variant: null,
          width: null,
          height: null,
          file: "second-model",
          hash: null,
          selected: true,
          embedded: false
        }
      ])
      assert.deepStrictEqual(yield* get("/v1/styles"), [
        { name: "Noir", prompt: "{prompt}, film noir", negative_prompt: "colour" }
      ])
      const preprocessors = yield* get("/v1/preprocessors")
      assert.deepStrictEqual(Array.isArray(preprocessors) ? preprocessors[2] : undefined, {
        name: "canny",
        label: "canny",
        resized: true,
        threshold_a: { label: "Low Threshold", minimum: 1, maximum: 255, step: 1, value: 100 },
        threshold_b: { label: "High Threshold", minimum: 1, maximum: 255, step: 1, value: 200 }
      })
      const names = (list: unknown) => Array.isArray(list) ? list.map((one: { readonly name: string }) => one.name) : []
      assert.includeMembers(names(yield* get("/v1/samplers")), ["Euler", "Euler a", "DPM++ 2M", "DDIM", "UniPC"])
      assert.includeMembers(names(yield* get("/v1/schedulers")), ["automatic", "karras", "beta"])
      assert.deepStrictEqual(names(yield* get("/v1/upscalers")).slice(0, 1), ["Latent"])
      assert.includeMembers(names(yield* get("/v1/upscalers")), ["None", "Lanczos", "Nearest"])
      assert.deepInclude(yield* get("/v1/limits"), { max_width: 2048, max_batch_size: 16 })
    }))

  it.live("has the files of the models folders with their previews, by kind and by search", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const modelsDir = yield* fs.makeTempDirectoryScoped()
      yield* fs.makeDirectory(`${modelsDir}/Lora`)
      yield* fs.writeFile(`${modelsDir}/Lora/my style.safetensors`, lora())
      yield* fs.writeFile(`${modelsDir}/cat.safetensors`, embedding)
      yield* fs.writeFileString(`${modelsDir}/cat.png`, "<script>")
      const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1)
      yield* fs.writeFile(`${modelsDir}/Lora/my style.preview.png`, png)
      const { get, send } = yield* started({ cmdOpts: { modelsDir } })
      const list = (query: string) =>
        Effect.flatMap(get(`/v1/model-files${query}`), Schema.decodeUnknownEffect(Schema.Array(ModelFile)))
      const [style] = yield* list("?kind=lora")
      assert(style !== undefined)
      assert.deepStrictEqual(style, {
        id: style.id,
        name: "my style",
        tag: "my style",
        kind: "lora",
        family: "sd1",
        size: lora().length,
        hash: null,
        embedded: false,
        trained_words: [],
        has_preview: true,
        problem: null
      })
      assert.notInclude(JSON.stringify(yield* list("")), modelsDir)
      const names = (query: string) => Effect.map(list(query), (files) => files.map(({ name }) => name).toSorted())
      assert.deepStrictEqual(yield* names(""), ["cat", "my style", "shapes-128"])
      assert.deepStrictEqual(yield* names("?search=STYLE"), ["my style"])
      assert.deepStrictEqual(yield* names("?kind=lora&search=cat"), [])
      const preview = yield* send(`/v1/model-files/${style.id}/preview`)
      assert.deepStrictEqual([preview.status, preview.headers.get("content-type")], [200, "image/png"])
      assert.deepStrictEqual(new Uint8Array(yield* Effect.promise(() => preview.arrayBuffer())), png)
      // What is no image is not sent, whatever its name says.
      const [cat] = yield* list("?kind=embedding")
      for (const id of [cat?.id ?? "", "0123456789abcdef", "..%2F..%2Fetc"]) {
        for (const size of ["preview", "thumbnail"]) {
          assert.strictEqual((yield* send(`/v1/model-files/${id}/${size}`)).status, 404)
        }
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("names LoRAs in tags as they call themselves, or by their files where a setting or another file has it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const modelsDir = yield* fs.makeTempDirectoryScoped()
      const module = "lora_unet_mid_block_attentions_0_proj_in"
      const halves = {
        [`${module}.lora_down.weight`]: { shape: [1, 2], values: [1, 2] },
        [`${module}.lora_up.weight`]: { shape: [2, 1], values: [1, 2] }
      }
      const named = { a: "Fine Style", b: "twice", c: "Twice", d: "a", e: "<odd>", f: undefined }
      for (const [name, alias] of Object.entries(named)) {
        const about = alias === undefined ? {} : { ss_output_name: alias }
        yield* fs.writeFile(`${modelsDir}/${name}.safetensors`, safetensors(halves, about))
      }
      const tags = Effect.fnUntraced(function*(opts: ListeningOptions["opts"], query = "") {
        const { get } = yield* started({ cmdOpts: { modelsDir }, opts })
        const files = yield* Schema.decodeUnknownEffect(Schema.Array(ModelFile))(yield* get(`/v1/model-files${query}`))
        return files.map(({ tag }) => tag)
      })
      assert.deepStrictEqual(yield* tags({}), ["Fine Style", "b", "c", "d", "e", "f", null])
      assert.deepStrictEqual(yield* tags({}, "?search=fine"), ["Fine Style"])
      assert.deepStrictEqual(yield* tags({ lora_preferred_name: "Filename" }, "?kind=lora"), [
        "a",
        "b",
        "c",
        "d",
        "e",
        "f"
      ])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("may be very many styles, which both APIs send whole", () =>
    Effect.gen(function*() {
      const styles = Array.from({ length: 20_000 }, (_, i) => ({
        name: `s${i}`,
        prompt: `{prompt}, "\u732B" ${i}`,
        negativePrompt: "n"
      }))
      const { get } = yield* started({ styles })
      const expected = styles.map(({ name, prompt }) => ({ name, prompt, negative_prompt: "n" }))
      assert.deepStrictEqual(yield* get("/v1/styles"), expected)
      assert.deepStrictEqual(yield* get("/sdapi/v1/prompt-styles"), expected)
    }))

  it.live("is made by names that the lists give", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* started()
      const schedulers = yield* get("/v1/schedulers")
      assert.isTrue(Array.isArray(schedulers))
      for (const { label, name } of Array.isArray(schedulers) ? schedulers : []) {
        for (const scheduler of [label, name]) {
          const { status } = yield* ask("/v1/runs", posted({ ...small, scheduler }))
          assert.strictEqual(status, 202)
        }
      }
    }))
})

describe("/v1/status", () => {
  it.live("tells what runs and what waits", () =>
    Effect.gen(function*() {
      const { get } = yield* started()
      const status = yield* get("/v1/status")
      assert.deepInclude(status, { accepting: true, queued: 0, running: 0, runs: [] })
      assert.match(JSON.stringify(status), /"version":"\d+\.\d+\.\d+/)
    }))
})

describe("/v1/options", () => {
  it.live("is as before when a change cannot be saved", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const options_file = `${yield* fs.makeTempDirectoryScoped()}/settings.json`
      const { ask, get } = yield* started({ server: { options_file } })
      const before = yield* get("/v1/options")
      yield* fs.makeDirectory(options_file)
      const { body, status } = yield* ask("/v1/options", posted({ CLIP_stop_at_last_layers: 2 }, "PATCH"))
      assert.strictEqual(status, 500)
      assert(Predicate.isObject(body))
      assert.deepInclude(body, {
        _tag: "SettingsNotSaved",
        file: "settings.json",
        reason: "a folder has the name of the file"
      })
      assert.deepStrictEqual(yield* get("/v1/options"), before)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("gives the settings that act, and changes them all or none", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* started()
      const before = yield* get("/v1/options")
      assert.deepStrictEqual(Object.keys(before ?? {}).toSorted(), Object.keys(Options.defaults).toSorted())
      const wrong = yield* ask(
        "/v1/options",
        posted({ CLIP_stop_at_last_layers: 2, samples_format: "gif", nope: 1 }, "PATCH")
      )
      assert.strictEqual(wrong.status, 422)
      assert.match(JSON.stringify(wrong.body), /"path":"nope".*"path":"samples_format"/)
      assert.deepStrictEqual(yield* get("/v1/options"), before)
      const right = yield* ask("/v1/options", posted({ CLIP_stop_at_last_layers: 2 }, "PATCH"))
      assert.deepInclude(right.body, { CLIP_stop_at_last_layers: 2 })
      assert.deepStrictEqual(yield* get("/v1/options"), right.body)
    }))

  it.live("refuses what is no object of settings", () =>
    Effect.gen(function*() {
      const { ask } = yield* started()
      assert.strictEqual((yield* ask("/v1/options", posted([1], "PATCH"))).status, 422)
      assert.strictEqual((yield* ask("/v1/options", { method: "PATCH", body: "{" })).status, 400)
    }))
})

describe("/v1/png-info", () => {
  it.live("tells what an image tells, and the request that it stands for", () =>
    Effect.gen(function*() {
      const { ask } = yield* started()
      const infotext =
        "a cat\nNegative prompt: a dog\nSteps: 12, Sampler: Euler a, CFG scale: 4.5, Seed: 3, Size: 64x72, RNG: CPU"
      const body = new Uint8Array(yield* PlainEncoder.encode({ raster: slopes(), infotext }))
      const told = yield* ask("/v1/png-info", { method: "POST", body, headers: { "content-type": "image/png" } })
      assert.strictEqual(told.status, 200)
      assert.deepInclude(told.body, { infotext, items: {}, problems: [] })
      const request = Predicate.hasProperty(told.body, "request") ? told.body.request : undefined
      assert.deepInclude(request, {
        _tag: "Txt2Img",
        prompt: "a cat",
        negative_prompt: "a dog",
        steps: 12,
        sampler_name: "Euler a",
        cfg_scale: 4.5,
        seed: 3,
        width: 64,
        height: 72
      })
      assert.strictEqual((yield* ask("/v1/runs", posted(request))).status, 202)
    }))

  it.live("keeps the ControlNets of the text, whose images are given again", () =>
    Effect.gen(function*() {
      const { ask } = yield* started()
      const infotext = "a cat\nSteps: 2, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 64x64, " +
        "ControlNet 0: \"Module: canny, Model: lines [d14c016b], Weight: 0.5, Resize Mode: Just Resize, " +
        "Threshold A: 80, Guidance End: 0.75, Control Mode: Balanced\""
      const body = new Uint8Array(yield* PlainEncoder.encode({ raster: slopes(), infotext }))
      const { body: told } = yield* ask("/v1/png-info", { method: "POST", body })
      assert.match(JSON.stringify(told), /Give the image that it followed again/)
      const request = Predicate.hasProperty(told, "request") ? told.request : undefined
      const [unit] = Predicate.hasProperty(request, "control_units") && Array.isArray(request.control_units)
        ? request.control_units
        : []
      assert.deepInclude(unit, {
        enabled: true,
        module: "canny",
        model: "lines [d14c016b]",
        weight: 0.5,
        resize_mode: "resize",
        threshold_a: 80,
        guidance_start: 0,
        guidance_end: 0.75
      })
    }))

  it.live("names the model by the name it has here, and says when there is none", () =>
    Effect.gen(function*() {
      const { ask } = yield* started()
      const infotext = "a cat\nSteps: 2, Sampler: Euler, Seed: 3, Size: 64x64, Model hash: 0123456789"
      const body = new Uint8Array(yield* PlainEncoder.encode({ raster: slopes(), infotext }))
      const { body: told } = yield* ask("/v1/png-info", { method: "POST", body })
      assert.match(JSON.stringify(told), /"problems":\[\{"path":"override_settings.sd_model_checkpoint"/)
      const request = Predicate.hasProperty(told, "request") ? told.request : undefined
      assert.strictEqual((yield* ask("/v1/runs", posted(request))).status, 202)
    }))

  it.live("says when an image tells nothing, and when it is none", () =>
    Effect.gen(function*() {
      const { ask } = yield* started()
      const body = new Uint8Array(yield* PlainEncoder.encode({ raster: slopes(), infotext: "" }))
      assert.deepStrictEqual((yield* ask("/v1/png-info", { method: "POST", body })).body, {
        infotext: null,
        items: {},
        request: null,
        problems: []
      })
      const none = yield* ask("/v1/png-info", { method: "POST", body: "abc" })
      assert.strictEqual(none.status, 422)
      assert.deepInclude(none.body, { _tag: "ImageCodecError" })
    }))
})

describe("The description of the API", () => {
  it.live("has every path of both APIs, and nothing that points nowhere", () =>
    Effect.gen(function*() {
      const { get } = yield* started()
      const document = yield* get("/openapi.json")
      assert.deepInclude(document, { openapi: "3.1.0" })
      const text = JSON.stringify(document)
      const paths = Object.keys(Predicate.hasProperty(document, "paths") ? document.paths ?? {} : {})
      assert.includeMembers(paths, [
        "/v1/runs",
        "/v1/runs/{id}/events",
        "/v1/options",
        "/sdapi/v1/txt2img",
        "/sdapi/v1/progress",
        "/sdapi/v1/sd-models",
        "/v1/preprocess",
        "/controlnet/model_list",
        "/controlnet/detect"
      ])
      assert.include(text, "multipart/form-data")
      for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
        assert.include(text, `"${name}":{`)
      }
      const ids = [...text.matchAll(/"operationId":"([^"]+)"/g)].map(([, id]) => id)
      assert.strictEqual(new Set(ids).size, ids.length)
    }))

  it.live("knows the fields of the webui's requests with their types and defaults", () =>
    Effect.gen(function*() {
      const { get } = yield* started()
      const text = JSON.stringify(yield* get("/openapi.json"))
      assert.include(
        text,
        `"cfg_scale":{"anyOf":[{"type":"number"},{"type":"null"}],"default":7,"title":"CFG Scale","description":"`
      )
      assert.include(
        text,
        `"steps":{"anyOf":[{"type":"integer"},{"type":"null"}],"default":50,"title":"Sampling steps","description":"`
      )
      assert.include(text, `"send_images":{"type":"boolean","default":true}`)
      assert.include(text, `"controlnet_processor_res":{"type":"integer","default":512}`)
    }))

  it.live("has every field of the replies to errors, and says which statuses a path has", () =>
    Effect.gen(function*() {
      const { ask, get } = yield* started()
      const document = yield* get("/openapi.json")
      const at = (...path: ReadonlyArray<string>) =>
        path.reduce<unknown>((inner, name) => Predicate.hasProperty(inner, name) ? inner[name] : undefined, document)
      const { body, status } = yield* ask("/v1/runs/nobody")
      assert.strictEqual(status, 404)
      const { $ref } = Object(
        at("paths", "/v1/runs/{id}", "get", "responses", "404", "content", "application/json", "schema")
      )
      const schema = at("components", "schemas", String($ref).split("/").at(-1) ?? "")
      assert.deepInclude(schema, { additionalProperties: false })
      assert.sameMembers(Object.keys(Object(Object(schema).properties)), Object.keys(body ?? {}))
      const statuses = (path: string, method: string) => Object.keys(at("paths", path, method, "responses") ?? {})
      assert.deepStrictEqual(statuses("/sdapi/v1/txt2img", "post"), [
        "200",
        "400",
        "403",
        "404",
        "409",
        "413",
        "421",
        "422",
        "429",
        "500",
        "503"
      ])
      assert.includeMembers(statuses("/controlnet/detect", "post"), ["200", "422", "429", "503"])
      assert.deepStrictEqual(statuses("/v1/runs/{id}", "get"), ["200", "400", "404", "421", "500", "503"])
    }))

  it.live("holds for long errors, which are compressed: they have their message too", () =>
    Effect.gen(function*() {
      const { ask } = yield* started()
      const names = Array.from({ length: 30 }, (_, i) => [`unknown_${i}`, 1] as const)
      const { body, headers, status } = yield* ask("/v1/runs", {
        method: "POST",
        headers: { "accept-encoding": "gzip" },
        body: JSON.stringify(Object.fromEntries(names))
      })
      assert.strictEqual(status, 422)
      assert.strictEqual(headers.get("content-encoding"), "gzip")
      assert.match(String(Object(body).message), /^The request cannot be processed/)
    }))

  it.live("says what is this server's: its limits, and whether it has users", () =>
    Effect.gen(function*() {
      const authorization = `Basic ${Buffer.from("ada:secret").toString("base64")}`
      const { ask, get } = yield* started({
        server: { api_auth: ["ada:secret"] },
        cmdOpts: { limits: Limits.make({ max_steps: 7 }) }
      })
      for (const path of ["/openapi.json", "/docs", "/app_id"]) {
        assert.deepInclude(yield* get(path), { detail: "Not authenticated" }, path)
      }
      const { body } = yield* ask("/openapi.json", { headers: { authorization } })
      const text = JSON.stringify(body)
      assert.match(text, /"steps":\{"anyOf":\[\{"type":"integer","minimum":1,"maximum":7\}/)
      assert.match(text, /"401":.*"basic":\[\]/)
      assert.notMatch(text, /"421":/)
      const open = yield* started()
      assert.notMatch(JSON.stringify(yield* open.get("/openapi.json")), /"401":|"basic":\[\]/)
    }))

  it.live("is shown as a page that asks no one else for anything", () =>
    Effect.gen(function*() {
      const { send } = yield* started()
      const response = yield* send("/docs")
      const html = yield* Effect.promise(() => response.text())
      assert.strictEqual(response.headers.get("content-type"), "text/html; charset=utf-8")
      assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'/)
      assert.notMatch(html, /<script|https?:\/\/|<link|<img|@import/)
      assert.include(html, "/v1/runs/{id}/events")
      assert.include(html, "/sdapi/v1/txt2img")
      for (const [, id] of html.matchAll(/href="#([^"]+)"/g)) assert.include(html, `id="${id}"`)
    }))
})
