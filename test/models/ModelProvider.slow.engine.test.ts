import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Metric from "effect/Metric"
import * as Path from "effect/Path"
import { fileURLToPath } from "node:url"
import type { LoadedModel } from "../../src/model/LoadedModel.ts"
import { Models } from "../../src/model/Models.ts"
import * as ModelFolder from "../../src/models/ModelFolder.ts"
import { ModelProvider } from "../../src/models/ModelProvider.ts"
import { brokenCopy, embedded, layerModels, platform } from "./fixtures.ts"

const edit = (file: string, change: (json: Record<string, unknown>) => object) => (folder: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const text = yield* fs.readFileString(path.join(folder, file))
    yield* fs.writeFileString(path.join(folder, file), JSON.stringify(change(JSON.parse(text))))
  })

const problemsOf = Effect.fnUntraced(function*<E, R>(change: (folder: string) => Effect.Effect<void, E, R>) {
  const folder = yield* brokenCopy(change)
  const error = yield* Effect.flip(ModelFolder.read(folder))
  assert.strictEqual(error._tag, "InvalidModelFolder")
  assert.include(error.message, folder)
  return error.problems.map(({ message, path }) => `${path}: ${message}`)
})

describe("a model folder", () => {
  it.effect("names every missing file at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const problems = yield* problemsOf((folder) =>
        Effect.all([
          fs.remove(`${folder}/unet/model.onnx`),
          fs.remove(`${folder}/unet/config.json`),
          fs.remove(`${folder}/tokenizer/tokenizer_config.json`)
        ])
      )
      assert.deepStrictEqual(problems, [
        "unet/config.json: the file is missing",
        "tokenizer/tokenizer_config.json: the file is missing",
        "unet/model.onnx: the file is missing or may not be read"
      ])
    }).pipe(Effect.provide(platform)))

  it.effect("names a class that is not a Stable Diffusion one", () =>
    Effect.gen(function*() {
      const pipeline = yield* problemsOf(edit("model_index.json", (json) => ({ ...json, _class_name: "FluxPipeline" })))
      assert.match(pipeline[0] ?? "", /^model_index.json: _class_name: "FluxPipeline" is not supported/)
      const unet = yield* problemsOf(edit("unet/config.json", (json) => ({ ...json, _class_name: "Transformer2D" })))
      assert.deepStrictEqual(unet, [
        "unet/config.json: _class_name: expected \"UNet2DConditionModel\", found \"Transformer2D\""
      ])
    }).pipe(Effect.provide(platform)))

  it.effect("names every value that does not fit, with its file and path", () =>
    Effect.gen(function*() {
      const problems = yield* problemsOf(
        edit("vae_decoder/config.json", (json) => ({ ...json, scaling_factor: "big", block_out_channels: [0, "x"] }))
      )
      assert.strictEqual(problems.length, 3)
      assert.isTrue(problems.every((problem) => problem.startsWith("vae_decoder/config.json: ")))
    }).pipe(Effect.provide(platform)))

  it.effect("that is text where JSON should be is an error, not a crash", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const problems = yield* problemsOf((folder) => fs.writeFileString(`${folder}/model_index.json`, "<html>"))
      assert.match(problems[0] ?? "", /^model_index.json: /)
    }).pipe(Effect.provide(platform)))

  it.effect("that is a file, or does not exist, says so", () =>
    Effect.gen(function*() {
      const file = yield* Effect.flip(ModelFolder.read(`${embedded}/model_index.json`))
      assert.include(file.message, "it is not a folder")
      const nothing = yield* Effect.flip(ModelFolder.read(`${embedded}/nothing`))
      assert.include(nothing.message, "does not exist")
    }).pipe(Effect.provide(platform)))

  it.effect("with a folder in a network's place says so", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const problems = yield* problemsOf((folder) =>
        Effect.andThen(fs.remove(`${folder}/unet/model.onnx`), fs.makeDirectory(`${folder}/unet/model.onnx`))
      )
      assert.deepStrictEqual(problems, ["unet/model.onnx: it is not a file"])
    }).pipe(Effect.provide(platform)))
})

