import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { inTurns, WorkPlace } from "../../src/core/Work.ts"
import { withView } from "../../src/model/ModelsView.ts"
import { FileHashes, shortHash } from "../../src/models/checkpoint/hashes.ts"
import { isNamed } from "../../src/models/ModelFile.ts"
import { ModelLibrary } from "../../src/models/ModelLibrary.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { unpack } from "./checkpoint/data.ts"

const platform = Layer.merge(NodeFileSystem.layer, NodePath.layer)

// Copies files of the test data to where a program keeps them.
const folderWith = Effect.fnUntraced(function*(files: Readonly<Record<string, string>>) {
  const fs = yield* FileSystem.FileSystem
  const data = yield* unpack(...Object.values(files))
  const folder = yield* fs.realPath(yield* fs.makeTempDirectoryScoped())
  for (const [place, file] of Object.entries(files)) {
    yield* fs.makeDirectory(`${folder}/${place}`.replace(/\/[^/]*$/, ""), { recursive: true })
    yield* fs.copyFile(`${data}/${file}`, `${folder}/${place}`)
  }
  return folder
})

const layerIn = (modelsDir: ReadonlyArray<string> | undefined, dataDir?: string) =>
  Layer.provideMerge(ModelLibrary.layer, CommandOptions.layer({ modelsDir, dataDir }))

const found = (...folders: ReadonlyArray<string>) =>
  Effect.flatMap(ModelLibrary, ({ list }) => list).pipe(
    Effect.map((files) => files.filter(({ embedded }) => !embedded)),
    Effect.provide(layerIn(folders))
  )

const listed = Effect.fnUntraced(function*(...folders: ReadonlyArray<string>) {
  return (yield* found(...folders)).map(({ contents, kind, name }) =>
    `${name}: ${kind}${contents?.family === undefined ? "" : ` ${contents.family}`}`
  )
})

const sd1 = "checkpoints/sd1-inpainting.safetensors"
const lora = "adapters/sdxl-peft.safetensors"
const vae = "vaes/diffusers.safetensors"
const embedding = "embeddings/sdxl-clip-l-clip-g.safetensors"
const control = "controlnets/sd1-control-diffusers.safetensors"
const upscaler = "upscalers/compact-x4.safetensors"

