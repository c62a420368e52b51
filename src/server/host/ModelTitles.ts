/**
 * Models under the titles of stable-diffusion-webui: `name [hash]`.
 *
 * Hashing reads the whole network, so each model is hashed once, when it is first used.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type ModelEntry, ModelProvider } from "../../models/ModelProvider.ts"

/** A model with its title. */
export interface TitledModel extends ModelEntry {
  readonly title: string
  /** First 10 digits of its hash; `undefined` until it is known. */
  readonly hash: string | undefined
}

export class ModelTitles extends Context.Service<ModelTitles, {
  readonly list: Effect.Effect<ReadonlyArray<TitledModel>>
  /** The known hashes by folder. The map grows as models are hashed. */
  readonly hashes: Effect.Effect<ReadonlyMap<string, string>>
  /** The model of a name in `Options`; the first one for an empty name. */
  readonly ofName: (name: string) => Effect.Effect<TitledModel | undefined>
  /** Loads a model and computes its hash. */
  readonly learn: (name: string) => Effect.Effect<void>
}>()("serena/server/host/ModelTitles") {
  static readonly layer: Layer.Layer<ModelTitles, never, ModelProvider> = Layer.effect(
    ModelTitles,
    Effect.gen(function*() {
      const models = yield* ModelProvider
      const known = new Map<string, string>()
      const entries = Effect.orElseSucceed(models.list, (): ReadonlyArray<ModelEntry> => [])
      const titled = (entry: ModelEntry): TitledModel => {
        const hash = known.get(entry.folder)
        return { ...entry, hash, title: hash === undefined ? entry.name : `${entry.name} [${hash}]` }
      }
      const ofName = (name: string) =>
        Effect.map(entries, (all) => {
          const entry = name === "" ? all[0] : all.find((entry) => entry.name.toLowerCase() === name.toLowerCase())
          return entry === undefined ? undefined : titled(entry)
        })
      return ModelTitles.of({
        list: Effect.map(entries, (all) => all.map(titled)),
        hashes: Effect.succeed(known),
        ofName,
        learn: (name) =>
          Effect.gen(function*() {
            const model = yield* ofName(name)
            if (model === undefined || model.hash !== undefined) return
            const { hash } = yield* models.load(model.name)
            known.set(model.folder, yield* hash)
          }).pipe(Effect.scoped, Effect.ignore)
      })
    })
  )
}

/** Finds a model by title, name, file name, folder or hash, ignoring case. */
export const findModel = (
  models: ReadonlyArray<ModelEntry>,
  hashes: ReadonlyMap<string, string>,
  written: string
): Option.Option<ModelEntry> => {
  const wanted = written.trim().toLowerCase()
  const named = /^(.*?)(?:\.(?:safetensors|ckpt))?\s*(?:\[([0-9a-f]+)\])?$/.exec(wanted)
  const [, name = wanted, inBrackets] = named ?? []
  const hash = inBrackets ?? wanted
  const byName = models.find((model) =>
    [wanted, name].includes(model.name.toLowerCase()) || model.folder === written.trim()
  )
  const byHash = /^[0-9a-f]{8,64}$/.test(hash)
    ? models.find(({ folder }) => hash.startsWith(hashes.get(folder) ?? "-"))
    : undefined
  return Option.fromUndefinedOr(byName ?? byHash)
}
