/**
 * An image store in memory that tests can inspect; nothing is written to disk.
 *
 * ```ts
 * yield* processImages(processing)
 * const { files } = yield* SavedImages
 * assert.deepStrictEqual([...(yield* files).keys()], ["outputs/txt2img-images/1970-01-01/00000-7.png"])
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ImageStore, namesFor } from "../images/ImageStore.ts"

export class SavedImages extends Context.Service<SavedImages, {
  /** The image files by path, in the order they were saved. */
  readonly files: Effect.Effect<ReadonlyMap<string, Uint8Array>>
  /** The text files by path: infotexts saved next to images, and replaced files such as `params.txt`. */
  readonly texts: Effect.Effect<ReadonlyMap<string, string>>
  /** Removes all files. */
  readonly clear: Effect.Effect<void>
}>()("serena/testing/SavedImages") {
  /** A store in memory that names and numbers files like the one on disk. */
  static readonly layer: Layer.Layer<ImageStore | SavedImages> = Layer.effectContext(Effect.sync(() => {
    const files = new Map<string, Uint8Array>()
    const texts = new Map<string, string>()
    // The file names in each folder.
    const folders = new Map<string, Set<string>>()
    const taken = (folder: string): Set<string> => {
      const names = folders.get(folder) ?? new Set<string>()
      folders.set(folder, names)
      return names
    }
    const store = ImageStore.of({
      check: () => Effect.void,
      save: ({ bytes, directory, extension, folder, text, ...naming }) =>
        Effect.sync(() => {
          const dir = directory === "" ? folder : `${folder}/${directory}`
          const names = taken(dir)
          const nameAt = namesFor(naming, names)
          const isTaken = (name: string) =>
            names.has(`${name}.${extension}`) || (text !== undefined && names.has(`${name}.txt`))
          let attempt = 0
          while (isTaken(nameAt(attempt))) attempt++
          const name = nameAt(attempt)
          const path = `${dir}/${name}.${extension}`
          names.add(`${name}.${extension}`)
          files.set(path, bytes)
          if (text !== undefined) {
            names.add(`${name}.txt`)
            texts.set(`${dir}/${name}.txt`, `${text}\n`)
          }
          return path
        }),
      together: (saves) => saves,
      replace: ({ folder, name }, text) =>
        Effect.sync(() => {
          const path = `${folder}/${name}`
          taken(folder).add(name)
          texts.set(path, text)
          return path
        })
    })
    const saved = SavedImages.of({
      files: Effect.sync(() => new Map(files)),
      texts: Effect.sync(() => new Map(texts)),
      clear: Effect.sync(() => {
        files.clear()
        texts.clear()
        folders.clear()
      })
    })
    return Context.make(ImageStore, store).pipe(Context.add(SavedImages, saved))
  }))
}