describe("a models folder", () => {
  it.effect("of the webui, of ComfyUI, or flat gives the same: kinds are told by what is in the files", () =>
    Effect.gen(function*() {
      const webui = yield* folderWith({
        "models/Stable-diffusion/sub/a.safetensors": sd1,
        "models/Lora/b.safetensors": lora,
        "models/VAE/c.safetensors": vae,
        "models/ControlNet/d.safetensors": control,
        "models/ESRGAN/e.safetensors": upscaler,
        "embeddings/f.safetensors": embedding
      })
      const comfy = yield* folderWith({
        "checkpoints/sub/a.safetensors": sd1,
        "loras/b.safetensors": lora,
        "vae/c.safetensors": vae,
        "controlnet/d.safetensors": control,
        "upscale_models/e.safetensors": upscaler,
        "embeddings/f.safetensors": embedding
      })
      const flat = yield* folderWith({
        "a.safetensors": sd1,
        "b.safetensors": lora,
        "c.safetensors": vae,
        "d.safetensors": control,
        "e.safetensors": upscaler,
        "f.safetensors": embedding
      })
      const expected = [
        "a: checkpoint sd1",
        "b: lora sdxl",
        "c: vae",
        "d: controlnet sd1",
        "e: upscaler",
        "f: embedding sdxl"
      ]
      for (const folder of [`${webui}/models`, comfy, flat]) {
        assert.deepStrictEqual((yield* listed(folder)).toSorted(), expected)
      }
      assert.lengthOf(yield* listed(comfy, flat), 12)
      assert.lengthOf(yield* listed(flat, flat), 6)
    }).pipe(Effect.provide(platform)))

  it.effect("has a diffusers folder as one model, also in a cache of the hub", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const data = yield* unpack("folders/sd1-folder/**/*.{json,safetensors}")
      const cache = `${data}/hub/models--someone--tiny`
      yield* fs.makeDirectory(`${cache}/snapshots`, { recursive: true })
      yield* fs.makeDirectory(`${cache}/refs`)
      yield* fs.writeFileString(`${cache}/refs/main`, "abc\n")
      yield* fs.makeDirectory(`${cache}/snapshots/000`)
      yield* fs.symlink(`${data}/folders/sd1-folder`, `${cache}/snapshots/abc`)
      assert.deepStrictEqual(yield* listed(`${data}/folders`), ["sd1-folder: checkpoint sd1"])
      assert.deepStrictEqual(yield* listed(`${data}/hub`), ["someone/tiny: checkpoint sd1"])
    }).pipe(Effect.provide(platform)))

  it.effect("says the size that each model's images have, by its configuration, what it predicts or its family", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({
        "sd1.safetensors": "checkpoints/sd15.safetensors",
        "sd2-v.safetensors": "checkpoints/sd2-v.safetensors",
        "sdxl.safetensors": "checkpoints/sdxl.safetensors",
        "vae.safetensors": vae
      })
      const sizes = Effect.map(
        Effect.provide(Effect.flatMap(ModelLibrary, ({ list }) => list), layerIn([folder])),
        (files) => Object.fromEntries(files.map(({ name, nativeSize }) => [name, nativeSize?.width]))
      )
      const expected = { "sd1": 512, "sd2-v": 768, "sdxl": 1024, "vae": undefined, "shapes-128": 128 }
      assert.deepStrictEqual(yield* sizes, expected)
      yield* fs.writeFileString(`${folder}/sd2-v.yaml`, "model:\n  params:\n    parameterization: \"eps\"\n")
      assert.deepStrictEqual(yield* sizes, { ...expected, "sd2-v": 512 })
    }).pipe(Effect.provide(platform)))

  it.effect("is searched anew each time, and says what is wrong with a file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({ "a.safetensors": vae, "a.preview.png": upscaler })
      const [first] = yield* found(folder)
      assert.strictEqual(first?.preview, `${folder}/a.preview.png`)
      yield* fs.writeFileString(`${folder}/b.ckpt`, "no model")
      yield* fs.symlink(folder, `${folder}/loop`)
      const [, b] = yield* found(folder)
      assert.deepStrictEqual({ name: b?.name, kind: b?.kind }, { name: "b", kind: "other" })
      assert.match(b?.problems[0]?.message ?? "", /no safetensors file/)
      yield* fs.truncate(`${folder}/a.safetensors`, 100_000)
      const [again] = yield* found(folder)
      assert.match(again?.problems[0]?.message ?? "", /truncated/)
    }).pipe(Effect.provide(platform)))
})

describe("a view of the models folders", () => {
  it.effect("has what was there at its first look, and each view looks anew", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({ "a.safetensors": vae })
      yield* Effect.gen(function*() {
        const { find, list } = yield* ModelLibrary
        const names = Effect.map(list, (files) => files.filter(({ embedded }) => !embedded).map(({ name }) => name))
        yield* withView(Effect.gen(function*() {
          assert.deepStrictEqual(yield* names, ["a"])
          yield* fs.copyFile(`${folder}/a.safetensors`, `${folder}/b.safetensors`)
          assert.deepStrictEqual(yield* names, ["a"])
          assert.isUndefined(yield* find(["vae"], "b"))
          assert.deepStrictEqual(yield* withView(names), ["a", "b"])
        }))
        assert.deepStrictEqual(yield* names, ["a", "b"])
      }).pipe(Effect.provide(layerIn([folder])))
    }).pipe(Effect.provide(platform)))
})

