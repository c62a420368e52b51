import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
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
      assert.include(
        some.stderr,
        "old.ckpt, sd15.safetensors: no checkpoint that loads: damaged, incomplete, or of another kind."
      )
      assert.include(some.stderr, "Lora/style.safetensors: LoRA files do not load.")
      assert.include(some.stderr, "half: the folder has no model_index.json.")
      assert.notInclude(some.stderr, "readme")
      assert.include(
        named.stderr,
        "sd15.safetensors: no checkpoint that loads: damaged, incomplete, or of another kind."
      )
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
        "Warning: not used: a.ckpt, b.ckpt, c.ckpt and 2 more (no checkpoint that loads: damaged, incomplete, or of " +
        "another kind. Use the whole .safetensors file of a Stable Diffusion 1, 2 or XL model)."
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
      const [broken = "", one, checkpoint, upscaler, shapes] = lines(text.stdout)
      assert.match(
        broken,
        /^broken {2}.*\/broken {2}\(not usable: .*model_index\.json: _class_name: .*unet\/model\.onnx: /
      )
      assert.strictEqual(one, `one  ${folder}/one`)
      assert.include(
        checkpoint,
        `${folder}/sd15.safetensors  (not usable: no checkpoint that loads: damaged, incomplete, or of another kind.`
      )
      assert.include(upscaler, "4x.bin  (not usable: upscalers load from .onnx, .safetensors, .pth and .pt files.")
      assert.match(shapes ?? "", /^shapes-128 .*\(embedded\)$/)
      const listed = lines(json.stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        listed.map(({ name, usable }) => [name, usable]),
        [["broken", false], ["one", true], ["sd15.safetensors", false], ["4x.bin", false], ["shapes-128", true]]
      )
      assert(listed.every(({ problems, usable }) => usable === (problems.length === 0)))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("that holds no model is named below the embedded one, in either format", () =>
    Effect.gen(function*() {
      const folder = yield* folderOf({ files: ["readme.txt"] })
      for (const format of [[], ["--json"]]) {
        const { code, stderr, stdout } = yield* serena(["models", "--models-dir", folder, ...format])
        assert.strictEqual(code, 0)
        assert.lengthOf(lines(stdout), 1)
        assert.strictEqual(stderr, `Warning: There is no model in ${folder}. Put a model folder there.\n`)
      }
      assert.strictEqual((yield* serena(["models"])).stderr, "")
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
      const [variable, flag] = yield* Effect.all([serena(["models"]), serena(["models", "--models-dir", b])]).pipe(
        withEnvironment({ SERENA_MODELS_DIR: a })
      )
      assert.strictEqual(lines(variable.stdout)[0], `a  ${a}/a`)
      assert.strictEqual(lines(flag.stdout)[0], `b  ${b}/b`)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
