/**
 * A studio to be visited: a real server on the embedded model, and a real browser.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { HttpServer } from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { isLast, type RunList } from "../../src/contract/Run.ts"
import { ImageDecoder } from "../../src/images/ImageDecoder.ts"
import { ImageEncoder } from "../../src/images/ImageEncoder.ts"
import { openSafetensors } from "../../src/models/checkpoint/openFile.ts"
import type { WeightSource } from "../../src/models/checkpoint/WeightSource.ts"
import * as Serena from "../../src/Serena.ts"
import { DownloadHub } from "../../src/server/host/Downloads.ts"
import { ServerOptions } from "../../src/server/host/ServerOptions.ts"
import * as StudioFiles from "../../src/server/host/StudioFiles.ts"
import * as Server from "../../src/server/Server.ts"
import * as Routes from "../../src/server/v1/Routes.ts"
import { unpack } from "../models/checkpoint/data.ts"
import { madeControlNet } from "../models/checkpoint/madeControlNet.ts"
import { safetensors } from "../models/checkpoint/safetensorsFile.ts"
import { embedding, lora } from "../models/hub/files.ts"
import { start as startHub } from "../models/hub/HubServer.ts"
import { numbersOf } from "../models/networks/references.ts"

const names = ["chromium", "chromium-browser", "google-chrome"]

/** Where Chromium is. */
const findChromium = (): string => {
  const folders = ["/usr/bin", ...(process.env["PATH"] ?? "").split(delimiter)]
  const found = [
    process.env["CHROMIUM_PATH"] ?? "",
    ...folders.flatMap((folder) => names.map((name) => join(folder, name)))
  ]
    .find((path) => path !== "" && existsSync(path))
  if (found !== undefined) return found
  throw new Error(
    "The studio is tested in Chromium, which is not found. Install it (on Debian: apt-get install chromium), or name it " +
      "in the environment variable CHROMIUM_PATH."
  )
}

/** How long to wait for what must happen, in milliseconds: on a busy machine all of it takes long. */
const patience = 180_000

export interface Visited {
  readonly page: Page
  /** What the browser complained of: errors of the script, and refusals of the content security policy. */
  readonly complaints: ReadonlyArray<string>
  /** Addresses outside of the server that were asked for. */
  readonly strangers: ReadonlyArray<string>
}

// A checkpoint that edits images as instruct-pix2pix does: its first layer reads eight channels.
const editing = ({ tensors }: WeightSource) =>
  safetensors(Object.fromEntries(
    [...tensors.values()].map((tensor) => {
      const values = numbersOf(tensor)
      const [out = 0, , ...rest] = tensor.shape
      return [
        tensor.name,
        tensor.name === "model.diffusion_model.input_blocks.0.0.weight"
          ? { shape: [out, 8, ...rest], values: Float32Array.from({ length: 2 * values.length }, () => 0.01) }
          : { shape: tensor.shape, values }
      ]
    })
  ))

// The model that can be downloaded: after the question for its size, an answer stops in its middle.
const layerHub = Layer.unwrap(Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* unpack("checkpoints/sd15.safetensors")
  const bytes = yield* fs.readFile(`${folder}/checkpoints/sd15.safetensors`)
  const { endpoint } = yield* startHub({
    "owner/name": { files: { "fetched.safetensors": { bytes, stalls: [0, Math.floor(bytes.length / 2)] } } }
  })
  return Layer.succeed(DownloadHub, Result.succeed({ endpoint, token: undefined }))
})).pipe(Layer.orDie, Layer.provide(NodeFileSystem.layer))

