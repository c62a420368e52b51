/**
 * Models with the adapters of a pass.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AdapterUse } from "../model/Adapter.ts"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"

/** A model with adapters over its weights; the model itself without any, or where it takes none. */
export const adapted = (
  model: LoadedModel,
  uses: ReadonlyArray<AdapterUse>
): Effect.Effect<LoadedModel, NetworkError, Scope.Scope> =>
  uses.length === 0 || model.adapted === undefined ? Effect.succeed(model) : model.adapted(uses)
