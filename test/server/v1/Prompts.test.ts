import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { Suggestions } from "../../../src/contract/Prompts.ts"
import { embedding, lora } from "../../models/hub/files.ts"
import { listening, type ListeningOptions, posted } from "./listening.ts"

const started = Effect.fnUntraced(function*(options?: ListeningOptions) {
  const { send } = yield* listening(options)
  return (path: string, init?: RequestInit) =>
    Effect.flatMap(send(path, init), (response) =>
      Effect.promise(async () => {
        const body: unknown = await response.json()
        return { status: response.status, body }
      }))
})

describe("/v1/count-tokens", () => {
  it.live("counts both prompts", () =>
    Effect.gen(function*() {
      const ask = yield* started()
      const { body, status } = yield* ask("/v1/count-tokens", posted({ prompt: "a (cat:1.2) BREAK here" }))
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body, {
        model: "test-model",
        prompt: { tokens: 76, capacity: 150, chunks: [2, 1], dynamic: false },
        negative_prompt: { tokens: 0, capacity: 75, chunks: [0], dynamic: false }
      })
    }))

  it.live("says what is wrong with a request", () =>
    Effect.gen(function*() {
      const ask = yield* started()
      const problem = Effect.fnUntraced(function*(body: object) {
        const answer = yield* ask("/v1/count-tokens", posted(body))
        return [answer.status, JSON.stringify(answer.body)] as const
      })
      for (
        const [body, status, words] of [
          [{ prompt: 1 }, 400, /prompt/],
          [{ prompts: "a" }, 400, /prompts/],
          [{ prompt: "a".repeat(100_001) }, 422, /100000/],
          [{ model: "../../etc/passwd" }, 422, /by path/],
          [{ prompt: "{a", dynamic_prompts: true }, 422, /"path":"prompt"/]
        ] as const
      ) {
        const [found, text] = yield* problem(body)
        assert.strictEqual(found, status, text)
        assert.match(text, words)
      }
    }))
})

