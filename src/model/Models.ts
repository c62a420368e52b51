/**
 * Where a run gets its models (the one it is captured with, a refiner, another one for the second pass) and what goes
 * with them by name.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ModelSettings } from "../processing/OptionsSnapshot.ts"
import type { AdapterFile } from "./Adapter.ts"
import type { EmbeddingFile } from "./Embedding.ts"
import type { LoadedModel } from "./LoadedModel.ts"
import type { ModelNotFound, NetworkError } from "./ModelError.ts"

/** A VAE in a file of its own, as lists show it. */
export interface ListedVae {
  /** The file's name with its ending: a value of `sd_vae`. */
  readonly name: string
  readonly file: string
}

/** A ControlNet that runs can name. */
export interface ControlNetFile {
  readonly name: string
  /** The name with the first digits of the hash that sd-webui-controlnet shows. */
  readonly title: string
  readonly file: string
}

/** The ControlNets of this machine. */
export interface ControlNets {
  readonly list: Effect.Effect<ReadonlyArray<ControlNetFile>>
  /** The one that a name or title means. */
  readonly find: (name: string) => Effect.Effect<ControlNetFile | undefined>
}

type Load = (
  name: string,
  settings?: ModelSettings
) => Effect.Effect<LoadedModel, ModelNotFound | NetworkError, Scope.Scope>

export class Models extends Context.Service<Models, {
  /**
   * A model by its name, or the first one for an empty name, made of the files that the settings choose; by default
   * with its own. It is kept as long as the scope at least.
   */
  readonly load: Load
  /**
   * The same for what runs no network, such as counting tokens: a model that is not in memory is not kept, so that no
   * other one has to go. Absent where nothing is kept.
   */
  readonly borrow?: Load
  /**
   * The LoRA or other adapter that a tag means: by the name of its file, with or without its ending, by its own name
   * (`ss_output_name`), or by its hash. Undefined for none; absent where there can be none.
   */
  readonly adapter?: (name: string) => Effect.Effect<AdapterFile | undefined>
  /** The embeddings that there are, each name once; absent where there can be none. */
  readonly embeddings?: Effect.Effect<ReadonlyArray<EmbeddingFile>>
  /** The VAEs that `sd_vae` may name; absent where none can be chosen. */
  readonly vaes?: Effect.Effect<ReadonlyArray<ListedVae>>
  /** Absent where there can be none. */
  readonly controlNets?: ControlNets
}>()("serena/model/Models") {}
