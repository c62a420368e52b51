import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { StyleBook } from "../../src/processing/StyleBook.ts"
import { savedWithLines } from "../textFiles.ts"

const read = (bytes: Uint8Array) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const stylesFile = `${yield* fs.makeTempDirectoryScoped()}/styles.csv`
    yield* fs.writeFile(stylesFile, bytes)
    return yield* Effect.flatMap(StyleBook, ({ read }) => read).pipe(
      Effect.provide(StyleBook.layer.pipe(Layer.provide(CommandOptions.layer({ stylesFile }))))
    )
  }).pipe(Effect.provide(NodeFileSystem.layer))

const csv = "name,prompt,negative_prompt\nNoir,\"film noir, {prompt}\",colour\n\u732B,\u732B,\n"

describe("a styles file", () => {
  it.effect.each(savedWithLines)("is read as it was saved: %s", ([, save]) =>
    Effect.gen(function*() {
      const { byName, problems, styles } = yield* read(save(csv))
      assert.deepStrictEqual(styles, [
        { name: "Noir", prompt: "film noir, {prompt}", negativePrompt: "colour" },
        { name: "\u732B", prompt: "\u732B", negativePrompt: "" }
      ])
      assert.deepStrictEqual([byName.get("Noir"), byName.get("noir")], [styles[0], undefined])
      assert.deepStrictEqual(problems, [])
    }))

  it.effect("in another encoding holds no styles, and says so", () =>
    Effect.gen(function*() {
      for (const bytes of [Buffer.from("name,prompt\nx,d\u00E9tail", "latin1"), Buffer.from(csv, "utf16le")]) {
        const { problems, styles } = yield* read(bytes)
        assert.deepStrictEqual(styles, [])
        assert.match(problems.join(), /not read: the file is not valid UTF-8\. Save it as UTF-8\.$/)
      }
    }))

  it.effect("has its first 20 problems named, and the others counted", () =>
    Effect.gen(function*() {
      const { problems } = yield* read(Buffer.from("name,prompt\n" + ",nameless\n".repeat(100_000)))
      assert.strictEqual(problems.length, 21)
      assert.match(problems[0] ?? "", /line 2: the style has no name\.$/)
      assert.match(problems[20] ?? "", /: 99980 more lines have problems\.$/)
    }))

  it.effect("is read once, until its date or size changes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stylesFile = `${yield* fs.makeTempDirectoryScoped()}/styles.csv`
      let reads = 0
      const counting = FileSystem.FileSystem.of({
        ...fs,
        readFile: (path) => Effect.suspend(() => (reads++, fs.readFile(path)))
      })
      const layer = StyleBook.layer.pipe(
        Layer.provide(CommandOptions.layer({ stylesFile })),
        Layer.provide(Layer.succeed(FileSystem.FileSystem, counting))
      )
      yield* Effect.gen(function*() {
        const { read } = yield* StyleBook
        const names = Effect.map(read, ({ styles }) => styles.map(({ name }) => name))
        assert.deepStrictEqual(yield* names, [])
        yield* fs.writeFileString(stylesFile, csv)
        yield* Effect.all([read, read, read], { concurrency: 3 })
        assert.deepStrictEqual([yield* names, reads], [["Noir", "\u732B"], 1])
        yield* fs.writeFileString(stylesFile, "name,prompt\nInk,ink\n")
        assert.deepStrictEqual([yield* names, reads], [["Ink"], 2])
        yield* fs.writeFileString(stylesFile, "name,prompt\nOil,oil\n")
        yield* fs.utimes(stylesFile, 1, 1)
        assert.deepStrictEqual([yield* names, reads], [["Oil"], 3])
        yield* fs.remove(stylesFile)
        assert.deepStrictEqual(yield* names, [])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
