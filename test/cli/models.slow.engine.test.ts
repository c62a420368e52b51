import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { delimiter } from "node:path"
import { unpack } from "../models/checkpoint/data.ts"
import { embedded } from "../models/fixtures.ts"
import { serena, withEnvironment } from "./command.ts"
import { lines, temporaryFolder } from "./process.ts"

/** A folder with empty files and links to the embedded model. */
const folderOf = Effect.fnUntraced(function*(
  { files = [], models = [] }: { readonly files?: ReadonlyArray<string>; readonly models?: ReadonlyArray<string> }
) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* temporaryFolder
  for (const file of files) {
    yield* fs.makeDirectory(`${folder}/${file}`.replace(/\/[^/]*$/, ""), { recursive: true })
    yield* fs.writeFileString(`${folder}/${file}`, "")
  }
  for (const name of models) yield* fs.symlink(embedded, `${folder}/${name}`)
  return folder
})

const run = "--steps 1 --width 64 --height 64".split(" ")

describe("a models folder", () => {
  it.live("without a model that loads fails, names what it holds, and says what to do", () =>
    Effect.gen(function*() {
      const files = ["sd15.safetensors", "old.ckpt", "Lora/style.safetensors", "readme.txt", "half/unet/config.json"]
      const folder = yield* folderOf({ files })
      const empty = yield* folderOf({})
      const [some, none, named] = yield* Effect.all([
        serena(["txt2img", ...run, "--models-dir", folder]),
        serena(["txt2img", ...run, "--models-dir", empty]),
        serena(["txt2img", ...run, "--models-dir", folder, "--model", "SD15"])
      ])
      for (const { code, stderr, stdout } of [some, none, named]) {
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" }, stderr)
        assert.lengthOf(lines(stderr), 1)
      }
      assert.include(some.stderr, `${folder} cannot be used.`)
      assert.include(some.stderr, "Lora/style.safetensors, old.ckpt, sd15.safetensors: it is empty; download it again")
      assert.include(some.stderr, "half: the folder has no model_index.json.")
      assert.notInclude(some.stderr, "readme")
      assert.include(named.stderr, `${folder}/sd15.safetensors cannot be used: it is empty; download it again`)
      assert.notInclude(named.stderr, "old.ckpt")
      assert.include(none.stderr, `Looked in ${empty}. Put a model folder there or name another with --models-dir.`)
      assert.include(none.stderr, "To use shapes-128 instead, name it with --model.")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("gives its first model with a warning that names it, unless a model is named", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const files = ["a.ckpt", "b.ckpt", "c.ckpt", "d.ckpt", "e.ckpt"]
      const folder = yield* folderOf({ files, models: ["one", "two"] })
      const own = ["txt2img", ...run, "--outdir", outdir, "--models-dir", folder]
      const warnings = (stderr: string) => lines(stderr).filter((line) => line.startsWith("Warning: "))
      const first = yield* serena(own)
      const quiet = yield* serena([...own, "--quiet"])
      const named = yield* serena([...own, "--model", "two"])
      const shapes = yield* serena(["txt2img", ...run, "--outdir", outdir])
      for (const { code, stderr } of [first, quiet, named, shapes]) assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(warnings(first.stderr), [
        `Warning: no model is named; using one, the first of 2 in ${folder}. Choose with --model.`,
        "Warning: not used: a.ckpt, b.ckpt, c.ckpt and 2 more (it is empty; download it again)."
      ])
      assert.strictEqual(quiet.stderr, "")
      assert.deepStrictEqual(warnings(named.stderr), [])
      assert.deepStrictEqual(warnings(shapes.stderr), [])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("with embeddings gives a warning for each prompt that names one", () =>
    Effect.gen(function*() {
      const outdir = yield* temporaryFolder
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderOf({ files: ["embeddings/sd/empty.pt"], models: ["one"] })
      const data = yield* unpack("embeddings/sd1-emb-params.safetensors")
      for (const place of ["EasyNegative", "sd/worst"]) {
        yield* fs.copyFile(`${data}/embeddings/sd1-emb-params.safetensors`, `${folder}/embeddings/${place}.safetensors`)
      }
      const own = ["txt2img", "a star", ...run, "--outdir", outdir, "--models-dir", folder, "--model", "one"]
      const warnings = (stderr: string) => lines(stderr).filter((line) => line.startsWith("Warning: "))
      assert.deepStrictEqual(warnings((yield* serena(own)).stderr), [])
      const { stderr } = yield* serena([...own, "--negative-prompt", "easynegative, (worst:1.2)"])
      assert.deepStrictEqual(warnings(stderr), [
        "Warning: one takes no embeddings, as its networks are exported: EasyNegative, worst in the prompts are read as " +
        "words."
      ])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("is listed with what does not load, and why", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* folderOf({
        files: ["sd15.safetensors", "ESRGAN/4x.bin", "ESRGAN/2x.onnx"],
        models: ["one"]
      })
      yield* fs.makeDirectory(`${folder}/broken`)
      yield* fs.writeFileString(`${folder}/broken/model_index.json`, "{}")
      const [text, json] = yield* Effect.all([
        serena(["models", "--models-dir", folder]),
        serena(["models", "--models-dir", folder, "--json"])
      ])
      assert.strictEqual(text.code, 0, text.stderr)
      const [titles = "", broken = "", one, upscaler, unknown, checkpoint, shapes] = lines(text.stdout)
      assert.match(titles, /^NAME +KIND +FAMILY +PRECISION +SIZE$/)
      assert.match(broken, /^broken +checkpoint +not usable: .*model_index\.json: _class_name: .*unet\/model\.onnx: /)
      assert.match(one ?? "", /^one +checkpoint +sd1 +[\d.]+ MB$/)
      assert.match(upscaler ?? "", /^2x +upscaler$/)
      assert.match(unknown ?? "", /^4x +other +not usable: it is empty; download it again$/)
      assert.match(checkpoint ?? "", /^sd15 +other +not usable: it is empty; download it again$/)
      assert.match(shapes ?? "", /^shapes-128 +checkpoint +sd1 +[\d.]+ MB +\(embedded\)$/)
      const listed = lines(json.stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        listed.map(({ family, kind, name, usable }) => [name, kind, family, usable]),
        [
          ["broken", "checkpoint", null, false],
          ["one", "checkpoint", "sd1", true],
          ["2x", "upscaler", null, true],
          ["4x", "other", null, false],
          ["sd15", "other", null, false],
          ["shapes-128", "checkpoint", "sd1", true]
        ]
      )
      assert(listed.every(({ problems, usable }) => usable === (problems.length === 0)))
      assert.deepStrictEqual(lines((yield* serena(["models", "--models-dir", folder, "--names"])).stdout), [
        "one",
        "shapes-128"
      ])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("that holds no model is named below the embedded one, in either format", () =>
    Effect.gen(function*() {
      const folder = yield* folderOf({ files: ["readme.txt"] })
      for (const format of [["--names"], ["--json"], []]) {
        const { code, stderr, stdout } = yield* serena(["models", "--models-dir", folder, ...format])
        assert.strictEqual(code, 0)
        assert.lengthOf(lines(stdout), format.length === 0 ? 2 : 1)
        assert.strictEqual(
          stderr,
          format[0] === "--names" ? "" : `Warning: There is no model in ${folder}. Put a model there.\n`
        )
      }
      assert.strictEqual((yield* serena(["models"])).stderr, "")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("without a name is ./models, in which new files are found, and the one in the data folder", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const [here, data] = [yield* temporaryFolder, yield* temporaryFolder]
      const files = yield* unpack("checkpoints/sd15.safetensors", "adapters/sd1-kohya.safetensors")
      const names = Effect.sync(() => process.cwd()).pipe(
        Effect.flatMap((before) =>
          Effect.acquireUseRelease(
            Effect.sync(() => process.chdir(here)),
            () => serena(["models", "--names"]),
            () => Effect.sync(() => process.chdir(before))
          )
        ),
        withEnvironment({ SERENA_DATA_DIR: data }),
        Effect.map(({ stderr, stdout }) => {
          assert.strictEqual(stderr, "")
          return lines(stdout)
        })
      )
      assert.deepStrictEqual(yield* names, ["shapes-128"])
      yield* fs.makeDirectory(`${here}/models`)
      assert.deepStrictEqual(yield* names, ["shapes-128"])
      yield* fs.copyFile(`${files}/checkpoints/sd15.safetensors`, `${here}/models/mine.safetensors`)
      yield* fs.copyFile(`${files}/adapters/sd1-kohya.safetensors`, `${here}/models/style.safetensors`)
      yield* fs.makeDirectory(`${data}/models`)
      yield* fs.symlink(embedded, `${data}/models/pulled`)
      assert.deepStrictEqual(yield* names, ["mine", "pulled", "shapes-128"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("that does not exist, or is a file, is a mistake of the flag or variable that names it", () =>
    Effect.gen(function*() {
      const file = `${yield* folderOf({ files: ["file"] })}/file`
      const commands = ["txt2img", "models", "serve", "contact-sheet"]
      for (const command of commands) {
        const { code, stderr, stdout } = yield* serena([command, "--models-dir", "/nowhere/at/all"])
        assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
        assert.include(stderr, "--models-dir: there is no folder /nowhere/at/all")
      }
      assert.include((yield* serena(["models", "--models-dir", file])).stderr, "--models-dir: Path is not a directory")
      const { code, stderr } = yield* withEnvironment({ SERENA_MODELS_DIR: "/nowhere" })(serena(["models"]))
      assert.strictEqual(code, 2)
      assert.include(stderr, "SERENA_MODELS_DIR: there is no folder /nowhere")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("is the one of SERENA_MODELS_DIR, unless a flag names another", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* folderOf({ models: ["a"] }), yield* folderOf({ models: ["b"] })]
      const names = (...flags: ReadonlyArray<string>) =>
        Effect.map(serena(["models", "--names", ...flags]), ({ stdout }) => lines(stdout).slice(0, -1))
      const variable = withEnvironment({ SERENA_MODELS_DIR: a })
      assert.deepStrictEqual(yield* variable(names()), ["a"])
      assert.deepStrictEqual(yield* variable(names("--models-dir", b)), ["b"])
      assert.deepStrictEqual(yield* variable(names("--models-dir", b, "--models-dir", a)), ["b", "a"])
      const both = withEnvironment({ SERENA_MODELS_DIR: `${a}${delimiter}${b}` })
      assert.deepStrictEqual(yield* both(names()), ["a", "b"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
