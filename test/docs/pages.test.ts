import { assert, describe, it } from "@effect/vitest"
import { existsSync, statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { dirname, join, normalize } from "node:path"
import { followed, pages, project } from "./pages.ts"
import { generatedFiles } from "./reference.ts"

const all = pages()

describe("the pages", () => {
  it("have blocks of kinds that are tried, and text", () => {
    for (const { language, place } of all.flatMap(({ blocks }) => blocks)) {
      assert.include(["ts", "sh", "text"], language, place)
    }
  })

  it("have something to follow besides the how-to pages", () => {
    assert.isAbove(followed(all).flatMap(({ blocks }) => blocks).length, 20)
  })

  it("link to what there is", () => {
    const missing = all.flatMap(({ links, path }) =>
      links.filter((link) => !/^https?:/.test(link)).filter((link) => {
        const [file = "", anchor] = link.split("#")
        const target = file === "" ? path : normalize(join(dirname(path), file))
        if (!existsSync(join(project, target)) || target.startsWith("..")) return true
        if (anchor === undefined) return false
        return all.find((page) => page.path === target)?.anchors.includes(anchor) !== true
      }).map((link) => `${path}: ${link}`)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("install the file that `npm pack` writes for this version", async () => {
    const { name, version }: { name: string; version: string } = JSON.parse(
      await readFile(join(project, "package.json"), "utf8")
    )
    const files = all.flatMap(({ blocks }) => blocks).flatMap(({ text }) => text.match(/\/path\/to\/\S+\.tgz/g) ?? [])
    assert.isAbove(files.length, 1)
    assert.deepStrictEqual([...new Set(files)], [`/path/to/${name}-${version}.tgz`])
  })

  it("can each be reached from the README", () => {
    const reached = new Set(["README.md"])
    for (const path of reached) {
      for (const link of all.find((page) => page.path === path)?.links ?? []) {
        reached.add(normalize(join(dirname(path), link.split("#")[0] ?? "")))
      }
    }
    assert.deepStrictEqual(all.map(({ path }) => path).filter((path) => !reached.has(path)), [])
  })

  it("say only what the code says where they are made from it: else `npm run docs`", async () => {
    for (const { path, text } of await generatedFiles()) {
      assert.strictEqual(await readFile(join(project, path), "utf8"), text, path)
    }
  })

  it("name tests that there are, in the ledger", async () => {
    const ledger = all.find(({ path }) => path === "docs/serena.md")
    assert.isDefined(ledger)
    const named = [...ledger.prose.matchAll(/\[`([^`]+)`\]\(\.\.\/(test\/[^)]+\.test(?:-d)?\.ts)\)((?:,? "[^"]+")*)/g)]
    assert.isAbove(named.length, 10)
    for (const [, shown, file = "", names = ""] of named) {
      assert.strictEqual(shown, file.replace(/^test\//, ""))
      assert.isTrue(statSync(join(project, file)).isFile(), file)
      const source = await readFile(join(project, file), "utf8")
      for (const [, name = ""] of names.matchAll(/"([^"]+)"/g)) assert.include(source, name, file)
    }
  })
})
