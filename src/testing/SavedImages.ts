/**
 * Pictures that are saved in memory, to be looked at by a test; nothing is written to disk.
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
import { fileName, ImageStore, today } from "../images/ImageStore.ts"

export class SavedImages extends Context.Service<SavedImages, {
  /** The files by their paths, in the order in which they were saved. */
  readonly files: Effect.Effect<ReadonlyMap<string, Uint8Array>>
  /** Removes them all. */
  readonly clear: Effect.Effect<void>
}>()("serena/testing/SavedImages") {
  /** A store in memory, named and numbered as the one on disk. */
  static readonly layer: Layer.Layer<ImageStore | SavedImages> = Layer.effectContext(Effect.sync(() => {
    const files = new Map<string, Uint8Array>()
    const numbers = new Map<string, number>()
    const store = ImageStore.of({
      check: () => Effect.void,
      save: ({ folder, png, seed }) =>
        Effect.map(today, (day) => {
          const number = numbers.get(`${folder}/${day}`) ?? 0
          numbers.set(`${folder}/${day}`, number + 1)
          const path = `${folder}/${day}/${fileName(number, seed)}`
          files.set(path, png)
          return path
        })
    })
    const saved = SavedImages.of({
      files: Effect.sync(() => new Map(files)),
      clear: Effect.sync(() => {
        files.clear()
        numbers.clear()
      })
    })
    return Context.make(ImageStore, store).pipe(Context.add(SavedImages, saved))
  }))
}
