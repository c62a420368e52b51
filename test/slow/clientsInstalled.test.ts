/**
 * Other clients, installed as their users install them and unchanged: of stable-diffusion-webui, `webuiapi` by Python's
 * pip and `node-sd-webui` by npm; of OpenAI's image API, `openai` and `litellm` by pip.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { withServer } from "../bench/server/serverProcess.ts"
import { type Ended, nodeFolder, shell } from "../docs/session.ts"

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "serena-clients-"))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

const succeeded = ({ code, stderr, stdout }: Ended): string => {
  assert.strictEqual(code, 0, stdout + stderr)
  return stdout
}

const run = async (commands: string) => succeeded(await shell(commands, { folder, path: [nodeFolder] }))

const lastLine = (text: string): unknown => JSON.parse(text.trim().split("\n").at(-1) ?? "")

// They are no packages of the npm registry: a machine may have no Python, or no way to its packages.
describe("Python's clients", () => {
  const packages = "webuiapi==0.9.17 openai==3.57.0 litellm==1.110.2"
  let absent: string | undefined
  let printed: { readonly webuiapi: string; readonly openai: string }

  beforeAll(async () => {
    // They share an environment, whose modules are compiled when they are used, and a server.
    const install = `python3 -m venv python && python/bin/pip install --quiet --no-compile ${packages}`
    const installed = await shell(install, { folder, path: [nodeFolder] })
    if (installed.code !== 0) {
      absent = `Python's clients are not to be had here: ${installed.stderr.trim().split("\n").at(-1)}`
      return
    }
    const client = (name: string) => `python/bin/python "${join(import.meta.dirname, "clients", name)}"`
    printed = await withServer([], async ({ port, url }) => ({
      webuiapi: await run(`${client("webuiapi_client.py")} ${port}`),
      openai: await run(`${client("openai_client.py")} ${url}`)
    }), folder)
  })

  it("webuiapi 0.9.17 does all that needs no extension", ({ skip }) => {
    if (absent !== undefined) skip(absent)
    const { model, png_info, ...got } = Object(lastLine(printed.webuiapi))
    assert.deepStrictEqual(got, {
      txt2img: [[128, 128], 1, 4],
      batch: 4,
      hires: [128, 128],
      img2img: [128, 128],
      inpainting: [128, 128],
      script: [256, 256],
      extra: [192, 192],
      extras: 2,
      interrogate: 501
    })
    assert.match(model, /^shapes-128 \[[0-9a-f]{10}\]$/)
    assert.match(png_info, /^a red circle\nSteps: 4, Sampler: Euler a, /)
  })

  it("openai 3.57.0 and litellm 1.110.2 generate, edit, vary and stream images", ({ skip }) => {
    if (absent !== undefined) skip(absent)
    assert.deepStrictEqual(lastLine(printed.openai), {
      "generate": [2, [128, 128], 2],
      "edit": ["WEBP", [128, 128]],
      "several": 2,
      "variation": [128, 128],
      "stream": "image_generation.completed",
      "models": ["shapes-128"],
      "refusal": [400, "invalid_value", "size"],
      "litellm": [128, 128],
      "litellm edit": [128, 128]
    })
  })
})

describe("node-sd-webui 0.0.8", () => {
  it("makes images and reads their text", async () => {
    await run("npm install --prefix . --ignore-scripts --no-audit --no-fund node-sd-webui@0.0.8")
    const program = [
      "const { txt2img } = await import('./node_modules/node-sd-webui/esm/sdapi/txt2img.js')",
      "const { pngInfo } = await import('./node_modules/node-sd-webui/esm/sdapi/pngInfo.js')",
      "const url = process.env.SERVER",
      "const { images } = await txt2img({ prompt: 'a red circle', steps: 4, width: 128, height: 128, seed: 3 }, url)",
      "const { prompt, steps, seed } = await pngInfo({ imageData: images[0] }, url)",
      "console.log(JSON.stringify({ count: images.length, prompt, steps, seed }))"
    ].join("\n")
    const printed = await withServer(
      [],
      ({ url }) => run(`SERVER=${url} node --input-type=module --eval "${program}"`),
      folder
    )
    assert.deepInclude(lastLine(printed), { count: 1, prompt: "a red circle", steps: 4 })
  })
})
