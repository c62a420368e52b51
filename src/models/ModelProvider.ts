/**
 * The available models, and the one that a run asks for.
 *
 * A model is loaded once and shared by the runs that use it. When none does it is kept for the next one, as long as
 * there are no more of them in memory than the command options allow.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Scope from "effect/Scope"
import type { TinyDecoder as Decoder } from "../model/Autoencoder.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { InvalidModelFile, InvalidModelFolder, ModelNotFound } from "../model/ModelError.ts"
import { Models } from "../model/Models.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { Options } from "../processing/Options.ts"
import type { ModelSettings } from "../processing/OptionsSnapshot.ts"
import * as Checkpoint from "./Checkpoint.ts"
import { kinds, type Variant } from "./checkpoint/contents.ts"
import { FileHashes } from "./checkpoint/hashes.ts"
import * as CheckpointModel from "./CheckpointModel.ts"
import * as ControlNetFiles from "./ControlNetFiles.ts"
import { loneNetwork } from "./findFiles.ts"
import * as metrics from "./metrics.ts"
import { hasWeights, type ModelFile, wantedBy } from "./ModelFile.ts"
import { byReason, folderProblem, isModel, isUnusable } from "./ModelFiles.ts"
import * as ModelFolder from "./ModelFolder.ts"
import { embeddedDir, ModelLibrary } from "./ModelLibrary.ts"
import { assemble, choose, keyOf, type ModelParts } from "./modelParts.ts"
import * as namedFiles from "./namedFiles.ts"
import { Networks } from "./Networks.ts"
import * as OnnxModel from "./OnnxModel.ts"
import * as shared from "./shared.ts"
import * as TinyDecoder from "./TinyDecoder.ts"

/** A model that could be loaded. */
export interface ModelEntry {
  readonly name: string
  /** The model's folder, or a checkpoint's file. */
  readonly folder: string
  /** Whether it came with this package. */
  readonly embedded: boolean
  /** How its weights lie. */
  readonly format: ModelFile["format"]
  /** The family that it belongs to; undefined where that is not known. */
  readonly family: ModelFile["family"]
  /** The size of its images unless a request asks for another; undefined where that is not known. */
  readonly nativeSize: ModelFile["nativeSize"]
  /** What its denoising network reads besides latents; undefined for nothing, and where that is not known. */
  readonly variant: Variant | undefined
}

