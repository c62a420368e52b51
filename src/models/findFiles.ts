/**
 * The search of the models folders.
 *
 * The layouts of the webui, of ComfyUI, of a hub's cache and flat folders need no rules of their own, but for these: a
 * diffusers folder is one model, a cache of the hub has the current snapshot of each repository, the webui keeps its
 * embeddings next to its models folder, and exported upscalers are known by the folder they lie in.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Contents, contentsOf } from "./checkpoint/contents.ts"
import { filesOfFolder } from "./checkpoint/sources.ts"
import type { WeightSource } from "./checkpoint/WeightSource.ts"
import { readJson } from "./configFiles.ts"
import { readText, withItsWeights } from "./folderFiles.ts"
import { hasWeights, isIndex, type ModelFile, open, withoutEnding } from "./ModelFile.ts"
import * as ModelFolder from "./ModelFolder.ts"
import * as nativeSize from "./nativeSize.ts"
import { upscalerFolders } from "./upscalerFiles.ts"

type Services = FileSystem.FileSystem | Path.Path

const previews = [".preview.png", ".png", ".preview.jpg", ".jpg", ".jpeg", ".preview.webp", ".webp", ".preview.jpeg"]

/** Folders deeper than this below a models folder are not searched. */
const deepest = 6

/** Something that may be a model: a file of weights, or a folder. */
type Candidate = Pick<ModelFile, "embedded" | "file" | "format" | "name" | "preview">

/** What is known of it once it was read. */
type About = Pick<ModelFile, "contents" | "family" | "kind" | "metadata" | "nativeSize" | "problems" | "size">

const namesIn = Effect.fnUntraced(function*(folder: string): Effect.fn.Return<ReadonlyArray<string>, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const names = yield* Effect.orElseSucceed(fs.readDirectory(folder), (): Array<string> => [])
  return names.toSorted()
})

const isFolder = Effect.fnUntraced(function*(file: string): Effect.fn.Return<boolean, never, Services> {
  const fs = yield* FileSystem.FileSystem
  return Option.exists(yield* Effect.option(fs.stat(file)), ({ type }) => type === "Directory")
})

// How the weights of a folder lie that is one model; undefined for other folders. ComfyUI has a folder `unet` of files.
const formatOf = Effect.fnUntraced(function*(
  folder: string,
  inside: ReadonlyArray<string>
): Effect.fn.Return<ModelFile["format"] | undefined, never, Services> {
  const path = yield* Path.Path
  const isDescribed = inside.includes("model_index.json")
  if (!isDescribed && !inside.includes("unet")) return undefined
  const unet = yield* namesIn(path.join(folder, "unet"))
  if (unet.includes("model.onnx")) return "onnx"
  if (!isDescribed && !inside.includes("text_encoder")) return unet.includes("config.json") ? "onnx" : undefined
  return (yield* filesOfFolder(folder)).has("unet") ? "diffusers" : "onnx"
})

const search = Effect.fnUntraced(function*(
  root: string,
  embedded: boolean
): Effect.fn.Return<ReadonlyArray<Candidate>, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const found: Array<Candidate> = []

  const realOf = (folder: string) => Effect.orElseSucceed(fs.realPath(folder), () => folder)
  const isLink = (folder: string) => Effect.isSuccess(fs.readLink(folder))

  // `above` are the real paths of the folders on the way here: a link to one of them leads in circles.
  const visit = Effect.fnUntraced(function*(
    folder: string,
    real: string,
    above: ReadonlyArray<string>,
    name: string
  ): Effect.fn.Return<void, never, Services> {
    if (above.includes(real) || above.length > deepest) return
    const here = [...above, real]
    const inside = yield* namesIn(folder)
    const format = yield* formatOf(folder, inside)
    if (format !== undefined) {
      found.push({ name, file: folder, format, preview: undefined, embedded })
      return
    }
    for (const each of inside) {
      const file = path.join(folder, each)
      if (hasWeights(each)) {
        const own = withoutEnding(each)
        const image = previews.map((ending) => own + ending).find((name) => inside.includes(name))
        const preview = image === undefined ? undefined : path.join(folder, image)
        found.push({ name: own, file, format: "file", preview, embedded })
      } else if (each.startsWith("models--")) {
        const snapshot = yield* currentSnapshot(file)
        if (snapshot !== undefined) {
          yield* visit(snapshot, yield* realOf(snapshot), here, each.slice("models--".length).replaceAll("--", "/"))
        }
      } else if (!each.startsWith(".") && !/^(blobs|refs|node_modules)$/.test(each) && (yield* isFolder(file))) {
        // A path without links is found without asking: of each folder above it that would be a question.
        yield* visit(file, (yield* isLink(file)) ? yield* realOf(file) : path.join(real, each), here, each)
      }
    }
  })
  yield* visit(root, yield* realOf(root), [], path.basename(root))
  if (yield* isFolder(path.join(root, "Stable-diffusion"))) {
    const embeddings = path.resolve(root, "..", "embeddings")
    if (yield* isFolder(embeddings)) yield* visit(embeddings, yield* realOf(embeddings), [], "embeddings")
  }
  return found
})

