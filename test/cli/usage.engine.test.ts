import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"
import { version } from "../../src/version.ts"
import { serena } from "./command.ts"
import { lines, temporaryFolder } from "./process.ts"

const all = <const Effects extends ReadonlyArray<Effect.Effect<unknown>>>(effects: Effects) =>
  Effect.all(effects, { concurrency: 2 })

const project = fileURLToPath(new URL("../../", import.meta.url))

describe("serena", () => {
  it.live("tells its version, helps, and completes", () =>
    Effect.gen(function*() {
      const [number, bare, txt2img, completions] = yield* all([
        serena(["--version"]),
        serena([]),
        serena(["txt2img", "--help"]),
        serena(["--completions", "bash"])
      ])
      for (const { code, stderr } of [number, bare, txt2img, completions]) {
        assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      }
      assert.include(number.stdout, version)
      for (const word of ["txt2img", "img2img", "models", "samplers", "info", "demo", "--completions", "EXAMPLES"]) {
        assert.include(bare.stdout, word)
      }
      assert.match(txt2img.stdout, /--steps <integer> .*default: 20/)
      assert.match(txt2img.stdout, /--sampler <name> .*default: Euler/)
      assert.include(txt2img.stdout, "EXAMPLES")
      assert.include(completions.stdout, "--negative-prompt")
    }))

  it.live("says what is wrong with a command, exits with 2, and prints no result", () =>
    Effect.gen(function*() {
      const [flag, command, words, values, sampler] = yield* all([
        serena(["txt2img", "--stepz", "3"]),
        serena(["txt2imgg"]),
        serena(["txt2img", "a", "star"]),
        serena(
          "txt2img star --prompt star --steps many --width 7 --cfg-scale 2000 --seed 1.5 --device abacus --threads -1"
            .split(" ")
        ),
        serena(["txt2img", "--sampler", "Euller a"])
      ])
      for (const { code, stdout } of [flag, command, words, values, sampler]) {
        assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
      }
      assert.include(flag.stderr, "There is no flag --stepz. Did you mean --steps?")
      assert.include(flag.stderr, "serena txt2img --help")
      assert.include(command.stderr, "Did you mean txt2img?")
      assert.include(words.stderr, "Put quotes around")
      assert.lengthOf(lines(values.stderr), 1)
      for (const name of ["prompt", "steps", "width", "cfg-scale", "seed", "device", "threads"]) {
        assert.include(values.stderr, `--${name}: `)
      }
      assert.include(values.stderr, "\"many\" is not a number")
      assert.lengthOf(lines(sampler.stderr), 1)
      assert.include(sampler.stderr, "Did you mean \"Euler a\"?")
    }))

  it.live("names what is wrong with settings, files and fields of every kind by its flag", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* temporaryFolder}/bytes`
      yield* fs.writeFileString(file, "xyz")
      const settings = "--set samples_savee=1 --set emphasis --set CLIP_stop_at_last_layers=99 --format gif"
      const [txt2img, img2img, twice, none, missing, large, device] = yield* all([
        serena(`txt2img --hr-scale 20 --enable-hr --max-models x --s-churn -1 ${settings}`.split(" ")),
        serena(`img2img ${file} cat --resize-mode 7 --no-mask-round --inpainting-mask-invert ${settings}`.split(" ")),
        serena(`img2img ${file} --init ${file}`.split(" ")),
        serena(["img2img"]),
        serena(`img2img ${file} --mask ${file}.not`.split(" ")),
        serena(`img2img ${file} --max-image-bytes 2`.split(" ")),
        serena(["img2img", "/dev/zero"])
      ])
      for (const { code, stderr, stdout } of [txt2img, img2img, twice, none]) {
        assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" }, stderr)
      }
      for (const { stderr } of [txt2img, img2img]) {
        assert.lengthOf(lines(stderr), 1)
        assert.include(stderr, "--set: no setting is named \"samples_savee\"; did you mean \"samples_save\"?")
        assert.include(stderr, "--set: emphasis has no value")
        assert.include(stderr, "--set: CLIP_stop_at_last_layers: ")
        assert.include(stderr, "--format: ")
      }
      for (const name of ["hr-scale", "max-models", "s-churn"]) assert.include(txt2img.stderr, `--${name}: `)
      assert.include(img2img.stderr, "--resize-mode: ")
      assert.include(twice.stderr, "--init: 2 images are too many for a batch of 1")
      assert.include(none.stderr, "image")
      for (
        const [sentence, { code, stderr, stdout }] of [
          ["bytes.not: there is no such file", missing],
          ["the file is larger than 2 bytes", large],
          ["/dev/zero: it cannot be read", device]
        ] as const
      ) {
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
        assert.include(stderr, sentence)
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("obeys the limits, and moves them", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* serena("txt2img --width 4096 --height 64 --max-height 32 --steps 0".split(" "))
      const over = yield* serena("txt2img --width 4096 --height 64 --max-height 32".split(" "))
      assert.strictEqual(code, 2)
      assert.include(stderr, "--steps: ")
      assert.include(
        over.stderr,
        "--width: 4096 is over the limit of 2048 pixels; --height: 64 is over the limit of 32"
      )
    }))

  it.live("lists models and samplers, and says where it looked for a model", () =>
    Effect.gen(function*() {
      const [models, samplers, missing, unknown] = yield* all([
        serena(["models", "--json"]),
        serena(["samplers", "--json"]),
        serena(["txt2img", "--models-dir", "/nowhere/at/all", "--model", "x"]),
        serena(["txt2img", "--model", "shapes-256"])
      ])
      const [model] = lines(models.stdout).map((line) => JSON.parse(line))
      assert.deepStrictEqual(model, {
        name: "shapes-128",
        folder: `${project}models/shapes-128`,
        embedded: true,
        usable: true,
        problems: []
      })
      const listed = lines(samplers.stdout).map((line) => JSON.parse(line))
      assert(listed.some(({ sampler }) => sampler === "Euler a"))
      assert(listed.some(({ scheduler }) => scheduler === "Karras"))
      assert.strictEqual(missing.code, 2)
      assert.include(missing.stderr, "/nowhere/at/all")
      assert.strictEqual(unknown.code, 1)
      assert.include(unknown.stderr, "Did you mean \"shapes-128\"?")
      for (const { stderr } of [missing, unknown]) assert.lengthOf(lines(stderr), 1)
    }))

  it.live("says why a file gives no infotext", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* temporaryFolder
      yield* fs.writeFileString(`${folder}/text.png`, "not a picture")
      yield* fs.writeFileString(`${folder}/huge.png`, "")
      yield* fs.truncate(`${folder}/huge.png`, 300 * 1024 * 1024)
      const results = yield* all([
        serena(["info", `${folder}/missing.png`]),
        serena(["info", `${folder}/text.png`]),
        serena(["info", `${folder}/huge.png`]),
        serena(["info", `${project}models/shapes-128/contact-sheet.png`]),
        serena(["txt2img", "--from", `${folder}/missing.png`]),
        serena(["demo", "--from", `${project}models/shapes-128/contact-sheet.png`])
      ])
      const sentences = [
        "there is no such file",
        "neither a PNG, JPEG, WebP, GIF nor AVIF file",
        "larger than 256 MB",
        "contains no infotext",
        "there is no such file",
        "contains no infotext"
      ]
      for (const [i, { code, stderr, stdout }] of results.entries()) {
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
        assert.lengthOf(lines(stderr), 1)
        assert.include(stderr, sentences[i] ?? "")
        assert.include(stderr, ".png: ")
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