export class ModelProvider extends Context.Service<ModelProvider, {
  /** Every model found, folders before checkpoints; the embedded ones come last. */
  readonly list: Effect.Effect<ReadonlyArray<ModelEntry>, ModelNotFound>
  /**
   * A model by its name, title or hash, as `ModelLibrary` finds it, or by path; the first one for an empty name. It
   * stays in memory as long as the scope at least.
   *
   * For an empty name the embedded model is used only when the command options name no models folder, and the usual
   * ones hold nothing that was meant as a model.
   */
  readonly load: (name: string, settings?: ModelSettings) => Effect.Effect<
    LoadedModel,
    ModelNotFound | InvalidModelFile | InvalidModelFolder,
    Scope.Scope
  >
  /** A model that is listed, by its name, title or known hash; undefined where there is none. No path is followed. */
  readonly find: (name: string) => Effect.Effect<ModelEntry | undefined>
  /** Frees the memory of every model that no scope holds. */
  readonly unload: Effect.Effect<void>
  /** Names of the models in memory, the one used last first. */
  readonly resident: Effect.Effect<ReadonlyArray<string>>
}>()("serena/models/ModelProvider") {
  /** The models of this machine, to list and for the runs. */
  static readonly layer: Layer.Layer<
    ModelProvider | Models,
    never,
    ModelLibrary | FileHashes | Networks | CommandOptions | FileSystem.FileSystem | Path.Path
  > = Layer.effectContext(
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const library = yield* ModelLibrary
      const { maxModels, modelsDir } = yield* CommandOptions
      const named = modelsDir === undefined ? [] : yield* library.folders
      // Only these: the span of the fiber that builds the layer must not become the parent of later loads.
      const services = Context.pick(FileHashes, Networks, FileSystem.FileSystem, Path.Path)(
        yield* Effect.context<FileHashes | Networks | FileSystem.FileSystem | Path.Path>()
      )

      const checkFolders = Effect.gen(function*() {
        for (const folder of named) {
          const problem = yield* Effect.provideContext(folderProblem(folder), services)
          if (problem !== undefined) {
            return yield* new ModelNotFound({ model: "", searched: named, known: [], folderProblem: problem })
          }
        }
      })

      // Folders of exported networks come before checkpoints, and the embedded models last.
      const list = Effect.gen(function*() {
        yield* checkFolders
        const models = (yield* library.list).filter(isModel)
        const own = models.filter(({ embedded }) => !embedded)
        return [
          ...own.filter(({ format }) => format === "onnx"),
          ...own.filter(({ format, kind }) => format !== "onnx" && kind === "checkpoint"),
          // What lacks parts comes last: it takes settings to use it.
          ...own.filter(({ kind }) => kind !== "checkpoint"),
          ...models.filter(({ embedded }) => embedded)
        ].map(entryOf)
      })

      // A name of the library's alone: what a client writes is never a path, and no hash is computed for it.
      const find = Effect.fnUntraced(function*(name: string) {
        const found = yield* library.find(["checkpoint"], name, { computes: false })
        return found === undefined ? undefined : entryOf(found)
      })

      // The decoder of previews is looked for when a preview first asks for it, and again later where there was none.
      const withPreviews = Effect.fnUntraced(function*(
        model: LoadedModel
      ): Effect.fn.Return<LoadedModel, never, Scope.Scope> {
        const scope = yield* Effect.scope
        let found: Decoder | undefined
        const look = yield* Effect.cachedWithTTL(
          Effect.gen(function*() {
            const file = (yield* library.list).find((file) => TinyDecoder.decodes(file, model.latents))
            return file === undefined ? undefined : yield* Scope.provide(TinyDecoder.make(file.file), scope)
          }).pipe(Effect.provideContext(services)),
          "10 seconds"
        )
        const tinyDecoder = Effect.suspend(() =>
          found !== undefined ? Effect.succeed(found) : Effect.tap(look, (decoder) =>
            Effect.sync(() => {
              found = decoder
            }))
        )
        const { adapted } = model
        return {
          ...model,
          tinyDecoder,
          ...(adapted && { adapted: (uses) => Effect.map(adapted(uses), (other) => ({ ...other, tinyDecoder })) })
        }
      })

      const read = Effect.fnUntraced(function*({ int8, place, ...parts }: ModelParts) {
        const checkpoint = yield* Checkpoint.read(place)
        return yield* withPreviews(
          checkpoint === undefined
            ? yield* OnnxModel.make(yield* ModelFolder.read(place), { int8 })
            : yield* CheckpointModel.make(yield* assemble(checkpoint, parts, library.list), { int8 })
        )
      })
      const models = yield* shared.make<LoadedModel, InvalidModelFile | InvalidModelFolder>(maxModels)
      const partsOf = (place: string, settings: ModelSettings) =>
        Effect.provideContext(choose(place, settings, library), services)
      const loaded = (parts: ModelParts) =>
        Effect.flatMap(
          Effect.provideContext(keyOf(parts), services),
          (key) => models.get(key, read(parts).pipe(Effect.tap(metrics.loaded), Effect.provideContext(services)))
        )

      // A path that exists, with the hash of a title or without.
      const pathIn = Effect.fnUntraced(function*(name: string) {
        const isPath = hasWeights(name) || /[\\/]/.test(name)
        const given = [name, wantedBy(name).name]
        const [found] = yield* Effect.filter(
          isPath ? given : [],
          (file) => Effect.orElseSucceed(fs.exists(file), () => false)
        )
        return found === undefined ? undefined : path.resolve(found)
      })

      const placeOf = Effect.fnUntraced(function*(name: string) {
        const file = name === "" ? undefined : yield* pathIn(name)
        if (file !== undefined) {
          if (!/\.onnx$/i.test(file)) return file
          return yield* new InvalidModelFile({ file, problems: [{ path: "", message: loneNetwork }] })
        }
        yield* checkFolders
        // A request for any model means one of the models folders, if there is one, and not the embedded one.
        if (name === "") {
          const entries = yield* list
          const own = entries.find(({ embedded }) => !embedded)
          if (own !== undefined) return own.folder
          const folders = yield* library.folders
          const unusable = (yield* library.list).filter(isUnusable)
          if (unusable.length > 0) {
            const problems = byReason(unusable, folders, path)
            return yield* new InvalidModelFolder({ folder: folders.join(" and "), problems })
          }
          if (named.length === 0 && entries[0] !== undefined) return entries[0].folder
        } else {
          const found = yield* library.find(["checkpoint", "unet"], name)
          if (found !== undefined) return found.file
          const other = yield* library.find(kinds, name)
          if (other !== undefined) {
            const problems = other.problems.length > 0
              ? other.problems
              : [{ path: "", message: `it holds no model, but a file of the kind "${other.kind}"` }]
            return yield* new InvalidModelFile({ file: other.file, problems })
          }
        }
        return yield* new ModelNotFound({
          model: name,
          searched: [...(yield* library.folders), ...(name === "" ? [] : [embeddedDir])],
          known: (yield* list).map((entry) => entry.name)
        })
      })

      const load: ModelProvider["Service"]["load"] = Effect.fnUntraced(
        function*(name, settings = Options.defaults) {
          const place = yield* placeOf(name)
          return yield* loaded(yield* partsOf(place, settings))
        },
        Effect.tapError(metrics.loadFailed)
      )

      const borrow: ModelProvider["Service"]["load"] = Effect.fnUntraced(function*(name, settings = Options.defaults) {
        const parts = yield* partsOf(yield* placeOf(name), settings)
        const key = yield* Effect.provideContext(keyOf(parts), services)
        return yield* models.borrow(key, Effect.provideContext(read(parts), services))
      })

      const vaes = Effect.map(
        library.list,
        (files) =>
          files.filter(({ kind, problems }) => kind === "vae" && problems.length === 0)
            .map(({ file }) => ({ name: path.basename(file), file }))
      )

      return Context.make(
        ModelProvider,
        ModelProvider.of({
          list,
          find,
          load,
          unload: models.trim(0),
          resident: Effect.map(models.keys, (keys) => keys.map((key) => path.basename(key.split("\n")[0] ?? "")))
        })
      ).pipe(
        Context.add(
          Models,
          Models.of({
            load,
            borrow,
            vaes,
            ...namedFiles.make(library, services),
            controlNets: ControlNetFiles.make(library, fs)
          })
        )
      )
    })
  )
}

const entryOf = ({ contents, embedded, family, file, format, name, nativeSize }: ModelFile): ModelEntry => ({
  name,
  folder: file,
  embedded,
  format,
  family,
  nativeSize,
  variant: contents?.variant
})
