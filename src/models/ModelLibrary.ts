/**
 * All files of weights and model folders on this machine: what each is, recognised by its contents, and which of them
 * a name or a hash means. Everything that looks for a model, LoRA, VAE, upscaler or another file finds it here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { packageFile } from "../core/packageFile.ts"
import type { InvalidModelFile } from "../model/ModelError.ts"
import { ModelsView } from "../model/ModelsView.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import type { Kind } from "./checkpoint/contents.ts"
import { FileHashes, type Hashes } from "./checkpoint/hashes.ts"
import { filesOfFolder } from "./checkpoint/sources.ts"
import { makeFinder } from "./findFiles.ts"
import { withItsWeights } from "./folderFiles.ts"
import { hasHash, isNamed, type ModelFile, wantedBy } from "./ModelFile.ts"

export { shortHash } from "./checkpoint/hashes.ts"

/** The folder of the models that come with this package. */
export const embeddedDir = packageFile("models")

export class ModelLibrary extends Context.Service<ModelLibrary, {
  /**
   * The folders that are searched, as absolute paths: those that the command options name; without any, `./models`, if
   * it is there, and `models` in the data folder. The embedded models come after all of them.
   */
  readonly folders: Effect.Effect<ReadonlyArray<string>>
  /** Where a new model goes: into the first of them, or into the first that would be one; undefined without any. */
  readonly folderForNew: Effect.Effect<string | undefined>
  /** Everything that is there now, or was when a run began (`ModelsView`), what cannot be used included. */
  readonly list: Effect.Effect<ReadonlyArray<ModelFile>>
  /**
   * The file of one of these kinds that a name means: a file's or folder's name with or without its ending, in any
   * case, with or without the folders it lies in; a LoRA's own name (`ss_output_name`); a title as the webui writes it,
   * `name.safetensors [0123456789]`; or a hash, the first eight digits at least. Of several the first that can be used.
   *
   * A hash finds a file that was renamed. For a hash alone that is not known yet, the hashes of all files of these
   * kinds are computed, unless `computes` is false.
   */
  readonly find: (
    kinds: ReadonlyArray<Kind>,
    name: string,
    options?: { readonly computes?: boolean }
  ) => Effect.Effect<ModelFile | undefined>
  /**
   * The hashes of a file, and of a folder those of its denoising network: kept ones, or computed now, by a thread.
   * Fails where it cannot be read.
   */
  readonly hashes: (file: Pick<ModelFile, "file" | "format">) => Effect.Effect<Hashes, InvalidModelFile>
  /** The same where they need not be computed; undefined where they would have to be. */
  readonly knownHashes: (file: Pick<ModelFile, "file" | "format">) => Effect.Effect<Hashes | undefined>
}>()("serena/models/ModelLibrary") {
  /** The library of this process, and the hashes it keeps in the folder `hashes` of the data folder. */
  static readonly layer: Layer.Layer<
    ModelLibrary | FileHashes,
    never,
    CommandOptions | FileSystem.FileSystem | Path.Path
  > = Layer.unwrap(
    Effect.gen(function*() {
      const path = yield* Path.Path
      const { dataDir } = yield* CommandOptions
      const kept = FileHashes.layer(dataDir === undefined ? undefined : path.resolve(dataDir, "hashes"))
      return Layer.provideMerge(Layer.effect(ModelLibrary, make), kept)
    })
  )
}

const make = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const kept = yield* FileHashes
  const options = yield* CommandOptions
  // Only these: the span of the fiber that builds the layer must not become the parent of later searches.
  const services = Context.make(FileSystem.FileSystem, fs).pipe(Context.add(Path.Path, path))
  const named = [options.modelsDir ?? []].flat().map((folder) => path.resolve(folder))
  const usual = [
    path.resolve("models"),
    ...(options.dataDir === undefined ? [] : [path.resolve(options.dataDir, "models")])
  ]
    // In a clone of this project, the first is the folder of the embedded model.
    .filter((folder) => folder !== path.resolve(embeddedDir))
  const exists = (file: string) => Effect.orElseSucceed(fs.exists(file), () => false)

  const folders = named.length > 0 ? Effect.succeed(named) : Effect.filter(usual, exists)
  const folderForNew = Effect.map(folders, ([first]) => first ?? usual[0])
  const search = makeFinder()
  const views = new WeakMap<object, ReadonlyArray<ModelFile>>()
  const list = Effect.gen(function*() {
    const view = yield* ModelsView
    const seen = view && views.get(view)
    if (seen !== undefined) return seen
    const own = (yield* folders).map((folder) => ({ folder, embedded: false }))
    const files = yield* search([...own, { folder: path.resolve(embeddedDir), embedded: true }])
    if (view !== undefined) views.set(view, files)
    return files
  }).pipe(Effect.provideContext(services))

  // The files whose hash is the hash of a model.
  const hashed = ({ file, format }: Pick<ModelFile, "file" | "format">) =>
    (format === "file"
      ? Effect.succeed([file])
      : format === "onnx"
      ? withItsWeights(path.join(file, "unet", "model.onnx"))
      : Effect.map(filesOfFolder(file), (files) => [files.get("unet") ?? file])).pipe(Effect.provideContext(services))
  const hashes = (file: Pick<ModelFile, "file" | "format">) =>
    Effect.flatMap(hashed(file), (files) => kept.of(...files))
  const knownHashes = (file: Pick<ModelFile, "file" | "format">) =>
    Effect.flatMap(hashed(file), (files) => kept.known(...files))

  const find: ModelLibrary["Service"]["find"] = Effect.fnUntraced(function*(
    kinds,
    name,
    { computes = true } = {}
  ) {
    const all = (yield* list).filter(({ kind }) => kinds.includes(kind))
    // What can be used comes first.
    const files = [...all.filter(({ problems }) => problems.length === 0), ...all.filter(isUnusable)]
    // A name may itself end like one with a hash.
    const exact = files.find((file) => isNamed(file, name))
    const wanted = wantedBy(name)
    if (exact !== undefined || (wanted.hash === undefined && wanted.name === name)) return exact
    const { hash } = wanted
    const same = files.filter((file) => isNamed(file, wanted.name))
    if (hash === undefined) return same[0]
    for (const file of [...same, ...files]) {
      const own = yield* knownHashes(file)
      if (own !== undefined && hasHash(own, hash)) return file
    }
    if (!computes || same[0] !== undefined || wanted.name.toLowerCase() !== hash) return same[0]
    for (const file of files) {
      const own = yield* Effect.option(hashes(file))
      if (own._tag === "Some" && hasHash(own.value, hash)) return file
    }
    return undefined
  })

  return ModelLibrary.of({ folders, folderForNew, list, find, hashes, knownHashes })
})

const isUnusable = ({ problems }: ModelFile): boolean => problems.length > 0