// The snapshot that `refs/main` of a repository in a hub's cache names, or else the last by name.
const currentSnapshot = Effect.fnUntraced(function*(
  repository: string
): Effect.fn.Return<string | undefined, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const all = yield* namesIn(path.join(repository, "snapshots"))
  const main = yield* Effect.orElseSucceed(fs.readFileString(path.join(repository, "refs", "main")), () => "")
  const name = all.includes(main.trim()) ? main.trim() : all.at(-1)
  return name === undefined ? undefined : path.join(repository, "snapshots", name)
})

const toOnnx = "Export the model to a folder of ONNX networks with optimum-cli"

/** What is wrong with a network that lies alone. */
export const loneNetwork = `a network by itself is no model. ${toOnnx}`

const unread = (kind: ModelFile["kind"], size: number): About => ({
  kind,
  family: undefined,
  size,
  nativeSize: undefined,
  contents: undefined,
  metadata: {},
  problems: []
})

const withProblem = (message: string, size: number): About => ({
  ...unread("other", size),
  problems: [{ path: "", message }]
})

const exportedFolder = Effect.fnUntraced(function*(folder: string): Effect.fn.Return<About, never, Services> {
  if (!(yield* ModelFolder.isModelFolder(folder))) {
    return withProblem(`the folder has no model_index.json. ${toOnnx}`, 0)
  }
  const found = yield* Effect.result(ModelFolder.read(folder))
  if (Result.isFailure(found)) return { ...unread("checkpoint", 0), problems: found.failure.problems }
  const { familyName, networks, textEncoders, unet, vae } = found.success
  const files = [networks.unet, networks.vaeDecoder, networks.vaeEncoder, ...textEncoders.map(({ network }) => network)]
  const sizes = yield* Effect.forEach(
    files.filter((file) => file !== undefined),
    (file) => Effect.flatMap(withItsWeights(file), Effect.forEach(sizeOf))
  )
  const size = sizes.flat().reduce((sum, size) => sum + size, 0)
  return { ...unread("checkpoint", size), family: familyName, nativeSize: nativeSize.ofFolder({ unet, vae }) }
})

const sizeOf = Effect.fnUntraced(function*(file: string): Effect.fn.Return<number, never, Services> {
  const fs = yield* FileSystem.FileSystem
  return Option.match(yield* Effect.option(fs.stat(file)), { onNone: () => 0, onSome: ({ size }) => Number(size) })
})

// A file's name with the size and time by which a change shows.
const stampOf = Effect.fnUntraced(function*(file: string): Effect.fn.Return<string, never, Services> {
  const fs = yield* FileSystem.FileSystem
  const stat = Option.getOrUndefined(yield* Effect.option(fs.stat(file)))
  const modified = stat === undefined ? 0 : Option.match(stat.mtime, { onNone: () => 0, onSome: Number })
  return `${file} ${stat?.size ?? 0} ${modified}`
})

