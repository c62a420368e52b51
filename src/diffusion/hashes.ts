/**
 * The hashes that infotexts and file names show. Reading gigabytes takes longer than a step of sampling, so they are
 * computed next to the run, which waits for them when it writes its first image.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { LoadedModel } from "../model/LoadedModel.ts"
import type { NetworkError } from "../model/ModelError.ts"
import type { FoundNetworks, HashedFile } from "../planning/findNetworks.ts"
import type { NamedHash, NetworkHashes, PlannedModel } from "../planning/RunPlan.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"

/** The model as a plan names it, without hashes. */
export const unhashed = ({ name, vae }: LoadedModel) => ({
  name,
  hash: undefined,
  vae: vae && { name: vae.name, hash: undefined }
})

/** What a plan has once all is computed. */
export interface RunHashes {
  readonly model: Omit<PlannedModel, "isEditing" | "isInpainting">
  readonly hashes: NetworkHashes
  /** Sentences about files that could not be hashed. */
  readonly warnings: ReadonlyArray<string>
}

/** The hashes of a run's files, as far as the settings want them. Those of one run are computed one after another. */
export const hashesOf = Effect.fnUntraced(function*(
  model: LoadedModel,
  { adapters, embeddings }: FoundNetworks["hashed"],
  { add_model_hash_to_info, add_vae_hash_to_info }: OptionsSnapshot
): Effect.fn.Return<RunHashes> {
  const warnings: Array<string> = []
  // Images are worth more than what is written into them: no failure ends the run, not even that of a thread.
  const hashOf = Effect.fnUntraced(function*({ hash, name }: {
    readonly name: string | undefined
    readonly hash: Effect.Effect<string, NetworkError>
  }) {
    const computed = yield* Effect.exit(hash)
    if (Exit.isSuccess(computed)) return computed.value
    const reason = Cause.squash(computed.cause)
    warnings.push(
      `The infotext has no hash of ${name ?? "the model"}: ${reason instanceof Error ? reason.message : String(reason)}`
    )
    return undefined
  })
  const listed = Effect.fnUntraced(function*(files: ReadonlyArray<HashedFile>) {
    const known: Array<NamedHash> = []
    for (const file of files) {
      const hash = yield* hashOf(file)
      if (hash !== undefined) known.push({ name: file.name, hash })
    }
    return known
  })
  const hash = add_model_hash_to_info ? yield* hashOf(model) : undefined
  const vae = model.vae && {
    name: model.vae.name,
    hash: add_vae_hash_to_info ? yield* hashOf(model.vae) : undefined
  }
  return {
    model: { name: model.name, hash, vae },
    hashes: { adapters: yield* listed(adapters), embeddings: yield* listed(embeddings) },
    warnings
  }
})
