/**
 * Where a run gets its models (the one it is captured with, a refiner, another one for the second pass) and what goes
 * with them by name.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AdapterFile } from "./Adapter.ts"
import type { EmbeddingFile } from "./Embedding.ts"
import type { LoadedModel } from "./LoadedModel.ts"
import type { ModelNotFound, NetworkError } from "./ModelError.ts"

export class Models extends Context.Service<Models, {
  /** A model by its name, or the first one for an empty name. It is kept as long as the scope at least. */
  readonly load: (name: string) => Effect.Effect<LoadedModel, ModelNotFound | NetworkError, Scope.Scope>
  /**
   * The LoRA or other adapter that a tag means: by the name of its file, with or without its ending, by its own name
   * (`ss_output_name`), or by its hash. Undefined for none; absent where there can be none.
   */
  readonly adapter?: (name: string) => Effect.Effect<AdapterFile | undefined>
  /** The embeddings that there are, each name once; absent where there can be none. */
  readonly embeddings?: Effect.Effect<ReadonlyArray<EmbeddingFile>>
}>()("serena/model/Models") {}