// With what lies next to a file, or in a folder, that says more of it than its tensors.
const nativeSizeOf = Effect.fnUntraced(
  function*({ file, format }: Candidate, source: WeightSource, contents: Contents) {
    if (!["checkpoint", "unet"].includes(contents.kind)) return undefined
    const path = yield* Path.Path
    const configOf = Effect.fnUntraced(function*(part: string) {
      const config = yield* Effect.option(readJson(path.join(file, part, "config.json"), Schema.Unknown))
      return [part, Option.getOrUndefined(config)] as const
    })
    const configs = format === "file" ? undefined : new Map(yield* Effect.forEach(["unet", "vae"], configOf))
    const text = format === "file" ? yield* Effect.option(readText(yamlOf(path, file))) : Option.none()
    const described = { source, configs, yaml: Option.getOrUndefined(text) }
    return yield* Effect.orElseSucceed(nativeSize.ofCheckpoint(described, contents), () => undefined)
  }
)

// The description of a checkpoint that lies next to it.
const yamlOf = (path: Path.Path, file: string): string => path.join(path.dirname(file), `${path.parse(file).name}.yaml`)

const weightsOf = Effect.fnUntraced(
  function*(candidate: Candidate, size: number): Effect.fn.Return<About, never, Services> {
    const opened = yield* Effect.result(open(candidate))
    if (Result.isFailure(opened)) return { ...unread("other", size), problems: opened.failure.problems }
    const source = opened.success
    const contents = contentsOf(source.tensors)
    return {
      kind: contents.kind,
      family: contents.family,
      size: source.files.reduce((sum, { size }) => sum + size, 0),
      nativeSize: yield* nativeSizeOf(candidate, source, contents),
      contents,
      metadata: source.metadata,
      problems: contents.problem === undefined ? [] : [{ path: "", message: contents.problem }]
    }
  }
)

const mostRead = 8192

const isUsable = ({ problems }: About): boolean => problems.length === 0

/**
 * Searches folders. What was read of a file is remembered until its size or time changes; the folders themselves are
 * searched at each use, so that new files are found without a restart.
 */
export const makeFinder = () => {
  const read = new Map<string, About>()

  const remembered = Effect.fnUntraced(function*<E, R>(
    files: ReadonlyArray<string>,
    about: Effect.Effect<About, E, R>,
    isKept: (about: About) => boolean = () => true
  ): Effect.fn.Return<About, E, R | Services> {
    const key = (yield* Effect.forEach(files, stampOf, { concurrency: 4 })).join("\n")
    const known = read.get(key)
    if (known !== undefined) return known
    const found = yield* about
    if (!isKept(found)) return found
    if (read.size >= mostRead) read.clear()
    read.set(key, found)
    return found
  })

  const about = Effect.fnUntraced(function*(candidate: Candidate): Effect.fn.Return<About, never, Services> {
    const path = yield* Path.Path
    const { file, format } = candidate
    // Some files of many: a folder that has a problem is read anew, so that whatever is done about it shows.
    if (format === "onnx") {
      const signs = ["model_index.json", "unet/config.json", "unet/model.onnx", "vae_decoder/model.onnx"]
      return yield* remembered(signs.map((name) => path.join(file, name)), exportedFolder(file), isUsable)
    }
    if (/\.onnx$/i.test(file)) {
      const size = yield* sizeOf(file)
      return file.split(path.sep).some((place) => upscalerFolders.includes(place))
        ? unread("upscaler", size)
        : withProblem(loneNetwork, size)
    }
    const weights = Effect.flatMap(sizeOf(file), (size) => weightsOf(candidate, size))
    // Several files make up the others: a change of one shows in no other.
    return yield* format !== "file" || isIndex(file) ? weights : remembered([file, yamlOf(path, file)], weights)
  })

  /** Everything in these folders, the first folder first, each file once. */
  return Effect.fnUntraced(function*(
    folders: ReadonlyArray<{ readonly folder: string; readonly embedded: boolean }>
  ): Effect.fn.Return<ReadonlyArray<ModelFile>, never, Services> {
    const candidates = (yield* Effect.forEach(folders, ({ embedded, folder }) => search(folder, embedded))).flat()
    const once = [...new Map(candidates.toReversed().map((each) => [each.file, each])).values()].toReversed()
    return yield* Effect.forEach(
      once,
      (candidate) => Effect.map(about(candidate), (about): ModelFile => ({ ...candidate, ...about })),
      { concurrency: 4 }
    )
  })
}
