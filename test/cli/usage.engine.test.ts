import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"
import { tables } from "../../src/cli/GenerateFlags.ts"
import * as ProcessFlags from "../../src/cli/ProcessFlags.ts"
import { version } from "../../src/version.ts"
import { serena, withEnvironment } from "./command.ts"
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

  it.live("names what is wrong with a ControlNet by its part", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* temporaryFolder}/a, pose.png`
      yield* fs.writeFileString(file, "xyz")
      const control = (...flags: ReadonlyArray<string>) =>
        serena(["txt2img", "cat", ...flags.flatMap((flag) => ["--control", flag])])
      const [one, two, missing, large] = yield* all([
        control("pose.png,wieght=1,weight=9,mode=balance,start=soon,end=2,pixel-perfect=maybe,end=1"),
        control("weight=1", "module=canny,weight=-1"),
        control(`image=${file}.not`),
        serena(["txt2img", "cat", "--max-image-bytes", "2", "--control", `image=${file}`])
      ])
      for (const { code, stdout } of [one, two]) assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
      for (
        const sentence of [
          "\"pose.png\" has no name; write image=pose.png",
          "it has no part named \"wieght\"; did you mean \"weight\"?",
          "weight: 9 is out of range: 0 to 2",
          "control_mode: \"balance\" is none of balanced, prompt, control",
          "guidance_start: \"soon\" is not a number",
          "guidance_end: 2 is out of range: 0 to 1",
          "guidance_end: it is given twice",
          "pixel_perfect: \"maybe\" is neither true nor false"
        ]
      ) assert.include(one.stderr, `--control: ${sentence}`)
      assert.include(two.stderr, "--control: ControlNet 1: weight: -1 is out of range: 0 to 2")
      assert.strictEqual(missing.code, 1)
      assert.include(missing.stderr, `${file}.not: there is no such file`)
      assert.include(large.stderr, `${file}: the file is larger than 2 bytes`)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("proposes the flag or command that an unknown one stands for", () =>
    Effect.gen(function*() {
      const flags = {
        "--cfg": "--cfg-scale",
        "--batch": "--batch-size",
        "--negative": "--negative-prompt",
        "--sampler_name": "--sampler",
        "--sd_model_checkpoint": "--model",
        "--hr_upscaler": "--hr-upscaler",
        "--size": "--width and --height",
        "--samplername": "--sampler",
        "--resolution": "--width and --height",
        "--gpu": "--device",
        "--denoise": "--denoising-strength",
        "--upscaler": "--hr-upscaler",
        "-W": "--width",
        "-p": "--prompt",
        "--output": "--outdir",
        "--out": "--outdir"
      }
      for (const [flag, meant] of Object.entries(flags)) {
        const { code, stderr } = yield* serena(["txt2img", flag, "3"])
        assert.strictEqual(code, 2)
        assert.include(stderr, `There is no flag ${flag}. Did you mean ${meant}?\n`)
      }
      const commands = {
        help: "--help",
        list: "models",
        generate: "txt2img",
        samp: "samplers",
        "contact_sheet": "contact-sheet"
      }
      for (const [command, meant] of Object.entries(commands)) {
        const { code, stderr } = yield* serena([command])
        assert.strictEqual(code, 2)
        assert.include(stderr, `There is no command "${command}". Did you mean ${meant}?\n`)
      }
      for (const unknown of [["txt2img", "--weather", "3"], ["models", "--out", "3"], ["xyz"]]) {
        assert.notInclude((yield* serena(unknown)).stderr, "Did you mean")
      }
    }))

  it.live("points to the command that has a flag, and to img2img for an init image", () =>
    Effect.gen(function*() {
      const image = "The image to start from is the first argument of img2img, before the prompt."
      const commands: ReadonlyArray<readonly [args: ReadonlyArray<string>, sentence: string]> = [
        [
          ["txt2img", "a star", "--mask", "x.png"],
          "There is no flag --mask in txt2img. The command img2img has --mask."
        ],
        [["demo", "--inpainting_fill", "0"], "in demo. The command img2img has --inpainting-fill."],
        [["img2img", "x.png", "--enable-hr"], "in img2img. The command txt2img has --enable-hr."],
        [["txt2img", "--port", "80"], "in txt2img. The command serve has --port."],
        [["--size", "3"], "in serena. The command txt2img has --width and --height."],
        ...["--init", "--init-image", "--init_images", "--init-img", "--image", "--input", "-i"].map((flag) =>
          [["txt2img", "a star", flag, "x.png"], `There is no flag ${flag} in txt2img. ${image}`] as const
        ),
        [["txt2img", "x.png", "a star"], `Unexpected argument "a star". ${image}`],
        [["models", "list"], "There is no command \"list\". Did you mean models?"]
      ]
      for (const [args, sentence] of commands) {
        const { code, stderr, stdout } = yield* serena(args)
        assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
        assert.include(lines(stderr)[0], sentence)
      }
    }))

  it.live("knows every flag by the name of its field", () =>
    Effect.gen(function*() {
      for (const [name, { flag }] of Object.entries({ ...tables.txt2img, ...ProcessFlags.table })) {
        if (name === flag) continue
        assert.include((yield* serena(["txt2img", `--${name}`, "3"])).stderr, `Did you mean --${flag}?`)
      }
    }))

  it.live("says which numbers are in range", () =>
    Effect.gen(function*() {
      const low = yield* serena(
        ("txt2img --steps -5 --width 0 --batch-size 0 --threads -2 --max-width 0 --enable-hr --denoising-strength 2 " +
          "--set CLIP_stop_at_last_layers=99").split(" ")
      )
      for (
        const sentence of [
          "--steps: -5 is out of range: 1 to 150",
          "--width: 0 is out of range: 8 to ",
          "--batch-size: 0 is out of range: 1 to 16",
          "--threads: -2 is out of range: 0 or more",
          "--max-width: 0 is out of range: 1 or more",
          "--denoising-strength: 2 is out of range: 0 to 1",
          "CLIP_stop_at_last_layers: 99 is out of range: 1 to 12"
        ]
      ) {
        assert.include(low.stderr, sentence)
      }
      const huge = yield* serena("txt2img --steps -1e30 --max-n-iter 7 --n-iter 0".split(" "))
      assert.include(huge.stderr, "--steps: -1e+30 is out of range: 1 to 150")
      assert.include(huge.stderr, "--n-iter: 0 is out of range: 1 to 7")
      assert.notInclude(huge.stderr, "Expected")
      const infinite = yield* serena("txt2img --steps 1e400 --height 1e400 --threads 1e400 --batch-size 3.5".split(" "))
      assert.match(infinite.stderr, /--steps: \S+ is out of range: at most 150/)
      assert.match(infinite.stderr, /--height: \S+ is out of range: at most 2048/)
      assert.match(infinite.stderr, /--threads: \S+ is out of range: at most /)
      assert.include(infinite.stderr, "--batch-size: 3.5 is not a whole number")
    }))

  it.live("takes names of devices, formats and settings in any case, and lists them for an unknown one", () =>
    Effect.gen(function*() {
      const unknown = yield* serena("txt2img --device gpu --format gif --set emphasis=loud".split(" "))
      assert.include(unknown.stderr, "--device: \"gpu\" is none of cpu, cuda, dml, coreml, webgpu")
      assert.include(unknown.stderr, "--format: \"gif\" is none of png, jpg, jpeg, webp")
      assert.include(unknown.stderr, "--set: emphasis: \"loud\" is none of None, Ignore, Original, No norm")
      const known = yield* serena(
        "txt2img --steps 0 --device CPU --format PNG --set samples_format=JPG --set emphasis=ignore".split(" ")
      )
      assert.include(known.stderr, "The request cannot be processed. Correct --steps: 0 is out of range: 1 to 150.\n")
    }))

  it.live("says what a device that is not there needs", () =>
    Effect.gen(function*() {
      const [device, system] = process.platform === "win32" ? ["CoreML", "macOS"] : ["DML", "Windows"]
      for (const command of ["txt2img", "serve", "worker"]) {
        const { code, stderr, stdout } = yield* serena([command, "--device", device ?? ""])
        assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
        assert.lengthOf(lines(stderr), 1)
        assert.match(stderr, new RegExp(`Correct --device: onnxruntime-node has .* on ${system} only; use `))
      }
    }))

  it.live("gives hints that can be pasted, however it was started", () =>
    Effect.gen(function*() {
      const own = "serena-runtime"
      for (
        const [npm_lifecycle_event, npm_package_name, command] of [
          ["npx", "pictures", "npx serena"],
          ["start", own, "npm run --silent serena --"],
          ["start", "pictures", "npx serena"]
        ] as const
      ) {
        const started = withEnvironment({ npm_lifecycle_event, npm_package_name })
        const { stderr } = yield* started(serena(["txt2img", "--stepz", "3"]))
        assert.include(stderr, `See "${command} txt2img --help".`)
        const { stdout } = yield* started(serena(["--help"]))
        assert.include(stdout, `USAGE\n  ${command} <subcommand> [flags]`)
        assert.include(stdout, `\n  ${command} demo\n`)
        assert.include(stdout, `\n  source <(${command} --completions bash)`)
        const completions = yield* started(serena(["--completions", "bash"]))
        assert.isTrue(completions.stdout.startsWith(`alias serena='${command}'\n`))
      }
    }))

  it.live("wraps its help at the width of the terminal, and names the flags that turn something off", () =>
    Effect.gen(function*() {
      for (const columns of [50, 80, 120]) {
        for (const command of ["", "txt2img", "img2img", "serve", "worker", "models", "contact-sheet"]) {
          const { stdout } = yield* withEnvironment({ COLUMNS: String(columns) })(
            serena([command, "--help"].filter((word) => word !== ""))
          )
          const [text = "", examples = ""] = stdout.split("EXAMPLES")
          const long = [...lines(text), ...lines(examples).filter((line) => line.startsWith("  #"))]
            .filter((line) => line.length > columns)
          assert.deepStrictEqual(long, [], `${command} in ${columns} columns`)
          if (command.endsWith("2img")) assert.match(text.replaceAll(/\s+/g, " "), /--tiling .*; --no-tiling for off\)/)
        }
      }
    }))

  it.live("completes the values of flags", () =>
    Effect.gen(function*() {
      const { stdout } = yield* serena(["--completions", "bash"])
      for (
        const values of [
          "--device\\)\n.*'cpu' 'cuda' 'dml' 'coreml' 'webgpu'",
          "--format\\)\n.*'png' 'jpg' 'jpeg' 'webp'",
          "--sampler\\)\n.*'DPM\\+\\+ 2M' ",
          "--scheduler\\)\n.* 'Karras' ",
          "--hr-upscaler\\)\n.*'Latent' .*'Lanczos'",
          "--log-level\\)\n.* 'debug' ",
          "--from\\)\n.*--paths -f "
        ]
      ) {
        assert.match(stdout, new RegExp(values))
      }
    }))

  it.live("asks for the models when a shell completes, by the command as it was started", () =>
    Effect.gen(function*() {
      const asks = {
        bash: [/done < <\(npx serena models --names /, /--model\)\n +_serena--model-names /],
        zsh: [/\$\(npx serena models --names /, /\(--hr-checkpoint\)--hr-checkpoint\[.*\]:value:__serena_model_names'/],
        fish: [/\n +npx serena models --names /, / -l refiner-checkpoint .* -a '\(__serena_model_names\)'/]
      }
      for (const [shell, patterns] of Object.entries(asks)) {
        const { stdout } = yield* withEnvironment({ npm_lifecycle_event: "npx", npm_package_name: "pictures" })(
          serena(["--completions", shell])
        )
        for (const pattern of patterns) assert.match(stdout, pattern)
        assert.notInclude(stdout, "@models@")
      }
      assert.notInclude((yield* serena(["--completions", "powershell"])).stdout, "@models@")
      assert.strictEqual((yield* serena(["models", "--names"])).stdout, "shapes-128\n")
    }))

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
      assert.deepInclude(model, {
        name: "shapes-128",
        folder: `${project}models/shapes-128`,
        embedded: true,
        usable: true,
        problems: [],
        kind: "checkpoint",
        family: "sd1"
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
