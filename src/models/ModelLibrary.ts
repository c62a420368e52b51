/**
 * All files of weights and model folders in the models folders: what each is, recognised by its contents.
 *
 * Folders are searched at each use, so that new files are found without a restart; a file's header is read again only
 * when its size or time changed. The layouts of the webui, of ComfyUI, of a hub's cache and flat folders need no rules
 * of their own, but for three: a diffusers folder is one model, a cache of the hub has the current snapshot of each
 * repository, and the webui keeps its embeddings next to its models folder.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { Problem } from "../core/Problem.ts"
import { type Contents, contentsOf, type Kind } from "./checkpoint/contents.ts"
import type { Hashes } from "./checkpoint/hashes.ts"
import { filesOfFolder, openFile, openFolder } from "./checkpoint/sources.ts"
import type { WeightSource } from "./checkpoint/WeightSource.ts"
import * as ModelFolder from "./ModelFolder.ts"

type Services = FileSystem.FileSystem | Path.Path

/** A file of weights, or a folder that is one model. */
export interface ModelFile {
  /** The file's name without its ending, the folder's name, or `owner/name` in a cache of the hub. */
  readonly name: string
  /** Where it was found. */
  readonly file: string
  /** How its weights lie: in one file, in a diffusers folder, or as exported networks. */
  readonly format: "file" | "diffusers" | "onnx"
  readonly kind: Kind
  /** In bytes; of a folder, of all its weights. */
  readonly size: number
  /** What is in it; undefined for exported networks, and for files that cannot be read. */
  readonly contents: Contents | undefined
  readonly metadata: Readonly<Record<string, string>>
  /** An image next to it, `name.preview.png` or `name.png`. */
  readonly preview: string | undefined
  /** Why it cannot be used; empty where it can. */
  readonly problems: ReadonlyArray<Problem>
}

const weights = /\.(safetensors|ckpt|pt|pth|bin|gguf)$/i
const shard = /-\d{5}-of-\d{5}\.\w+$/
const index = /\.safetensors\.index(\.[\w-]+)?\.json$/
const previews = [".preview.png", ".png", ".preview.jpg", ".jpg", ".jpeg", ".preview.webp", ".webp", ".preview.jpeg"]

/** Folders deeper than this below a models folder are not searched. */
const deepest = 6

/** Something that may be a model: a file of weights, or a folder. */
interface Candidate {
  readonly name: string
  readonly file: string
  readonly format: ModelFile["format"]
  readonly preview: string | undefined
}

const withoutEnding = (name: string): string => name.replace(index, "").replace(weights, "").replace(/\.onnx$/i, "")

const search = Effect.fnUntraced(function*(
  folder: string
): Effect.fn.Return<ReadonlyArray<Candidate>, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const found: Array<Candidate> = []
  const visited = new Set<string>()
  const names = (folder: string) =>
    Effect.map(Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => []), (names) => names.toSorted())
  const isFolder = (file: string) =>
    Effect.map(Effect.option(fs.stat(file)), Option.exists(({ type }) => type === "Directory"))

  const visit = Effect.fnUntraced(function*(
    folder: string,
    depth: number,
    name: string
  ): Effect.fn.Return<void, never, Services> {
    const real = yield* Effect.orElseSucceed(fs.realPath(folder), () => folder)
    if (visited.has(real) || depth > deepest) return
    visited.add(real)
    const inside = yield* names(folder)
    if (inside.includes("model_index.json") || inside.includes("unet")) {
      const isOnnx = (yield* names(path.join(folder, "unet"))).includes("model.onnx")
      const isDiffusers = !isOnnx && (yield* filesOfFolder(folder)).has("unet")
      if (isOnnx || isDiffusers) {
        found.push({ name, file: folder, format: isOnnx ? "onnx" : "diffusers", preview: undefined })
        return
      }
    }
    for (const each of inside) {
      const file = path.join(folder, each)
      const isIndex = index.test(each)
      if ((weights.test(each) && !shard.test(each)) || isIndex) {
        const own = withoutEnding(each)
        const image = previews.map((ending) => own + ending).find((name) => inside.includes(name))
        const preview = image === undefined ? undefined : path.join(folder, image)
        found.push({ name: own, file, format: "file", preview })
      } else if (each.startsWith("models--")) {
        const snapshot = yield* currentSnapshot(file)
        if (snapshot !== undefined) {
          yield* visit(snapshot, depth + 1, each.slice("models--".length).replaceAll("--", "/"))
        }
      } else if (!each.startsWith(".") && !/^(blobs|refs|node_modules)$/.test(each) && (yield* isFolder(file))) {
        yield* visit(file, depth + 1, each)
      }
    }
  })
  yield* visit(folder, 0, path.basename(folder))
  if (yield* isFolder(path.join(folder, "Stable-diffusion"))) {
    const embeddings = path.resolve(folder, "..", "embeddings")
    if (yield* isFolder(embeddings)) yield* visit(embeddings, 1, "embeddings")
  }
  return found
})