describe("/v1/suggestions", () => {
  const asking = Effect.fnUntraced(function*(options: ListeningOptions) {
    const ask = yield* started(options)
    const suggested = Effect.fnUntraced(function*(query: string, more = "") {
      const { body, status } = yield* ask(`/v1/suggestions?query=${encodeURIComponent(query)}${more}`)
      assert.strictEqual(status, 200)
      return yield* Schema.decodeUnknownEffect(Suggestions)(body)
    })
    const texts = (query: string, more?: string) =>
      Effect.map(suggested(query, more), ({ suggestions }) => suggestions.map(({ text }) => text))
    return { ask, suggested, texts }
  })

  it.live("has tags by their names and aliases, the most frequent first", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* fs.makeTempDirectoryScoped()
      const file = `${dataDir}/tags.csv`
      yield* fs.writeFileString(
        file,
        [
          "name,category,count,aliases",
          "blue_hair,0,90",
          "long_hair,0,400,\"/lh,longhair\"",
          "hair_bow,0,50,",
          "hat_(red),4,80,\"red hat\"",
          "^_^,0,7",
          "broken,x,y",
          "plain"
        ].join("\n")
      )
      const { ask, suggested, texts } = yield* asking({ cmdOpts: { dataDir } })
      assert.deepStrictEqual(yield* texts("HAIR"), ["hair bow", "long hair", "blue hair"])
      assert.deepStrictEqual(yield* texts("hair", "&limit=2"), ["hair bow", "long hair"])
      assert.deepStrictEqual(yield* suggested("longh"), {
        query: "longh",
        suggestions: [
          { kind: "tag", text: "long hair", name: "long_hair", alias: "longhair", category: 0, count: 400 }
        ]
      })
      // Brackets are no attention, and faces stay as they are.
      assert.deepStrictEqual(yield* texts("red hat"), [String.raw`hat \(red\)`])
      assert.deepStrictEqual(yield* texts("^_"), ["^_^"])
      assert.deepStrictEqual(yield* texts("pl"), ["plain"])
      // What begins a sentence does not stand in the way of its last words.
      const { query, suggestions } = yield* suggested("a photo of long h")
      assert.deepStrictEqual([query, suggestions.length], ["long h", 1])
      assert.deepStrictEqual(yield* texts("nothing fits"), [])
      assert.deepStrictEqual(yield* texts("h"), [])
      // Another file is read when it is there.
      yield* fs.writeFileString(file, "hair_long,0,1\n")
      assert.deepStrictEqual(yield* texts("hair"), ["hair long"])
      yield* fs.remove(file)
      assert.deepStrictEqual(yield* texts("hair"), [])
      const refused = yield* Effect.forEach(
        ["", "?query=a&kind=song", "?query=a&limit=0", `?query=${"a".repeat(201)}`],
        (query) => ask(`/v1/suggestions${query}`)
      )
      assert.deepStrictEqual(refused.map(({ status }) => status), [400, 400, 400, 400])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("has LoRAs as tags, embeddings as words, and wildcards", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const modelsDir = yield* fs.makeTempDirectoryScoped()
      for (const name of ["my style", "other"]) yield* fs.writeFile(`${modelsDir}/${name}.safetensors`, lora())
      yield* fs.writeFile(`${modelsDir}/bad-hands.safetensors`, embedding)
      yield* fs.writeFileString(`${modelsDir}/tags.csv`, "hands,0,12\n")
      const { texts } = yield* asking({
        cmdOpts: { modelsDir },
        server: { tags_file: `${modelsDir}/tags.csv` },
        wildcards: { "animals/dogs": "a", colours: "b" }
      })
      assert.deepStrictEqual(yield* texts("", "&kind=lora"), ["<lora:my style:1>", "<lora:other:1>"])
      assert.deepStrictEqual(yield* texts("sty", "&kind=lora"), ["<lora:my style:1>"])
      assert.deepStrictEqual(yield* texts("", "&kind=wildcard"), ["__animals/dogs__", "__colours__"])
      assert.deepStrictEqual(yield* texts("co", "&kind=wildcard"), ["__colours__"])
      assert.deepStrictEqual(yield* texts("hand"), ["bad-hands", "hands"])
      assert.deepStrictEqual(yield* texts("hand", "&kind=embedding"), ["bad-hands"])
      assert.deepStrictEqual(yield* texts("hand", "&kind=tag"), ["hands"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

describe("styles and presets", () => {
  it.live("are added, changed and removed, and a preset stays as it was sent", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* fs.makeTempDirectoryScoped()
      const ask = yield* started({ cmdOpts: { dataDir } })
      const post = (path: string, body: object) => ask(`/v1/${path}`, posted(body))
      const list = (path: string) => Effect.map(ask(`/v1/${path}`), ({ body }) => body)
      const style = { name: "Noir/\u732B", prompt: "{prompt}, film noir", negative_prompt: "colour" }
      assert.deepStrictEqual(yield* post("styles", style), { status: 200, body: style })
      yield* post("styles", { ...style, prompt: "film noir" })
      assert.deepStrictEqual(yield* list("styles"), [{ ...style, prompt: "film noir" }])
      const gone = yield* post("styles/remove", { name: style.name })
      assert.deepStrictEqual(gone, { status: 200, body: [{ ...style, prompt: "film noir" }] })
      assert.deepStrictEqual(yield* list("styles"), [])
      assert.deepStrictEqual(yield* post("styles/remove", { name: style.name }), { status: 200, body: [] })

      const preset = { name: "Quick", settings: { steps: 4, cfg_scale: null, styles: ["a"], tiling: true, seed: "12" } }
      assert.deepStrictEqual(yield* post("presets", preset), { status: 200, body: preset })
      yield* post("presets", { name: "A", settings: {} })
      yield* post("presets", { ...preset, settings: { steps: 8 } })
      assert.deepStrictEqual(yield* list("presets"), [
        { name: "A", settings: {} },
        { name: "Quick", settings: { steps: 8 } }
      ])
      // Every server of the folder has them.
      const other = yield* started({ cmdOpts: { dataDir } })
      assert.deepStrictEqual((yield* other("/v1/presets")).body, yield* list("presets"))
      const removed = [yield* post("presets/remove", { name: "A" }), yield* post("presets/remove", { name: "A" })]
      assert.deepStrictEqual(removed.map(({ body }) => body), [[{ name: "A", settings: {} }], []])

      for (
        const [path, body] of [
          ["styles", { ...style, name: "" }],
          ["styles", { ...style, name: "a\nb" }],
          ["styles", { ...style, name: "# a" }],
          ["styles", { ...style, prompt: "a".repeat(100_001) }],
          ["presets", { name: " a", settings: {} }],
          ["presets", { name: "a", settings: { steps: { of: 1 } } }]
        ] as const
      ) {
        const { status } = yield* post(path, body)
        assert.strictEqual(status, 400, JSON.stringify(body).slice(0, 80))
      }

      const settings = Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`s${i}`, i]))
      assert.match(JSON.stringify(yield* post("presets", { name: "a", settings })), /at most 200 settings/)

      // What is no file of presets is not written over.
      yield* fs.writeFileString(`${dataDir}/presets.json`, "[{}]")
      assert.deepStrictEqual(yield* list("presets"), [])
      const refused = yield* post("presets", preset)
      assert.strictEqual(refused.status, 500)
      assert.match(JSON.stringify(refused.body), /"_tag":"NotSaved".*not a file of presets/)
      assert.strictEqual(yield* fs.readFileString(`${dataDir}/presets.json`), "[{}]")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
