import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { existsSync, realpathSync } from "node:fs"
import { dirname } from "node:path"
import sharp from "sharp"
import { lines, serena, temporaryFolder } from "../cli/process.ts"
import { unpack } from "../models/checkpoint/data.ts"
import { families, write as writeFamily } from "../models/families.ts"
import { platform } from "../models/fixtures.ts"

/**
 * The folder of SwiftShader, a Vulkan driver that needs no graphics card, and of a Vulkan loader. Chromium brings both,
 * and the tests of the studio need that anyway. SwiftShader knows no float16, so graphs are built in float32 for it.
 */
const swiftShader = (): string => {
  const browser = process.env["CHROMIUM_PATH"]
  const folders = [
    ...(browser === undefined || !existsSync(browser) ? [] : [dirname(realpathSync(browser))]),
    "/usr/lib/chromium",
    "/usr/lib64/chromium-browser",
    "/opt/google/chrome"
  ]
  const found = folders.find((folder) => existsSync(`${folder}/vk_swiftshader_icd.json`))
  if (found !== undefined) return found
  throw new Error(
    "WebGPU is tested on SwiftShader, which Chromium brings and which is not found. Install Chromium (on Debian: " +
      "apt-get install chromium), or name it in the environment variable CHROMIUM_PATH."
  )
}

const pixelsOf = (file: string) => Effect.promise(() => sharp(file).raw().toBuffer())

describe("--device webgpu", () => {
  const imageOn = Effect.fnUntraced(function*(device: string, models: string, model: string) {
    const runtime = yield* temporaryFolder
    const driver = swiftShader()
    const run = ["txt2img", "a cat", "--models-dir", models, "--model", model, "--outdir", runtime, "--quiet"]
    const small = ["--steps", "1", "--width", "64", "--height", "64", "--seed", "1", "--cfg-scale", "1"]
    // Waiting threads of onnxruntime's spin, on processors that SwiftShader needs.
    const { code, stderr, stdout } = yield* serena([...run, ...small, "--device", device, "--threads", "1"], {
      env: {
        VK_ICD_FILENAMES: `${driver}/vk_swiftshader_icd.json`,
        LD_LIBRARY_PATH: driver,
        XDG_RUNTIME_DIR: runtime
      }
    })
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    return yield* pixelsOf(lines(stdout)[0] ?? "")
  })

  const isLikeProcessors = Effect.fnUntraced(function*(models: string, model: string) {
    const [expected, found] = [yield* imageOn("cpu", models, model), yield* imageOn("webgpu", models, model)]
    assert.strictEqual(found.length, 64 * 64 * 3)
    assert.isAbove(new Set(expected).size, 10, "the image has something in it")
    const largest = found.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0)
    assert.isAtMost(largest, 2, "levels of 255")
  })

  it.live("makes the processor's image, within two levels, from a folder of ONNX networks", () =>
    Effect.gen(function*() {
      const models = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
      yield* writeFamily(`${models}/tiny`, families.sd1)
      yield* isLikeProcessors(models, "tiny")
    }).pipe(Effect.provide(platform)))

  it.live("makes the processor's image, within two levels, from a checkpoint", () =>
    Effect.gen(function*() {
      const models = yield* unpack("checkpoints/sd1-full-vocabulary.safetensors")
      yield* isLikeProcessors(models, "sd1-full-vocabulary")
    }).pipe(Effect.provide(platform)))
})
