/**
 * The models there are, and the one a run asks for.
 *
 * Model folders are searched in the folder that the command options name; when there is none, the embedded model is
 * given. A model is loaded once and shared until the layer's scope closes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import { CommandOptions } from "../processing/CommandOptions.ts"
import { type InvalidModelFolder, ModelNotFound } from "../processing/errors.ts"
import type { LoadedModel } from "../runner/LoadedModel.ts"
import * as metrics from "./metrics.ts"
import * as ModelFolder from "./ModelFolder.ts"
import type { Networks } from "./Networks.ts"
import * as OnnxModel from "./OnnxModel.ts"

/** A model that could be loaded. */
export interface ModelEntry {
  readonly name: string
  readonly folder: string
  /** Whether it came with this package. */
  readonly embedded: boolean
}

/** The folder of the models that come with this package. */
const embeddedDir = fileURLToPath(new URL("../../models/", import.meta.url))

export class ModelProvider extends Context.Service<ModelProvider, {
  /** Every model folder found, by name; the embedded ones come last. */
  readonly list: Effect.Effect<ReadonlyArray<ModelEntry>, ModelNotFound>
  /** A model by name or path, or the first one for an empty name. */
  readonly load: (name: string) => Effect.Effect<LoadedModel, ModelNotFound | InvalidModelFolder, Scope.Scope>
}>()("serena/models/ModelProvider") {
  static readonly layer: Layer.Layer<
    ModelProvider,
    never,
    Networks | CommandOptions | FileSystem.FileSystem | Path.Path
  > = Layer.effect(
    ModelProvider,
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const { modelsDir } = yield* CommandOptions
      const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
      const searched = [...(modelsDir === undefined ? [] : [path.resolve(modelsDir)]), embeddedDir]

      const search = Effect.fnUntraced(function*(dir: string, embedded: boolean) {
        const names = yield* Effect.orElseSucceed(fs.readDirectory(dir), () => [])
        const entries = yield* Effect.filter(
          names.toSorted().map((name) => ({ name, folder: path.join(dir, name), embedded })),
          ({ folder }) => ModelFolder.isModelFolder(folder),
          { concurrency: 8 }
        )
        // A folder that is itself a model is as good as one that holds it.
        return !embedded && (yield* ModelFolder.isModelFolder(dir))
          ? [{ name: path.basename(dir), folder: dir, embedded }, ...entries]
          : entries
      }, Effect.provideContext(services))

      const list = Effect.gen(function*() {
        if (modelsDir === undefined) return yield* search(embeddedDir, true)
        if (!(yield* Effect.orElseSucceed(fs.exists(modelsDir), () => false))) {
          return yield* new ModelNotFound({ model: "", searched: [path.resolve(modelsDir)], known: [] })
        }
        return [...(yield* search(path.resolve(modelsDir), false)), ...(yield* search(embeddedDir, true))]
      })

      const models = yield* RcMap.make({
        lookup: (folder: string) => Effect.tap(Effect.flatMap(ModelFolder.read(folder), OnnxModel.make), metrics.loaded),
        idleTimeToLive: "Infinity"
      })
      const get = (folder: string) =>
        // A folder that could not be read may be mended while the process runs.
        Effect.tapError(RcMap.get(models, folder), () => RcMap.invalidate(models, folder))

      const load = Effect.fnUntraced(function*(name: string) {
        if (/[\\/]/.test(name) && (yield* Effect.orElseSucceed(fs.exists(name), () => false))) {
          return yield* get(path.resolve(name))
        }
        const entries = yield* list
        const wanted = name.toLowerCase()
        const entry = name === "" ? entries[0] : entries.find((entry) => entry.name.toLowerCase() === wanted)
        if (entry === undefined) {
          return yield* new ModelNotFound({ model: name, searched, known: entries.map((entry) => entry.name) })
        }
        return yield* get(entry.folder)
      }, Effect.tapError(metrics.loadFailed))

      return ModelProvider.of({ list, load })
    })
  )
}
