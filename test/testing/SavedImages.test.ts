import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { type FileToSave, ImageStore } from "../../src/images/ImageStore.ts"
import { SavedImages } from "../../src/testing/SavedImages.ts"
import { platform } from "../models/fixtures.ts"

const file: FileToSave = {
  folder: "outputs/txt2img-images",
  directory: "1970-01-01",
  name: "7",
  number: true,
  extension: "png",
  bytes: Uint8Array.of(1, 2, 3)
}

it.effect("SavedImages keeps images and texts by their paths, until they are removed", () =>
  Effect.gen(function*() {
    const { replace, save } = yield* ImageStore
    const { clear, files, texts } = yield* SavedImages
    const path = yield* save({ ...file, text: "a cat" })
    yield* replace({ folder: "outputs", name: "params.txt" }, "a dog")
    yield* replace({ folder: "outputs", name: "params.txt" }, "a cat")
    assert.strictEqual(path, "outputs/txt2img-images/1970-01-01/00000-7.png")
    assert.deepStrictEqual([...yield* files], [[path, file.bytes]])
    assert.deepStrictEqual([...yield* texts], [
      ["outputs/txt2img-images/1970-01-01/00000-7.txt", "a cat\n"],
      ["outputs/params.txt", "a cat"]
    ])
    yield* clear
    assert.strictEqual((yield* files).size + (yield* texts).size, 0)
    assert.strictEqual(yield* save(file), path)
  }).pipe(Effect.provide(SavedImages.layer)))

it.effect("SavedImages names files as the store on disk does", () => {
  const saves: ReadonlyArray<Partial<FileToSave>> = [
    {},
    { directory: "" },
    { name: "8" },
    { name: "" },
    { number: "grid", name: "" },
    { number: "grid", name: "" },
    { number: false },
    { number: false },
    { number: false, extension: "jpg" },
    { number: false, text: "a cat" },
    { number: false, extension: "jpg", text: "a cat" },
    { number: false, name: "" },
    { directory: "a/b" }
  ]
  const paths = (folder: string) =>
    Effect.flatMap(
      ImageStore,
      ({ save }) =>
        Effect.forEach(saves, (change) =>
          Effect.map(save({ ...file, ...change, folder }), (path) => path.slice(folder.length)))
    )
  return Effect.gen(function*() {
    const onDisk = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()).pipe(
      Effect.flatMap(paths),
      Effect.provide(ImageStore.layer.pipe(Layer.provideMerge(platform)))
    )
    const inMemory = yield* Effect.provide(paths("outputs"), SavedImages.layer)
    assert.deepStrictEqual(inMemory, onDisk)
    assert.strictEqual(new Set(onDisk).size, saves.length)
  })
})
