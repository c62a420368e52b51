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
import { ModelLibrary, shortHash } from "../../models/ModelLibrary.ts"
import { type ModelEntry, ModelProvider } from "../../models/ModelProvider.ts"

/** A model with its title. */
export interface TitledModel extends ModelEntry {
  /** Name of its file or folder. */
  readonly fileName: string
  readonly title: string
  /** First 10 digits of its hash; `undefined` until it is known. */
  readonly hash: string | undefined
  /** All digits, where they are known. */
  readonly sha256: string | undefined
}

export class ModelTitles extends Context.Service<ModelTitles, {
  readonly list: Effect.Effect<ReadonlyArray<TitledModel>>
  /** The model of a name in `Options`; the first one for an empty name. */
  readonly ofName: (name: string) => Effect.Effect<TitledModel | undefined>
  /** A model by its title, name, file name or known hash, in any case. */
  readonly find: (written: string) => Effect.Effect<Option.Option<ModelEntry>>
  /** Loads a model and computes its hash. */
  readonly learn: (name: string) => Effect.Effect<void>
}>()("serena/server/host/ModelTitles") {
  static readonly layer: Layer.Layer<ModelTitles, never, ModelLibrary | ModelProvider | Path.Path> = Layer.effect(
    ModelTitles,
    Effect.gen(function*() {
      const library = yield* ModelLibrary
      const models = yield* ModelProvider
      const path = yield* Path.Path
      const learned = new Map<string, string>()
      const entries = Effect.orElseSucceed(models.list, (): ReadonlyArray<ModelEntry> => [])
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
      const ofName = Effect.fnUntraced(function*(name: string) {
        const all = yield* entries
        const entry = name === "" ? all[0] : all.find((entry) => entry.name.toLowerCase() === name.toLowerCase())
        return entry === undefined ? undefined : yield* titled(entry)
      })
      return ModelTitles.of({
        list: Effect.flatMap(entries, Effect.forEach(titled)),
        ofName,
        find: (written) => Effect.map(models.find(written.trim()), Option.fromUndefinedOr),
        learn: (name) =>
          Effect.gen(function*() {
            const model = yield* ofName(name)
            if (model === undefined || learned.has(model.folder)) return
            const { hash } = yield* models.load(model.name)
            learned.set(model.folder, yield* hash)
          }).pipe(Effect.scoped, Effect.ignore)
      })
    })
  )
}

/** The models as OpenAI's API lists them. */
export const openAiModels = Effect.gen(function*() {
  const { list } = yield* ModelTitles
  const data = (yield* list).map(({ name }) => ({ id: name, object: "model", created: 0, owned_by: "serena" }))
  return { object: "list", data }
})