// The snapshot that `refs/main` of a repository in a hub's cache names, or else the only one.
const currentSnapshot = Effect.fnUntraced(function*(
  repository: string
): Effect.fn.Return<string | undefined, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const all = yield* Effect.orElseSucceed(fs.readDirectory(path.join(repository, "snapshots")), (): Array<string> => [])
  const main = yield* Effect.orElseSucceed(fs.readFileString(path.join(repository, "refs", "main")), () => "")
  const name = all.includes(main.trim()) ? main.trim() : all.toSorted().at(-1)
  return name === undefined ? undefined : path.join(repository, "snapshots", name)
})

/** The weights of a file or folder that `list` found, unless it holds exported networks. */
export const open = ({ file, format }: Pick<ModelFile, "file" | "format">) =>
  format === "diffusers" ? openFolder(file) : openFile(file)

// Headers that were read, by file, size and time.
const read = new Map<string, Pick<ModelFile, "contents" | "kind" | "metadata" | "problems" | "size">>()
const mostRead = 4096

const inspect = Effect.fnUntraced(function*(
  candidate: Candidate
): Effect.fn.Return<ModelFile, never, Services> {
  const fs = yield* FileSystem.FileSystem
  if (candidate.format === "onnx") {
    const problems = yield* Effect.match(ModelFolder.read(candidate.file), {
      onFailure: ({ problems }) => problems,
      onSuccess: () => []
    })
    return { ...candidate, kind: "checkpoint", size: 0, contents: undefined, metadata: {}, problems }
  }
  const stat = Option.getOrUndefined(yield* Effect.option(fs.stat(candidate.file)))
  const key = `${candidate.file}\n${stat?.size}\n${stat?.mtime}`
  const known = candidate.format === "file" && !index.test(candidate.file) ? read.get(key) : undefined
  if (known !== undefined) return { ...candidate, ...known }
  const about = yield* Effect.match(open(candidate), {
    onFailure: ({ problems }) => ({
      kind: "other" as const,
      size: Number(stat?.size ?? 0),
      contents: undefined,
      metadata: {},
      problems
    }),
    onSuccess: (source: WeightSource) => {
      const contents = contentsOf(source.tensors)
      return {
        kind: contents.kind,
        size: source.files.reduce((sum, { size }) => sum + size, 0),
        contents,
        metadata: source.metadata,
        problems: contents.problem === undefined ? [] : [{ path: "", message: contents.problem }]
      }
    }
  })
  if (read.size >= mostRead) read.clear()
  read.set(key, about)
  return { ...candidate, ...about }
})

/** Everything in these folders, the first folder first, each file once. */
export const list = Effect.fnUntraced(function*(
  folders: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<ModelFile>, never, Services> {
  const candidates = (yield* Effect.forEach(folders, search)).flat()
  const once = [...new Map(candidates.toReversed().map((each) => [each.file, each])).values()].toReversed()
  return yield* Effect.forEach(once, inspect, { concurrency: 4 })
})

/** A name with its first ten digits of a hash, as the webui writes titles: `name.safetensors [0123456789]`. */
const title = /^(.*?)(?: \[([0-9a-f]{8,64})\])?$/is

/**
 * Whether a user means a file by a name: the file's with or without its ending, in any case, with the folders that it
 * lies in or without, a LoRA's `ss_output_name`, a title with a hash, or a hash alone.
 */
export const isNamed = (
  { file, metadata, name }: Pick<ModelFile, "file" | "metadata" | "name">,
  wanted: string,
  hashes?: Hashes
): boolean => {
  const [, before = "", hash] = title.exec(wanted) ?? []
  const asked = before.toLowerCase().replaceAll("\\", "/")
  const slashed = file.toLowerCase().replaceAll("\\", "/")
  const whole = withoutEnding(slashed)
  const isHash = hashes !== undefined && /^[0-9a-f]{8,64}$/.test(asked) &&
    (hashes.sha256.startsWith(asked) || hashes.autoV3?.startsWith(asked) === true)
  const isThis = [name.toLowerCase(), metadata["ss_output_name"]?.toLowerCase()].includes(asked) ||
    [slashed, whole].some((own) => own === asked || own.endsWith(`/${asked}`))
  const isOther = hash !== undefined && hashes !== undefined && !hashes.sha256.startsWith(hash.toLowerCase())
  return asked !== "" && ((isThis && !isOther) || isHash)
}

/** Words that a LoRA was trained on, from the texts of its header; the most frequent first, at most twenty. */
export const trainedWords = (metadata: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  const phrase = metadata["modelspec.trigger_phrase"]
  const counts = new Map<string, number>()
  try {
    const tags: unknown = JSON.parse(metadata["ss_tag_frequency"] ?? "{}")
    for (const set of Object.values(tags ?? {})) {
      for (const [tag, count] of Object.entries(set ?? {})) {
        if (typeof count === "number") counts.set(tag.trim(), (counts.get(tag.trim()) ?? 0) + count)
      }
    }
  } catch {
    // Texts of headers are often cut.
  }
  const words = [...counts].toSorted(([, a], [, b]) => b - a).slice(0, 20).map(([tag]) => tag)
  return phrase === undefined || phrase === "" ? words : [phrase, ...words.filter((word) => word !== phrase)]
}
