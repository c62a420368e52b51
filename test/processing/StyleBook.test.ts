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
      assert.deepStrictEqual(yield* read(save(csv)), {
        styles: [
          { name: "Noir", prompt: "film noir, {prompt}", negativePrompt: "colour" },
          { name: "\u732B", prompt: "\u732B", negativePrompt: "" }
        ],
        problems: []
      })
    }))

  it.effect("in another encoding holds no styles, and says so", () =>
    Effect.gen(function*() {
      for (const bytes of [Buffer.from("name,prompt\nx,d\u00E9tail", "latin1"), Buffer.from(csv, "utf16le")]) {
        const { problems, styles } = yield* read(bytes)
        assert.deepStrictEqual(styles, [])
        assert.match(problems.join(), /not read: the file is not valid UTF-8\. Save it as UTF-8\.$/)
      }
    }))
})
