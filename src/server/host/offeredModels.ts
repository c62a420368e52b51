/**
 * The models that this process offers to runs, by the names under which they ask for them.
 */
import * as Effect from "effect/Effect"
import { basename } from "node:path"
import { ModelProvider } from "../../models/ModelProvider.ts"

/** All that it has, looked for every ten seconds at most, and those that are loaded. */
export const offeredModels = Effect.gen(function*() {
  const provider = yield* ModelProvider
  const entries = yield* Effect.cachedWithTTL(Effect.orElseSucceed(provider.list, () => []), "10 seconds")
  return {
    models: Effect.map(entries, (entries) => entries.map(({ name }) => name)),
    loaded: Effect.gen(function*() {
      const resident = yield* provider.resident
      if (resident.length === 0) return []
      return (yield* entries).filter(({ folder }) => resident.includes(basename(folder))).map(({ name }) => name)
    })
  }
})