describe("ModelProvider", () => {
  it.effect("gives the embedded model when there is no other", () =>
    Effect.gen(function*() {
      const entries = yield* (yield* ModelProvider).list
      assert.deepStrictEqual(entries.map(({ embedded, name }) => [name, embedded]), [["shapes-128", true]])
    }).pipe(Effect.provide(layerModels())))

  it.effect("lists the models of a folder before the embedded one, and loads by name or path", () =>
    Effect.gen(function*() {
      const folder = yield* brokenCopy(() => Effect.void)
      yield* Effect.gen(function*() {
        const models = yield* ModelProvider
        const entries = yield* models.list
        assert.deepStrictEqual(entries.map(({ name }) => name), ["broken", "shapes-128"])
        assert.strictEqual((yield* models.load("")).name, "broken")
        assert.strictEqual((yield* models.load("shapes-128")).name, "shapes-128")
        assert.strictEqual((yield* models.load(folder)).name, "broken")
      }).pipe(Effect.provide(layerModels({ modelsDir: folder.replace(/broken$/, "") })))
    }).pipe(Effect.provide(platform)))

  it.effect("says where it looked, and which models there are, when there is none of that name", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.flatMap(ModelProvider, (models) => models.load("shaeps-128")))
      assert.strictEqual(error._tag, "ModelNotFound")
      assert.include(error.message, "Did you mean \"shapes-128\"?")
      assert.include(error.message, "models")
    }).pipe(Effect.provide(layerModels())))

  it.effect.each<readonly [modelsDir: string, sentence: string]>([
    ["/nowhere/at/all", "there is no folder /nowhere/at/all."],
    [fileURLToPath(import.meta.url), "is not a folder."]
  ])("says that the models folder cannot be searched: %s", ([modelsDir, sentence]) =>
    Effect.gen(function*() {
      for (const name of ["", "shapes-128"]) {
        const error = yield* Effect.flip(Effect.flatMap(ModelProvider, (models) => models.load(name)))
        assert.strictEqual(error._tag, "ModelNotFound")
        assert.include(error.message, sentence)
      }
    }).pipe(Effect.provide(layerModels({ modelsDir }))))

  const load = (folder: string) =>
    Effect.gen(function*() {
      const model = yield* (yield* ModelProvider).load(folder)
      return yield* model.warm
    }).pipe(Effect.flip, Effect.provide(layerModels()))

  it.effect("gives a typed error for a network that was cut off", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* brokenCopy((folder) => fs.truncate(`${folder}/unet/model.onnx`, 100_000))
      const error = yield* load(folder)
      assert.strictEqual(error._tag, "NetworkLoadError")
      assert.include(error.message, `${folder}/unet/model.onnx`)
    }).pipe(Effect.provide(platform)))

  it.effect("gives a typed error for a network that is no network", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* brokenCopy((folder) => fs.writeFileString(`${folder}/text_encoder/model.onnx`, "hello"))
      assert.strictEqual((yield* load(folder))._tag, "NetworkLoadError")
    }).pipe(Effect.provide(platform)))

  it.effect("names the inputs that a network has when it is the wrong one", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* brokenCopy((folder) =>
        fs.copyFile(`${folder}/vae_decoder/model.onnx`, `${folder}/unet/model.onnx`)
      )
      const error = yield* load(folder)
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "unet/model.onnx: its inputs are latent_sample, without \"timestep\"")
    }).pipe(Effect.provide(platform)))

  it.effect("names a tokenizer that cannot be used", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* brokenCopy((folder) => fs.writeFileString(`${folder}/tokenizer/tokenizer.json`, "{}"))
      const error = yield* load(folder)
      assert.strictEqual(error._tag, "InvalidModelFolder")
      assert.include(error.message, "tokenizer/tokenizer.json")
    }).pipe(Effect.provide(platform)))

  it.effect("reads a folder again after it was mended", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* brokenCopy((folder) => fs.rename(`${folder}/unet`, `${folder}/away`))
      yield* Effect.gen(function*() {
        const models = yield* ModelProvider
        assert.strictEqual((yield* Effect.flip(models.load(folder)))._tag, "InvalidModelFolder")
        yield* fs.rename(`${folder}/away`, `${folder}/unet`)
        assert.strictEqual((yield* models.load(folder)).name, "broken")
      }).pipe(Effect.provide(layerModels()))
    }).pipe(Effect.provide(platform)))
})

/** A models folder with the embedded model under several names. */
const folderOf = Effect.fnUntraced(function*(...names: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const dir = yield* fs.makeTempDirectoryScoped()
  yield* Effect.forEach(names, (name) => fs.symlink(embedded, `${dir}/${name}`))
  return dir
})

const sessionsOpen = Effect.map(Metric.snapshot, (all) => {
  const gauge = all.find(({ id }) => id === "serena_network_sessions_open")
  return gauge?.type === "Gauge" ? Number(gauge.state.value) : NaN
})

/** Opens one network of a model. */
const decode = (model: LoadedModel) =>
  model.decode(new Float32Array(4 * 2 * 2), { channels: 4, frames: 1, height: 2, width: 2 })

const use = (name: string) =>
  Effect.scoped(Effect.flatMap(ModelProvider, ({ load }) => Effect.flatMap(load(name), decode)))

const resident = Effect.flatMap(ModelProvider, (models) => models.resident)

