/**
 * The rooms of `src`, from the ground floor up, and which room may import which.
 *
 * This is the one place that says so: `rooms.test.ts` holds the sources to it, and `docs/architecture.md` shows it. A
 * room is a folder; the longest path that fits a file is its room.
 */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export interface Room {
  /** Folder below `src`, or the files that make up the top. */
  readonly path: string
  readonly holds: string
  /** Rooms that it may import, each of them listed before it. */
  readonly imports: ReadonlyArray<string>
}

const source = fileURLToPath(new URL("../../src/", import.meta.url))

/** From the ground floor up. */
export const rooms: ReadonlyArray<Room> = [
  {
    path: "core",
    holds:
      "rasters, sizes, regions, latent shapes, problems, text helpers, long work and its threads, vector arithmetic, folders, process identity",
    imports: []
  },
  { path: "rng", holds: "torch's and Philox's generators, the noise of a batch", imports: ["core"] },
  { path: "sampling", holds: "samplers, schedules, noise schedules, guidance", imports: ["core"] },
  { path: "prompt", holds: "the prompt language, chunks, emphasis, styles", imports: ["core"] },
  {
    path: "processing",
    holds: "what is asked: `Processing`, settings, limits, infotext",
    imports: ["core", "prompt"]
  },
  {
    path: "model",
    holds: "what a run may ask of a model: `ModelInfo`, `LoadedModel`, what they are made of, `Models`, their errors",
    imports: ["core", "processing", "prompt", "sampling"]
  },
  {
    path: "families",
    holds: "one file for each family of models: how it reads texts, what its latents and its noise are",
    imports: ["core", "model", "processing", "prompt", "sampling"]
  },
  {
    path: "images",
    holds: "image files, metadata, resizing, masks, overlays, grids, upscalers, where images are saved",
    imports: ["core", "model", "processing"]
  },
  {
    path: "planning",
    holds: "from a request to a `RunPlan`, what its prompts name, and how many tokens they have",
    imports: ["core", "images", "model", "processing", "prompt", "sampling"]
  },
  {
    path: "runner",
    holds: "`Lifecycle`, `ProcessingRunner`, `RunnerHooks`, `RuntimeContext`, `Pipeline`, `processImages`",
    imports: ["core", "images", "model", "planning", "processing", "sampling"]
  },
  {
    path: "instrumentation",
    holds: "hook sets, one file each: progress, tracing, metrics, cancellation",
    imports: ["core", "runner"]
  },
  {
    path: "models/onnx",
    holds: "ONNX files: reading and writing them, sizes of their values, memory of a call",
    imports: ["core"]
  },
  {
    path: "models/checkpoint",
    holds: "files of weights: safetensors, torch's, shards, diffusers folders; what they hold, and their hashes",
    imports: ["core", "model"]
  },
  {
    path: "models/graph",
    holds: "the vocabulary that graphs are built of: values, operators, layers",
    imports: ["core", "models/checkpoint", "models/onnx"]
  },
  {
    path: "models/networks",
    holds: "one file for each architecture, built of that vocabulary",
    imports: ["models/checkpoint", "models/graph"]
  },
  {
    path: "models/adapters",
    holds: "files of LoRAs and their relatives, and which layers of a model's networks they change",
    imports: ["model", "models/checkpoint", "models/graph", "models/networks"]
  },
  {
    path: "models",
    holds: "model folders, tokenizers, `ModelProvider`, the thread that runs the networks",
    imports: [
      "core",
      "families",
      "images",
      "model",
      "models/adapters",
      "models/checkpoint",
      "models/graph",
      "models/networks",
      "models/onnx",
      "processing",
      "prompt",
      "sampling"
    ]
  },
  {
    path: "models/hub",
    holds:
      "what `serena models pull` and clients of a server fetch: references, choice of files, downloads that resume",
    imports: ["core", "models/checkpoint"]
  },
  {
    path: "diffusion",
    holds: "the engine behind `Pipeline`: conditioning, denoiser, passes, previews, VAE, output",
    imports: ["core", "images", "model", "planning", "processing", "prompt", "rng", "runner", "sampling"]
  },
  {
    path: "remote",
    holds: "a `Pipeline` whose images are made by another server",
    imports: ["core", "diffusion", "images", "model", "planning", "processing", "runner"]
  },
  {
    path: "testing",
    holds: "layers that users put under their own tests",
    imports: [
      "core",
      "diffusion",
      "families",
      "images",
      "model",
      "planning",
      "processing",
      "prompt",
      "runner",
      "sampling"
    ]
  },
  {
    path: ".",
    holds: "`index.ts`, and `Serena.ts`, where the engine's layers are put together",
    imports: [
      "core",
      "diffusion",
      "images",
      "model",
      "models",
      "planning",
      "processing",
      "prompt",
      "runner",
      "sampling"
    ]
  },
  {
    path: "contract",
    holds: "the contract of `/v1`: paths, requests, replies, errors",
    imports: ["core", "processing", "runner"]
  },
  {
    path: "runs",
    holds: "runs as they are kept: records and their events, the order of the queue, the stores of both and of files",
    imports: ["contract", "core", "images", "planning", "processing", "runner"]
  },
  {
    path: "cluster",
    holds: "a `Pipeline` whose images are made by the workers of a database",
    imports: ["core", "diffusion", "images", "models", "planning", "processing", "runner", "runs"]
  },
  {
    path: "client",
    holds: "a typed client of `/v1`, for browsers and programs",
    imports: ["contract", "core", "processing", "runner"]
  },
  { path: "studio", holds: "the page in the browser", imports: ["client", "contract", "core", "processing"] },
  {
    path: "server/host",
    holds: "what both HTTP APIs stand on: the run queue, settings, authentication, the studio's files",
    imports: ["contract", "core", "images", "models", "models/hub", "planning", "processing", "runner", "runs"]
  },
  {
    path: "server/v1",
    holds: "`/v1`: handlers, events, forms",
    imports: [
      "contract",
      "core",
      "images",
      "model",
      "planning",
      "processing",
      "runner",
      "runs",
      "sampling",
      "server/host"
    ]
  },
  {
    path: "server/sdapi",
    holds: "`/sdapi/v1`, as stable-diffusion-webui answers it",
    imports: [
      "contract",
      "core",
      "images",
      "model",
      "models",
      "processing",
      "runner",
      "runs",
      "sampling",
      "server/host"
    ]
  },
  {
    path: "server/openai",
    holds: "OpenAI's image API, over `/v1`'s submission",
    imports: ["contract", "core", "images", "model", "processing", "runner", "runs", "server/host", "server/v1"]
  },
  {
    path: "server/mcp",
    holds: "tools of the Model Context Protocol, over `/v1`'s submission",
    imports: ["contract", "core", "images", "processing", "runs", "sampling", "server/host", "server/v1"]
  },
  {
    path: "server",
    holds: "all APIs on one router, and how a server starts and ends",
    imports: [
      "contract",
      "images",
      "instrumentation",
      "models",
      "processing",
      "runner",
      "runs",
      "server/host",
      "server/mcp",
      "server/openai",
      "server/sdapi",
      "server/v1",
      "."
    ]
  },
  {
    path: "cli",
    holds: "the `serena` command",
    imports: [
      "core",
      "images",
      "instrumentation",
      "models",
      "models/checkpoint",
      "models/hub",
      "processing",
      "remote",
      "runner",
      "runs",
      "sampling",
      "server",
      "server/host",
      "."
    ]
  }
]