describe("a name", () => {
  const own = {
    file: "/m/Lora/styles/My Style.v2.safetensors",
    name: "My Style.v2",
    metadata: { ss_output_name: "mystyle" }
  }
  it.each<readonly [string, boolean]>([
    ["My Style.v2", true],
    ["my style.V2", true],
    ["My Style.v2.safetensors", true],
    ["styles/My Style.v2", true],
    ["styles\\My Style.v2.safetensors", true],
    ["mystyle", true],
    ["Style.v2", false],
    ["My Style", false],
    ["", false]
  ])("%j means it: %s", (wanted, expected) => assert.strictEqual(isNamed(own, wanted), expected))

  it.effect("finds a file of the kinds that are asked for, by name, title or hash", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({
        "Lora/old/style.safetensors": lora,
        "Lora/style.safetensors": embedding,
        "VAE/style.safetensors": vae,
        "Stable-diffusion/sub/model.safetensors": sd1
      })
      yield* fs.writeFileString(`${folder}/VAE/torn.safetensors`, "no model")
      yield* Effect.gen(function*() {
        const { find, hashes, knownHashes, list } = yield* ModelLibrary
        const place = (kinds: Parameters<typeof find>[0], name: string) =>
          Effect.map(find(kinds, name), (found) => found?.file.slice(folder.length + 1))
        assert.strictEqual(yield* place(["lora"], "style"), "Lora/old/style.safetensors")
        assert.strictEqual(yield* place(["embedding"], "STYLE.safetensors"), "Lora/style.safetensors")
        assert.strictEqual(yield* place(["vae"], "VAE/style"), "VAE/style.safetensors")
        assert.strictEqual(
          yield* place(["checkpoint"], "sub/model.safetensors"),
          "Stable-diffusion/sub/model.safetensors"
        )
        assert.isUndefined(yield* place(["vae"], "model"))
        assert.isUndefined(yield* place(["vae"], "torn"))
        assert.strictEqual(yield* place(["other"], "torn"), "VAE/torn.safetensors")
        assert.isUndefined(yield* place(["lora", "vae"], ""))
        assert.isTrue((yield* find(["checkpoint"], "shapes-128"))?.embedded)

        // A hash is computed for a name that is nothing else, of the kinds that are asked for.
        const file = `${folder}/Lora/old/style.safetensors`
        const bytes = readFileSync(file)
        const sha256 = createHash("sha256").update(bytes).digest("hex")
        const data = bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)))
        const autoV3 = createHash("sha256").update(data).digest("hex")
        const all = yield* list
        const known = () => Effect.map(Effect.forEach(all, knownHashes), (each) => each.filter((one) => one).length)
        assert.strictEqual(yield* place(["lora"], "missing [0123456789]"), undefined)
        assert.strictEqual(yield* known(), 0)
        for (const written of [autoV3, autoV3.slice(0, 8), sha256.slice(0, 10).toUpperCase(), `renamed [${sha256}]`]) {
          assert.strictEqual(yield* place(["lora"], written), "Lora/old/style.safetensors")
        }
        assert.strictEqual(yield* known(), 1)
        assert.isUndefined(yield* place(["lora"], sha256.slice(0, 7)))

        // Of two files of one name the title's hash chooses; a hash that fits neither is passed over, as in the webui.
        yield* fs.makeDirectory(`${folder}/flat`)
        yield* fs.copyFile(`${folder}/Stable-diffusion/sub/model.safetensors`, `${folder}/flat/model.safetensors`)
        yield* fs.writeFile(`${folder}/flat/model.safetensors`, new Uint8Array(1), { flag: "a" })
        const second = yield* hashes({ file: `${folder}/Stable-diffusion/sub/model.safetensors`, format: "file" })
        const models = (written: string) => place(["checkpoint"], written)
        assert.strictEqual(
          yield* models(`model.safetensors [${second.sha256.slice(0, 10)}]`),
          "Stable-diffusion/sub/model.safetensors"
        )
        assert.strictEqual(yield* models("model.safetensors [0000000000]"), "Stable-diffusion/sub/model.safetensors")
      }).pipe(Effect.provide(layerIn([folder])))
    }).pipe(Effect.provide(platform)))
})