describe("models in memory", () => {
  it.effect("are as many as allowed, and those used least lately are closed", () =>
    Effect.gen(function*() {
      const modelsDir = yield* folderOf("a", "b", "c")
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* resident, [])
        yield* use("a")
        yield* use("b")
        assert.deepStrictEqual(yield* resident, ["b", "a"])
        assert.strictEqual(yield* sessionsOpen, 2)
        yield* use("a")
        yield* use("c")
        assert.deepStrictEqual(yield* resident, ["c", "a"])
        assert.strictEqual(yield* sessionsOpen, 2)
        yield* use("b")
        assert.deepStrictEqual(yield* resident, ["b", "c"])
      }).pipe(Effect.provide(layerModels({ modelsDir, maxModels: 2, threads: 1 })))
      assert.strictEqual(yield* sessionsOpen, 0)
    }).pipe(Effect.provide(platform)))

  it.effect("stay while a run uses them, however many they are", () =>
    Effect.gen(function*() {
      const modelsDir = yield* folderOf("a", "b", "c")
      yield* Effect.gen(function*() {
        const { load } = yield* ModelProvider
        yield* Effect.scoped(Effect.gen(function*() {
          const a = yield* load("a")
          yield* decode(a)
          yield* use("b")
          assert.deepStrictEqual(yield* resident, ["a"])
          yield* Effect.scoped(Effect.gen(function*() {
            yield* load("b")
            yield* decode(yield* load("c"))
            assert.deepStrictEqual(yield* resident, ["c", "b", "a"])
          }))
          assert.deepStrictEqual(yield* resident, ["a"])
          yield* decode(a)
          assert.strictEqual(yield* sessionsOpen, 1)
        }))
        assert.deepStrictEqual(yield* resident, ["a"])
      }).pipe(Effect.provide(layerModels({ modelsDir, maxModels: 1, threads: 1 })))
    }).pipe(Effect.provide(platform)))

  it.effect("are none when none may be kept", () =>
    Effect.gen(function*() {
      yield* use("")
      assert.deepStrictEqual(yield* resident, [])
      assert.strictEqual(yield* sessionsOpen, 0)
    }).pipe(Effect.provide(layerModels({ maxModels: 0, threads: 1 }))))

  it.effect("go when they are unloaded, but for those in use", () =>
    Effect.gen(function*() {
      const modelsDir = yield* folderOf("a", "b")
      yield* Effect.gen(function*() {
        const { load, unload } = yield* ModelProvider
        yield* use("a")
        yield* Effect.scoped(Effect.gen(function*() {
          yield* decode(yield* load("b"))
          yield* unload
          assert.deepStrictEqual(yield* resident, ["b"])
          assert.strictEqual(yield* sessionsOpen, 1)
        }))
        yield* unload
        assert.deepStrictEqual(yield* resident, [])
        assert.strictEqual(yield* sessionsOpen, 0)
        yield* use("a")
        assert.deepStrictEqual(yield* resident, ["a"])
      }).pipe(Effect.provide(layerModels({ modelsDir, threads: 1 })))
    }).pipe(Effect.provide(platform)))

  it.effect("are loaded once for all who ask at the same time, also when the first one is interrupted", () =>
    Effect.gen(function*() {
      const { load } = yield* ModelProvider
      const first = yield* Effect.forkChild(load(embedded), { startImmediately: true })
      const others = yield* Effect.forkChild(Effect.all([load(embedded), load(embedded)], { concurrency: 2 }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(first)
      const [a, b] = yield* Fiber.join(others)
      assert.strictEqual(a, b)
      assert.strictEqual(yield* load(embedded), a)
      assert.strictEqual(yield* (yield* Models).load("shapes-128"), a)
    }).pipe(Effect.scoped, Effect.provide(layerModels())))

  it.effect("are found by their name in any case, with or without a hash", () =>
    Effect.gen(function*() {
      const modelsDir = yield* folderOf("Plain", "ends [0123456789]")
      yield* Effect.gen(function*() {
        const { load } = yield* ModelProvider
        const plain = yield* load("Plain")
        const ends = yield* load("ends [0123456789]")
        assert.notStrictEqual(plain, ends)
        for (const name of ["plain", "PLAIN [a1b2c3d4e5]", `${modelsDir}/Plain`, `${modelsDir}/Plain [0000000000]`]) {
          assert.strictEqual(yield* load(name), plain)
        }
        assert.strictEqual(yield* load("Ends [0123456789] [a1b2c3d4e5]"), ends)
        assert.strictEqual((yield* Effect.flip(load("plain [a1b2]")))._tag, "ModelNotFound")
      }).pipe(Effect.provide(layerModels({ modelsDir })))
    }).pipe(Effect.provide(platform)))
})