/** Files of the top that every room may import: they import nothing themselves. */
const free = new Set(["version.ts"])

/** The room of a file below `src`. */
export const roomOf = (file: string): string =>
  rooms.map(({ path }) => path)
    .filter((path) => path === "." ? !file.includes("/") : file.startsWith(`${path}/`))
    .reduce((longest, path) => path.length > longest.length ? path : longest, "")

export interface Import {
  readonly from: string
  readonly to: string
}

/** Every import from one file of `src` to another, types included; paths below `src`. */
export const imports = (): ReadonlyArray<Import> =>
  readdirSync(source, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => /\.(ts|tsx|mjs)$/.test(file))
    .flatMap((from) =>
      [...readFileSync(join(source, from), "utf8").matchAll(/(?:\bfrom|\bimport\(?|new URL\()\s*"(\.{1,2}\/[^"]+)"/g)]
        .map(([, to = ""]) => ({ from, to: relative(source, resolve(dirname(join(source, from)), to)) }))
        .filter(({ to }) => /\.(ts|tsx|mjs)$/.test(to))
    )

/** The imports that cross from one room to another. */
export const crossings = (): ReadonlyArray<Import> =>
  imports().filter(({ from, to }) => roomOf(from) !== roomOf(to) && !free.has(to))

/** Rooms by floor, from the top down: a room stands on the floor above the highest that it imports. */
export const floors = (): ReadonlyArray<ReadonlyArray<string>> => {
  const found = crossings()
  const below = (room: string) => new Set(found.filter(({ from }) => roomOf(from) === room).map(({ to }) => roomOf(to)))
  const heights = new Map<string, number>()
  const height = (room: string): number => {
    const known = heights.get(room)
    if (known !== undefined) return known
    const counted = 1 + Math.max(-1, ...[...below(room)].map(height))
    heights.set(room, counted)
    return counted
  }
  const byFloor = Map.groupBy(rooms.map(({ path }) => path), height)
  return [...byFloor].toSorted(([a], [b]) => b - a).map(([, paths]) => paths)
}