// A LoRA with a preview, an embedding, a torn file, two checkpoints, and a ControlNet for one of them; tags and a
// wildcard.
const modelsDir = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* unpack("checkpoints/sd1-full-vocabulary.safetensors")
  const checkpoint = yield* openSafetensors(`${folder}/checkpoints/sd1-full-vocabulary.safetensors`)
  yield* fs.writeFile(`${folder}/edges.safetensors`, madeControlNet(checkpoint))
  yield* fs.writeFile(`${folder}/edits.safetensors`, editing(checkpoint))
  yield* fs.writeFile(`${folder}/Soft light.safetensors`, lora())
  yield* fs.writeFile(`${folder}/bad-hands.safetensors`, embedding)
  yield* fs.writeFileString(`${folder}/torn.safetensors`, "no weights at all")
  const preview = new URL("../../docs/images/shapes.png", import.meta.url).pathname
  yield* fs.copyFile(preview, `${folder}/Soft light.preview.png`)
  yield* fs.makeDirectory(`${folder}/wildcards/animals`, { recursive: true })
  yield* fs.writeFileString(`${folder}/wildcards/animals/pets.txt`, "cat\ndog\n")
  yield* fs.makeDirectory(`${folder}/data`)
  yield* fs.writeFileString(`${folder}/data/tags.csv`, "long_hair,0,400,\"longhair\"\nlong_dress,0,300\n1girl,0,900\n")
  return folder
}).pipe(Effect.orDie)

const layerServer = Server.layer(Layer.mergeAll(Routes.layer, StudioFiles.layer)).pipe(
  Layer.provideMerge(Layer.mergeAll(
    Layer.unwrap(Effect.map(modelsDir, (modelsDir) =>
      Serena.layer({
        cmdOpts: {
          modelsDir,
          dataDir: `${modelsDir}/data`,
          stylesFile: `${modelsDir}/data/styles.csv`,
          wildcardsDir: `${modelsDir}/wildcards`
        },
        options: { samples_save: false, show_progress_every_n_steps: 2, sd_model_checkpoint: "shapes-128" }
      }))).pipe(Layer.provide(NodeFileSystem.layer)),
    layerHub,
    ImageDecoder.layer,
    ImageEncoder.layer,
    NodeFileSystem.layer,
    NodePath.layer,
    ServerOptions.layer({ port: 0, grace: 0 })
  )),
  Layer.provideMerge(Logger.layer([]))
)

/** Waits until the page has what there is to choose from. */
export const isReady = (page: Page) =>
  page.getByRole("combobox", { name: "Sampling method" }).locator("option").nth(5).waitFor({ state: "attached" })

/** Ends and removes all runs of a server. */
const clear = async (url: string) => {
  const { runs }: RunList = await (await fetch(`${url}v1/runs?limit=100`)).json()
  if (runs.length === 0) return
  for (const { id, status } of runs) {
    if (isLast(status)) continue
    await fetch(`${url}v1/runs/${id}`, { method: "DELETE" })
    await (await fetch(`${url}v1/runs/${id}/events`)).text()
  }
  const body = JSON.stringify({ ids: runs.map(({ id }) => id) })
  await fetch(`${url}v1/runs/remove`, { method: "POST", body, headers: { "content-type": "application/json" } })
  await clear(url)
}

export class Studio extends Context.Service<Studio, {
  readonly url: string
  /** Opens the page in a browser that remembers nothing, on a server without runs: this one, or another. */
  readonly visit: (
    options?: BrowserContextOptions,
    address?: string
  ) => Effect.Effect<Visited, never, Scope.Scope>
}>()("serena/test/Studio") {
  static readonly layer = Layer.effect(
    Studio,
    Effect.gen(function*() {
      const { address } = yield* HttpServer
      const url = `http://127.0.0.1:${address._tag === "UnixPathAddress" ? 0 : address.port}/`
      const browser = yield* Effect.acquireRelease(
        Effect.promise(() =>
          chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox"], timeout: patience })
        ),
        (browser) => Effect.promise(() => browser.close())
      )
      return Studio.of({
        url,
        visit: Effect.fnUntraced(function*(options = {}, address = url) {
          const context = yield* Effect.acquireRelease(
            Effect.promise(() => browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })),
            (context) => Effect.promise(() => context.close())
          )
          return yield* Effect.promise(async () => {
            context.setDefaultTimeout(patience)
            await clear(address)
            const page = await context.newPage()
            const complaints: Array<string> = []
            const strangers: Array<string> = []
            page.on("pageerror", (error) => complaints.push(error.message))
            page.on("console", (message) => {
              if (/content security policy/i.test(message.text())) complaints.push(message.text())
            })
            page.on("request", (request) => {
              if (/^https?:/.test(request.url()) && !request.url().startsWith(address)) strangers.push(request.url())
            })
            await page.goto(address)
            await isReady(page)
            return { page, complaints, strangers }
          })
        })
      })
    })
  ).pipe(Layer.provide(layerServer))
}
