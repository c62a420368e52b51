import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { WildcardBook } from "../../src/processing/WildcardBook.ts"
import type { Lookup } from "../../src/prompt/DynamicPrompt.ts"
import { savedWithLines } from "../textFiles.ts"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

/** A folder `wildcards` with these files, in a folder that is gone after the test. */
const folderOf = Effect.fnUntraced(function*(files: Readonly<Record<string, string | Uint8Array>>) {
  const fs = yield* FileSystem.FileSystem
  const outside = yield* Effect.flatMap(fs.makeTempDirectoryScoped(), fs.realPath)
  const folder = `${outside}/wildcards`
  yield* fs.makeDirectory(folder)
  for (const [name, content] of Object.entries(files)) {
    const file = `${folder}/${name}`
    yield* fs.makeDirectory(file.slice(0, file.lastIndexOf("/")), { recursive: true })
    yield* typeof content === "string" ? fs.writeFileString(file, content) : fs.writeFile(file, content)
  }
  return { folder, outside }
})

const bookOf = (wildcardsDir: string) =>
  Effect.map(
    Layer.build(
      WildcardBook.layer.pipe(Layer.provide(CommandOptions.layer({ wildcardsDir })), Layer.provide(platform))
    ),
    Context.get(WildcardBook)
  )

const linesOf = (lookup: Lookup, pattern: string) => {
  const found = lookup(pattern)
  return Result.isFailure(found) ? found.failure : found.success.lines.flatMap(({ template }) => template.pieces)
}

const problemsOf = (lookup: Lookup, pattern: string) => {
  const found = lookup(pattern)
  return Result.isFailure(found) ? [found.failure] : found.success.problems
}

