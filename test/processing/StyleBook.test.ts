import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import type { NotSaved } from "../../src/processing/NotSaved.ts"
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

describe("a changed styles file", () => {
  const changing = Effect.fnUntraced(function*(
    before: string | undefined,
    change: (book: StyleBook["Service"]) => Effect.Effect<unknown, NotSaved>
  ) {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    const stylesFile = `${folder}/styles.csv`
    if (before !== undefined) {
      yield* fs.writeFileString(`${folder}/own.csv`, before, { mode: 0o640 })
      yield* fs.symlink(`${folder}/own.csv`, stylesFile)
    }
    const layer = StyleBook.layer.pipe(Layer.provide(CommandOptions.layer({ stylesFile })))
    const error = yield* Effect.flatMap(StyleBook, change).pipe(
      Effect.provide(layer),
      Effect.match({ onFailure: ({ message }) => message, onSuccess: () => undefined })
    )
    const link = yield* Effect.option(fs.readLink(stylesFile))
    assert.strictEqual(Option.isSome(link), before !== undefined)
    const { mode } = yield* fs.stat(stylesFile)
    if (before !== undefined) assert.strictEqual(mode & 0o777, 0o640)
    assert.lengthOf(yield* fs.readDirectory(folder), before === undefined ? 1 : 2)
    return { error, text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(yield* fs.readFile(stylesFile)) }
  }, Effect.provide(NodeFileSystem.layer))

  const ink = { prompt: "ink, \"black\"", negativePrompt: "" }

  it.effect("begins with its columns, where there was none", () =>
    Effect.gen(function*() {
      const { text } = yield* changing(undefined, ({ change }) => change("Ink", ink))
      assert.strictEqual(text, "name,prompt,negative_prompt\nInk,\"ink, \"\"black\"\"\",\n")
    }))

  it.effect("keeps what others wrote: rows, their order, further columns, comments, line ends, a mark", () =>
    Effect.gen(function*() {
      const before =
        "\ufeffprompt,name,rating,negative_prompt\r\n,# a comment,,\r\n\"a,\r\nb\",Noir,5,  c\r\nx,,,\r\nold,Ink,3,n\r\n,---- Light ----,,\r\nlast,Last,,"
      const { text } = yield* changing(
        before,
        ({ change }) => Effect.andThen(change("Ink", ink), change("New", { prompt: "new", negativePrompt: "n" }))
      )
      assert.strictEqual(
        text,
        before.replace("old,Ink,3,n", "\"ink, \"\"black\"\"\",Ink,3,") + "\r\nnew,New,,n\r\n"
      )
      const removed = yield* changing(text, ({ change }) => Effect.andThen(change("New"), change("Ink")))
      assert.strictEqual(removed.text, before.replace("old,Ink,3,n\r\n", "") + "\r\n")
    }))

  it.effect("loses every row of a name that is removed, and none for another name", () =>
    Effect.gen(function*() {
      const before = "name,prompt\nA,1\nB,2\nA,3\n"
      assert.strictEqual((yield* changing(before, ({ change }) => change("A"))).text, "name,prompt\nB,2\n")
      assert.strictEqual((yield* changing(before, ({ change }) => change("C"))).text, before)
    }))

  it.effect("is left alone where it cannot be changed", () =>
    Effect.gen(function*() {
      for (
        const [before, reason] of [
          ["name,text,negative_prompt\nA,\"1\n", /line 2 is not closed/],
          ["a,b\n1,2\n", /the columns are a, b/],
          ["name,text\nA,1\n", /no column negative_prompt/]
        ] as const
      ) {
        const { error, text } = yield* changing(
          before,
          ({ change }) => change("X", { prompt: "x", negativePrompt: "y" })
        )
        assert.match(error ?? "", reason)
        assert.strictEqual(text, before)
      }
    }))

  it.effect("has all of many changes at once", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 40 }, (_, i) => `s${i}`)
      const { text } = yield* changing("name,prompt\n", ({ change }) =>
        Effect.forEach(names, (name) =>
          change(name, { prompt: name, negativePrompt: "" }), { concurrency: "unbounded" }))
      assert.strictEqual(
        text,
        `name,prompt\n${
          names.map((name) => `${name},${name}\n`).join("")
        }`
      )
    }))

  it.live("keeps what two servers change at once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const stylesFile = `${yield* fs.makeTempDirectoryScoped()}/styles.csv`
      yield* fs.writeFileString(stylesFile, csv)
      const book = Effect.map(
        Layer.build(Layer.fresh(StyleBook.layer).pipe(Layer.provide(CommandOptions.layer({ stylesFile })))),
        Context.get(StyleBook)
      )
      const books = [yield* book, yield* book]
      const names = Array.from({ length: 20 }, (_, index) => `style ${index}`)
      yield* Effect.forEach(names, (name, index) =>
        (books[index % 2] ?? assert.fail()).change(name, { prompt: name, negativePrompt: "" }), {
        concurrency: "unbounded"
      })
      const { byName } = yield* (yield* book).read
      assert.sameMembers([...byName.keys()], ["Noir", "\u732B", ...names])
      assert.deepStrictEqual(yield* fs.readDirectory(stylesFile.slice(0, -"/styles.csv".length)), ["styles.csv"])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
})
