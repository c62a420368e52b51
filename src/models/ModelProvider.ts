/**
 * The available models, and the one that a run asks for.
 *
 * Model folders are searched in the folder that the command options name; without one, the embedded model is used. A
 * model is loaded once and shared by the runs that use it. When none does it is kept for the next one, as long as there
 * are no more of them in memory than the command options allow.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Scope from "effect/Scope"
import type { LoadedModel } from "../model/LoadedModel.ts"
import { type InvalidModelFile, InvalidModelFolder, ModelNotFound } from "../model/ModelError.ts"
import { Models } from "../model/Models.ts"
import { CommandOptions } from "../processing/CommandOptions.ts"
import * as Checkpoint from "./Checkpoint.ts"
import * as CheckpointModel from "./CheckpointModel.ts"
import * as metrics from "./metrics.ts"
import {
  byReason,
  embeddedDir,
  embeddingNames,
  folderProblem,
  modelFolders,
  unusable,
  unusableFiles,
  whyUnusable
} from "./ModelFiles.ts"
import * as ModelFolder from "./ModelFolder.ts"
import { Networks } from "./Networks.ts"
import * as OnnxModel from "./OnnxModel.ts"

/** A model that could be loaded. */
export interface ModelEntry {
  readonly name: string
  /** The model's folder, or a checkpoint's file. */
  readonly folder: string
  /** Whether it came with this package. */
  readonly embedded: boolean
}

export class ModelProvider extends Context.Service<ModelProvider, {
  /** Every model found, folders and checkpoints, by name; the embedded ones come last. */
  readonly list: Effect.Effect<ReadonlyArray<ModelEntry>, ModelNotFound>
  /**
   * A model by its name in any case, by name and hash as the webui writes them (`name [0123456789]`, of which the hash
   * is not looked at), or by path; the first one for an empty name. It stays in memory as long as the scope at least.
   *
   * For an empty name the embedded model is used only when the command options name no models folder.
   */
  readonly load: (name: string) => Effect.Effect<
    LoadedModel,
    ModelNotFound | InvalidModelFile | InvalidModelFolder,
    Scope.Scope
  >
  /** Frees the memory of every model that no scope holds. */
  readonly unload: Effect.Effect<void>
  /** Names of the models in memory, the one used last first. */
  readonly resident: Effect.Effect<ReadonlyArray<string>>
}>()("serena/models/ModelProvider") {
  /** The models of this machine, to list and for the runs. */
  static readonly layer: Layer.Layer<
    ModelProvider | Models,
    never,
    Networks | CommandOptions | FileSystem.FileSystem | Path.Path
  > = Layer.effectContext(
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const { maxModels, modelsDir } = yield* CommandOptions
      // Only these: the span of the fiber that builds the layer must not become the parent of later loads.
      const services = Context.pick(Networks, FileSystem.FileSystem, Path.Path)(
        yield* Effect.context<Networks | FileSystem.FileSystem | Path.Path>()
      )
      const searched = [...(modelsDir === undefined ? [] : [path.resolve(modelsDir)]), embeddedDir]

      const search = (dir: string, embedded: boolean) =>
        modelFolders(dir).pipe(
          Effect.map((found) => found.map((entry): ModelEntry => ({ ...entry, embedded }))),
          Effect.provideContext(services)
        )

      const list = Effect.gen(function*() {
        if (modelsDir === undefined) return yield* search(embeddedDir, true)
        const problem = yield* Effect.provideContext(folderProblem(modelsDir), services)
        if (problem !== undefined) {
          const searched = [path.resolve(modelsDir)]
          return yield* new ModelNotFound({ model: "", searched, known: [], folderProblem: problem })
        }
        return [...(yield* search(path.resolve(modelsDir), false)), ...(yield* search(embeddedDir, true))]
      })

      const read = Effect.fnUntraced(function*(place: string) {
        const checkpoint = yield* Checkpoint.read(place)
        return checkpoint === undefined
          ? yield* OnnxModel.make(yield* ModelFolder.read(place))
          : yield* CheckpointModel.make(checkpoint)
      })
      const models = yield* makeShared(
        maxModels,
        (place: string) => read(place).pipe(Effect.tap(metrics.loaded), Effect.provideContext(services))
      )

      // A name may itself end like one with a hash, so that is tried first.
      const folderOf = Effect.fnUntraced(function*(name: string) {
        const holds = unusable(name)
        if (holds !== undefined && (yield* Effect.orElseSucceed(fs.exists(name), () => false))) {
          // What is wrong with a file of weights is found when it is opened.
          if (holds === "checkpoint") return path.resolve(name)
          const problems = [{ path: "", message: whyUnusable({ holds }) }]
          return yield* new InvalidModelFolder({ folder: path.resolve(name), problems })
        }
        const wanted = [name, name.replace(/ \[[0-9a-f]{10}\]$/i, "")]
        for (const given of wanted) {
          if (/[\\/]/.test(given) && (yield* Effect.orElseSucceed(fs.exists(given), () => false))) {
            return path.resolve(given)
          }
        }
        const entries = yield* list
        // A request for any model means one of the models folder, if there is one, and not the embedded one.
        const entry = name === ""
          ? entries.find(({ embedded }) => embedded === (modelsDir === undefined))
          : wanted
            .map((given) =>
              entries.find((entry) =>
                isNamed(path.parse(entry.folder), [given]) || isNamed(path.parse(entry.name), [given])
              )
            )
            .find((entry) => entry !== undefined)
        if (entry !== undefined) return entry.folder
        const files = modelsDir === undefined
          ? []
          : yield* Effect.provideContext(unusableFiles(path.resolve(modelsDir)), services)
        const meant = files.filter(({ path: file }) => name === "" || isNamed(path.parse(file), wanted))
        if (meant.length > 0) {
          return yield* new InvalidModelFolder({ folder: path.resolve(modelsDir ?? ""), problems: byReason(meant) })
        }
        return yield* new ModelNotFound({
          model: name,
          searched: name === "" ? searched.slice(0, 1) : searched,
          known: entries.map((entry) => entry.name)
        })
      })

      const load: ModelProvider["Service"]["load"] = (name) =>
        folderOf(name).pipe(Effect.flatMap(models.get), Effect.tapError(metrics.loadFailed))

      const unloadedEmbeddings = Effect.provideContext(
        modelsDir === undefined ? Effect.succeed([]) : embeddingNames(path.resolve(modelsDir)),
        services
      )

      return Context.make(
        ModelProvider,
        ModelProvider.of({
          list,
          load,
          unload: models.trim(0),
          resident: Effect.map(models.keys, (folders) => folders.map((folder) => path.basename(folder)))
        })
      ).pipe(Context.add(Models, Models.of({ load, unloadedEmbeddings })))
    })
  )
}