describe("a folder of wildcards", () => {
  it.effect.each(savedWithLines)("is read as it was saved: %s", ([, save]) =>
    Effect.gen(function*() {
      const { folder } = yield* folderOf({ "colour.txt": save("# mine\nred\n\n  green \nred\n\u732B\n#blue") })
      const { read } = yield* bookOf(folder)
      assert.deepStrictEqual(linesOf(yield* read(["colour"]), "colour"), ["red", "green", "\u732B"])
    }).pipe(Effect.provide(platform)))

  it.effect("has its files named by their paths, and found by patterns", () =>
    Effect.gen(function*() {
      const { folder } = yield* folderOf({
        "dogs.txt": "stray",
        "animals/dogs.txt": "poodle",
        "animals/cats.txt": "tabby",
        "animals/wild/lions.txt": "lion",
        "animals/notes.md": "none"
      })
      const { names, read } = yield* bookOf(folder)
      assert.deepStrictEqual(yield* names, ["animals/cats", "animals/dogs", "animals/wild/lions", "dogs"])
      const lookup = yield* read(["dogs", "animals/*", "animals/**", "*", "**/dogs", "a*/c*", "x*", "Dogs"])
      assert.deepStrictEqual(linesOf(lookup, "dogs"), ["stray"])
      assert.deepStrictEqual(linesOf(lookup, "animals/*"), ["tabby", "poodle"])
      assert.deepStrictEqual(linesOf(lookup, "animals/**"), ["tabby", "poodle", "lion"])
      assert.deepStrictEqual(linesOf(lookup, "*"), ["stray"])
      assert.deepStrictEqual(linesOf(lookup, "**/dogs"), ["poodle"])
      assert.deepStrictEqual(linesOf(lookup, "a*/c*"), ["tabby"])
      assert.strictEqual(linesOf(lookup, "x*"), `no wildcard in the folder ${folder} fits __x*__`)
      assert.strictEqual(
        linesOf(lookup, "Dogs"),
        `no wildcard is named __Dogs__ in the folder ${folder}. Did you mean __dogs__?`
      )
    }).pipe(Effect.provide(platform)))

  it.effect("is read as far as prompts and lines name its files, and again when one changed", () =>
    Effect.gen(function*() {
      const { folder } = yield* folderOf({ "a.txt": "__b__", "b.txt": "__c__", "c.txt": "c", "d.txt": "d" })
      const fs = yield* FileSystem.FileSystem
      const { read } = yield* bookOf(folder)
      const lookup = yield* read(["a"])
      assert.deepStrictEqual(linesOf(lookup, "c"), ["c"])
      assert.isString(linesOf(lookup, "d"))
      yield* fs.writeFileString(`${folder}/c.txt`, "another")
      assert.deepStrictEqual(linesOf(yield* read(["a"]), "c"), ["another"])
      yield* fs.remove(`${folder}/c.txt`)
      assert.match(String(linesOf(yield* read(["a"]), "c")), /no wildcard is named __c__/)
    }).pipe(Effect.provide(platform)))

  it.effect("is not left, whatever a link or a name says", () =>
    Effect.gen(function*() {
      const { folder, outside } = yield* folderOf({ "in/a.txt": "a" })
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString(`${outside}/secret.txt`, "secret")
      yield* fs.makeDirectory(`${outside}/wildcards-not`)
      yield* fs.writeFileString(`${outside}/wildcards-not/x.txt`, "x")
      yield* fs.symlink(`${outside}/secret.txt`, `${folder}/file.txt`)
      yield* fs.symlink(outside, `${folder}/folder`)
      yield* fs.symlink(`${outside}/wildcards-not`, `${folder}/neighbour`)
      yield* fs.symlink(`${folder}/in`, `${folder}/within`)
      yield* fs.symlink(folder, `${folder}/in/loop`)
      const { names, read } = yield* bookOf(folder)
      const known = yield* names
      assert.deepStrictEqual(known.filter((name) => /secret|file|x$/.test(name)), [])
      assert.include(known, "in/a")
      const lookup = yield* read(["../secret", "folder/secret", "file", "**"])
      for (const name of ["../secret", "folder/secret", "file"]) assert.isString(linesOf(lookup, name))
      assert.notInclude(JSON.stringify(linesOf(lookup, "**")), "secret")
    }).pipe(Effect.provide(platform)))

  it.effect("says what is wrong with a file, with the line", () =>
    Effect.gen(function*() {
      const { folder } = yield* folderOf({
        "a.txt": "fine\n{open\nalso fine",
        "b.txt": "# nothing",
        "c.txt": Buffer.from("caf\u00E9", "latin1"),
        "d.txt": "x\n".repeat(3 * 1024 * 1024),
        "e.txt": "}\n ".repeat(9).replaceAll(/}/g, (_, at: number) => `}${at}`)
      })
      const { read } = yield* bookOf(folder)
      const lookup = yield* read(["a", "b", "c", "d", "e"])
      const brace = "at character 1: this { is never closed. Add a }, or write \\{ for the sign itself"
      assert.deepStrictEqual(problemsOf(lookup, "a"), [`a.txt, line 2, ${brace}`])
      assert.deepStrictEqual(linesOf(lookup, "a"), ["fine", "also fine"])
      assert.deepStrictEqual(problemsOf(lookup, "b"), ["b.txt has no lines"])
      assert.deepStrictEqual(problemsOf(lookup, "c"), ["c.txt is not valid UTF-8. Save it as UTF-8"])
      assert.deepStrictEqual(problemsOf(lookup, "d"), ["d.txt is larger than 4 MiB. Split it"])
      assert.strictEqual(problemsOf(lookup, "e")[5], "e.txt: 4 more lines have problems")
    }).pipe(Effect.provide(platform)))

  it.effect("may be missing", () =>
    Effect.gen(function*() {
      const { names, read } = yield* bookOf("/no/such/folder")
      assert.deepStrictEqual(yield* names, [])
      assert.strictEqual(
        linesOf(yield* read(["a"]), "a"),
        "no wildcard is named __a__: there are no wildcards in the folder /no/such/folder"
      )
    }).pipe(Effect.provide(platform)))
})
