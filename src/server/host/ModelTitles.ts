/**
 * Models under the titles of stable-diffusion-webui: `name.safetensors [hash]`.
 *
 * Hashing reads the whole network, so a model is hashed when it is first used, unless its hash was kept before.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { calledModel } from "../../models/ModelFile.ts"
import { ModelLibrary, shortHash } from "../../models/ModelLibrary.ts"
import { type ModelEntry, ModelProvider } from "../../models/ModelProvider.ts"
import { RunStore } from "../../runs/RunStore.ts"
import { ServerOptions } from "./ServerOptions.ts"
import { sharingOf } from "./sharing.ts"

/** A model of this process, or one that only workers have: then its name is all that is known. */
export type OfferedModel = Omit<ModelEntry, "format">

/** A model with its title. */
export interface TitledModel extends OfferedModel {
  /** Name of its file or folder. */
  readonly fileName: string
  readonly title: string
  /** First 10 digits of its hash; `undefined` until it is known. */
  readonly hash: string | undefined
  /** All digits, where they are known. */
  readonly sha256: string | undefined
}

export class ModelTitles extends Context.Service<ModelTitles, {
  /** What runs can ask for: the models of this process, if it executes runs, and those of its workers. */
  readonly list: Effect.Effect<ReadonlyArray<TitledModel>>
  /** The model of a name in `Options`; the first one for an empty name. */
  readonly ofName: (name: string) => Effect.Effect<TitledModel | undefined>
  /** A model by its title, name, file name or known hash, in any case. */
  readonly find: (written: string) => Effect.Effect<Option.Option<OfferedModel>>
  /** Loads a model and computes its hash, if this process executes runs. */
  readonly learn: (name: string) => Effect.Effect<void>
}>()("serena/server/host/ModelTitles") {
  static readonly layer: Layer.Layer<
    ModelTitles,
    never,
    ModelLibrary | ModelProvider | Path.Path | RunStore | ServerOptions
  > = Layer.effect(
    ModelTitles,
    Effect.gen(function*() {
      const library = yield* ModelLibrary
      const models = yield* ModelProvider
      const path = yield* Path.Path
      const store = yield* RunStore
      const { isShared, works } = sharingOf(yield* ServerOptions)
      const learned = new Map<string, string>()
      const own = Effect.orElseSucceed(models.list, (): ReadonlyArray<ModelEntry> => [])
      const elsewhere = yield* Effect.cachedWithTTL(
        isShared ? namesOfWorkers(store) : Effect.succeed<ReadonlyArray<string>>([]),
        "1 second"
      )
      const titled = Effect.fnUntraced(function*(entry: ModelEntry) {
        const known = yield* library.knownHashes({ file: entry.folder, format: entry.format })
        const hash = known === undefined ? learned.get(entry.folder) : shortHash(known)
        const fileName = path.basename(entry.folder)
        const model: TitledModel = {
          ...entry,
          fileName,
          hash,
          sha256: known?.sha256,
          title: hash === undefined ? fileName : `${fileName} [${hash}]`
        }
        return model
      })
      const list = Effect.gen(function*() {
        const here = yield* Effect.forEach(yield* own, titled)
        const there = (yield* elsewhere).filter((name) => works ? here.every((model) => model.name !== name) : true)
        if (there.length === 0) return here
        const remote = there.map((name) => here.find((model) => model.name === name) ?? onlyElsewhere(name))
        const offered = [...works ? here : [], ...remote]
        return [...offered.filter(({ embedded }) => !embedded), ...offered.filter(({ embedded }) => embedded)]
      })
      const ofName = Effect.fnUntraced(function*(name: string) {
        const all = yield* list
        return name === "" ? all[0] : all.find((model) => model.name.toLowerCase() === name.toLowerCase())
      })
      const find = Effect.fnUntraced(function*(written: string): Effect.fn.Return<OfferedModel | undefined> {
        const name = written.trim()
        const found = yield* models.find(name)
        const there = yield* elsewhere
        if (there.length === 0 || (found !== undefined && (works || there.includes(found.name)))) return found
        return yield* ofName(calledModel(name))
      })
      return ModelTitles.of({
        list,
        ofName,
        find: (written) => Effect.map(find(written), Option.fromUndefinedOr),
        learn: (name) =>
          Effect.gen(function*() {
            const model = yield* ofName(name)
            if (!works || model === undefined || learned.has(model.folder)) return
            const { hash } = yield* models.load(model.name)
            learned.set(model.folder, yield* hash)
          }).pipe(Effect.scoped, Effect.ignore)
      })
    })
  )
}

// Those of processes that take runs of others, each name once.
const namesOfWorkers = (store: RunStore["Service"]) =>
  store.workers.pipe(
    Effect.map((workers) => [
      ...new Set(workers.filter(({ slots }) => slots > 0).flatMap(({ models = [] }) => models))
    ]),
    Effect.orElseSucceed((): ReadonlyArray<string> => [])
  )

const onlyElsewhere = (name: string): TitledModel => ({
  name,
  folder: name,
  embedded: false,
  family: undefined,
  nativeSize: undefined,
  variant: undefined,
  fileName: name,
  hash: undefined,
  sha256: undefined,
  title: name
})

/** The models as OpenAI's API lists them. */
export const openAiModels = Effect.gen(function*() {
  const { list } = yield* ModelTitles
  const data = (yield* list).map(({ name }) => ({ id: name, object: "model", created: 0, owned_by: "serena" }))
  return { object: "list", data }
})