describe("the hashes of a file", () => {
  it.effect("are the SHA-256 of all of it and of its data alone, computed once and kept", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({ "a.safetensors": lora })
      const file = `${folder}/a.safetensors`
      const bytes = readFileSync(file)
      const start = 8 + Number(bytes.readBigUInt64LE(0))
      const sha = (part: Uint8Array) => createHash("sha256").update(part).digest("hex")
      const expected = { sha256: sha(bytes), autoV3: sha(bytes.subarray(start)) }
      const kept = FileHashes.layer(`${folder}/hashes`)
      const hashes = yield* Effect.provide(
        Effect.gen(function*() {
          const { known, of } = yield* FileHashes
          assert.isUndefined(yield* known(file))
          const both = yield* Effect.all([of(file), of(file)], { concurrency: 2 })
          assert.deepStrictEqual(both, [expected, expected])
          return both[0]
        }),
        kept
      )
      assert.strictEqual(shortHash(hashes), expected.sha256.slice(0, 10))
      const again = Effect.provide(Effect.flatMap(FileHashes, ({ known }) => known(file)), Layer.fresh(kept))
      assert.deepStrictEqual(yield* again, expected)
      assert.lengthOf(yield* fs.readDirectory(`${folder}/hashes`), 1)
      yield* fs.utimes(file, new Date(), new Date(1e12))
      assert.isUndefined(yield* again)
    }).pipe(Effect.provide(platform)))

  it.effect("are computed to the end when a run that waits for them is cancelled, once for all who wait", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({})
      const file = `${folder}/large.safetensors`
      yield* fs.writeFile(file, new Uint8Array(2 ** 21))
      const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let works = 0
      const slowly = Layer.succeed(WorkPlace, {
        run: ({ parts }, args) =>
          Effect.suspend(() => {
            works++
            return Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(gate))
          }).pipe(Effect.andThen(inTurns(() => parts(...args))))
      })
      yield* Effect.gen(function*() {
        const { known, of } = yield* FileHashes
        const cancelled = yield* Effect.forkChild(of(file))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(cancelled)
        const waiting = yield* Effect.forkChild(of(file))
        yield* Deferred.succeed(gate, undefined)
        const hashes = yield* Fiber.join(waiting)
        assert.strictEqual(works, 1)
        assert.deepStrictEqual(yield* known(file), hashes)
      }).pipe(Effect.provide(Layer.provideMerge(FileHashes.layer(`${folder}/hashes`), slowly)))
    }).pipe(Effect.provide(platform)))

  it.effect("are whole in their folder when several write at once, and when one was killed while it wrote", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderWith({ "a.safetensors": lora })
      const file = `${folder}/a.safetensors`
      // Each has a memory of its own, as another process has.
      const process = Layer.fresh(FileHashes.layer(`${folder}/hashes`))
      const of = Effect.provide(Effect.flatMap(FileHashes, ({ of }) => of(file)), process)
      const known = Effect.provide(Effect.flatMap(FileHashes, ({ known }) => known(file)), process)
      const [first, ...others] = yield* Effect.all(Array.from({ length: 8 }, () => of), { concurrency: 8 })
      for (const other of others) assert.deepStrictEqual(other, first)
      const [kept = ""] = yield* fs.readDirectory(`${folder}/hashes`)
      assert.lengthOf(yield* fs.readDirectory(`${folder}/hashes`), 1)
      assert.deepStrictEqual(yield* known, first)
      // What a killed process left has another name; a file that is cut is no hash, and is replaced.
      const text = yield* fs.readFileString(`${folder}/hashes/${kept}`)
      yield* fs.writeFileString(`${folder}/hashes/${kept}.1.abc`, text.slice(0, 20))
      assert.deepStrictEqual(yield* known, first)
      yield* fs.writeFileString(`${folder}/hashes/${kept}`, text.slice(0, 40))
      assert.isUndefined(yield* known)
      assert.deepStrictEqual(yield* of, first)
      assert.deepStrictEqual(yield* known, first)
    }).pipe(Effect.provide(platform)))
})