// Whether a file has one of these names, with or without its extension.
const isNamed = ({ base, name }: Path.Path.Parsed, wanted: ReadonlyArray<string>): boolean =>
  wanted.some((given) => [base, name].some((own) => own.toLowerCase() === given.toLowerCase()))

// One value of a key, with the number of its users.
interface Shared<A, E> {
  readonly made: Deferred.Deferred<A, E>
  /** Releases it; undefined until it is made. */
  close: Effect.Effect<void> | undefined
  users: number
}

/**
 * Values made once for each key and shared by the scopes that ask for them, and kept when none does: at most `most` of
 * them in all, of which those that were used least lately go first. What could not be made is not kept.
 */
const makeShared = Effect.fnUntraced(function*<A, E>(
  most: number,
  make: (key: string) => Effect.Effect<A, E, Scope.Scope>
) {
  const all = yield* Effect.scope
  // In the order of their last use.
  const values = new Map<string, Shared<A, E>>()

  const isCurrent = (key: string, value: Shared<A, E>) => values.get(key) === value

  // In a fiber of its own: interrupting the first caller does not affect the others.
  const begin = (key: string, value: Shared<A, E>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Scope.fork(all)
        const exit = yield* Effect.exit(restore(Scope.provide(make(key), scope)))
        if (Exit.isSuccess(exit)) {
          value.close = Scope.close(scope, Exit.void)
        } else {
          if (isCurrent(key, value)) values.delete(key)
          yield* Scope.close(scope, exit)
        }
        yield* Deferred.done(value.made, exit)
        yield* trim(most)
      })
    ).pipe(Effect.forkIn(all))

  // Removed before they are closed, so that a request in between gets a new one.
  const trim = (most: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const closing: Array<Effect.Effect<void>> = []
      for (const [key, { close, users }] of values) {
        if (values.size <= most) break
        if (users > 0 || close === undefined) continue
        values.delete(key)
        closing.push(close)
      }
      return Effect.uninterruptible(Effect.all(closing, { discard: true }))
    })

  const change = (key: string, value: Shared<A, E>, users: number) => {
    value.users += users
    if (!isCurrent(key, value)) return
    values.delete(key)
    values.set(key, value)
  }

  const take = (key: string) =>
    Effect.suspend(() => {
      if (all.state._tag === "Closed") return Effect.interrupt
      const found = values.get(key)
      const value = found ?? { made: Deferred.makeUnsafe<A, E>(), close: undefined, users: 0 }
      values.set(key, value)
      change(key, value, 1)
      return found === undefined ? Effect.as(begin(key, value), value) : Effect.succeed(value)
    })

  const get = (key: string): Effect.Effect<A, E, Scope.Scope> =>
    Effect.acquireRelease(
      take(key),
      (value) =>
        Effect.suspend(() => {
          change(key, value, -1)
          return trim(most)
        })
    ).pipe(Effect.flatMap(({ made }) => Deferred.await(made)))

  return {
    get,
    trim,
    keys: Effect.sync(() => [...values].flatMap(([key, { close }]) => close === undefined ? [] : [key]).toReversed())
  }
})
