/**
 * Where a run gets its models: the one it is captured with, a refiner, another one for the second pass.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LoadedModel } from "./LoadedModel.ts"
import type { ModelNotFound, NetworkError } from "./ModelError.ts"

export class Models extends Context.Service<Models, {
  /** A model by its name, or the first one for an empty name. It is kept as long as the scope at least. */
  readonly load: (name: string) => Effect.Effect<LoadedModel, ModelNotFound | NetworkError, Scope.Scope>
  /** Names of the embeddings that are there and do not load; absent where none can be. */
  readonly unloadedEmbeddings?: Effect.Effect<ReadonlyArray<string>>
}>()("serena/model/Models") {}
