/**
 * What is to be said of adapters that do not act on a model as they were asked to.
 */
import type { AdapterUse } from "../model/Adapter.ts"
import { isAdapted, type LoadedModel } from "../model/LoadedModel.ts"

/** Warns of adapters that a model does not take, and of changes that do not fit it. */
export const adapterWarnings = (model: LoadedModel, uses: ReadonlyArray<AdapterUse>): ReadonlyArray<string> => {
  if (uses.length === 0) return []
  if (isAdapted(model)) return model.adapterWarnings
  const names = uses.slice(0, 10).map(({ name }) => name).join(", ")
  return [`${model.name} takes no LoRAs, as its networks are exported: ${names} ${was(uses.length)} left out.`]
}

const was = (count: number): string => count === 1 ? "was" : "were"
