/**
 * The files in the models folders as a client may see them: with an id in place of a path, and with their previews.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import type { ModelFile } from "../../contract/Catalogue.ts"
import { aliases, type ModelFile as FoundFile, trainedWords } from "../../models/ModelFile.ts"
import { reasonOf } from "../../models/ModelFiles.ts"
import { ModelLibrary, shortHash } from "../../models/ModelLibrary.ts"
import { CommandOptions } from "../../processing/CommandOptions.ts"
import type { OptionsSnapshot } from "../../processing/OptionsSnapshot.ts"

export class ModelShelf extends Context.Service<ModelShelf, {
  /**
   * All files, or those of a kind, or with a text in their names or trained words; embedded models last. Tags are
   * written with the names that the settings prefer.
   */
  readonly list: (
    query: { readonly kind?: string | undefined; readonly search?: string | undefined },
    settings: Pick<OptionsSnapshot, "lora_preferred_name">
  ) => Effect.Effect<ReadonlyArray<ModelFile>>
  /** The file of a preview by its model's id; undefined without one, and for one over the limit of an image. */
  readonly preview: (id: string) => Effect.Effect<Uint8Array | undefined>
}>()("serena/server/host/ModelShelf") {
  static readonly layer: Layer.Layer<ModelShelf, never, CommandOptions | FileSystem.FileSystem | ModelLibrary> = Layer
    .effect(
      ModelShelf,
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const library = yield* ModelLibrary
        const { limits: { max_image_bytes } } = yield* CommandOptions

        const preview = Effect.fnUntraced(function*(id: string) {
          const file = (yield* library.list).find((file) => idOf(file) === id)?.preview
          if (file === undefined) return undefined
          const { size } = yield* fs.stat(file)
          if (Number(size) > max_image_bytes) return undefined
          return yield* fs.readFile(file)
        })

        return ModelShelf.of({
          list: ({ kind, search = "" }, { lora_preferred_name }) => {
            const wanted = search.trim().toLowerCase()
            return Effect.gen(function*() {
              const files = yield* library.list
              const tagOf = lora_preferred_name === "Filename" ? ({ name }: FoundFile) => name : aliases(files)
              const shown = yield* Effect.forEach(
                files.filter((file) => kind === undefined || file.kind === kind),
                (file) =>
                  Effect.map(library.knownHashes(file), (hashes) => ({
                    ...shownFile(file, tagOf),
                    hash: hashes === undefined ? null : shortHash(hashes)
                  })),
                { concurrency: 4 }
              )
              return shown.filter(({ name, tag, trained_words }) =>
                [name, tag ?? "", ...trained_words].some((text) => text.toLowerCase().includes(wanted))
              )
            })
          },
          preview: (id) => Effect.orElseSucceed(preview(id), () => undefined)
        })
      })
    )
}

// Paths stay on the server.
const idOf = ({ file }: Pick<FoundFile, "file">): string => createHash("sha256").update(file).digest("hex").slice(0, 16)

const shownFile = (
  found: FoundFile,
  tagOf: (file: FoundFile) => string
): Omit<ModelFile, "hash"> => ({
  id: idOf(found),
  name: found.name,
  tag: found.kind === "lora" ? tagOf(found) : null,
  kind: found.kind,
  family: found.family ?? null,
  size: found.size,
  embedded: found.embedded,
  trained_words: trainedWords(found.metadata),
  has_preview: found.preview !== undefined,
  problem: found.problems.length === 0 ? null : reasonOf(found)
})
