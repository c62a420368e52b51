/**
 * What runs find by the names that prompts give them: adapters and embeddings among the files of the models folders.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { AdapterFile } from "../model/Adapter.ts"
import type { EmbeddingFile } from "../model/Embedding.ts"
import type { Models } from "../model/Models.ts"
import * as embeddings from "./embeddings.ts"
import type { ModelFile } from "./ModelFile.ts"
import type { ModelLibrary } from "./ModelLibrary.ts"

/** Digits of a hash in infotexts. */
const digits = 12

const problemOf = ({ problems: [problem] }: ModelFile): string | undefined => problem?.message

/** The part of `Models` that finds files by name. */
export const make = (
  { find, hashes, list }: ModelLibrary["Service"],
  services: Context.Context<FileSystem.FileSystem | Path.Path>
): Required<Pick<Models["Service"], "adapter" | "embeddings">> => ({
  adapter: (name) =>
    Effect.map(find(["lora"], name), (found): AdapterFile | undefined =>
      found && {
        name: found.name,
        file: found.file,
        hash: Effect.map(hashes(found), ({ autoV3, sha256 }) => (autoV3 ?? sha256).slice(0, digits)),
        embeddings: Effect.provideContext(embeddings.readBundled(found.file), services),
        problem: problemOf(found)
      }),
  embeddings: Effect.map(list, (files) => {
    const usable = files.filter((file) => file.kind === "embedding" && problemOf(file) === undefined)
    // Of two files of one name the first counts.
    const byName = new Map(usable.toReversed().map((file) => [file.name, file]))
    return [...byName.values()].toReversed().map((file): EmbeddingFile => ({
      name: file.name,
      file: file.file,
      read: Effect.provideContext(embeddings.read(file.name, file.file), services),
      hash: Effect.map(hashes(file), ({ sha256 }) => sha256.slice(0, digits))
    }))
  })
})
