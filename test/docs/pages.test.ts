import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { existsSync, mkdtempSync, statSync } from "node:fs"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, normalize } from "node:path"
import { followed, isForClone, isTried, pages, project, withoutInstallation } from "./pages.ts"
import { generatedPages } from "./reference.ts"
import { follow, installCheckout, inTemporaryFolder, nodeFolder, savePrograms, shell } from "./session.ts"

const all = pages()
// A section stands for itself, so each is tried in a folder of its own, beside others.
const sections = followed(all).flatMap(({ blocks, path }) =>
  [...Map.groupBy(blocks, ({ section }) => section)].flatMap(([section, blocks]) =>
    blocks.some(isTried) ? [{ title: `${path}, ${section}`, blocks }] : []
  )
)

// Each picture takes all processors, so more at once are only slower.
const places = Semaphore.makeUnsafe(2)
const inTurn = <A>(work: () => Promise<A>) => Effect.runPromise(places.withPermits(1)(Effect.promise(work)))

const cache = mkdtempSync(join(tmpdir(), "serena-cache-"))
afterAll(() => rm(cache, { recursive: true, force: true }))

describe("the pages", () => {
  it("have blocks of kinds that are tried, and text", () => {
    for (const { language, place } of all.flatMap(({ blocks }) => blocks)) {
      assert.include(["ts", "sh", "text"], language, place)
    }
    assert.isAbove(sections.length, 10)
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
    for (const { path, text } of await generatedPages()) {
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

describe("a reader who does what a page says", () => {
  it("has programs that compile strictly", { timeout: 60_000 }, () =>
    inTemporaryFolder(async (folder) => {
      for (const [index, { blocks }] of sections.entries()) {
        const own = join(folder, String(index))
        await mkdir(own)
        await savePrograms(blocks, own)
      }
      await installCheckout(folder)
      await writeFile(
        join(folder, "tsconfig.json"),
        JSON.stringify({ extends: join(project, "tsconfig.json"), include: ["*/*.mts"] })
      )
      const tsc = join(project, "node_modules/.bin/tsc")
      const { code, stderr, stdout } = await shell(`"${tsc}" --project .`, { folder, path: [nodeFolder] })
      assert.strictEqual(code, 0, stdout + stderr)
    }))

  it.concurrent.each(sections.map(({ blocks, title }) => [title, blocks] as const))(
    "sees what %s says",
    { timeout: 120_000 },
    async (_, blocks) => {
      const differences = await inTurn(() =>
        inTemporaryFolder(async (folder) =>
          follow(blocks, {
            folder,
            path: [await installCheckout(folder), nodeFolder],
            env: { NODE_COMPILE_CACHE: cache },
            // What has to be installed or cloned is tried in test/slow.
            passedOver: isForClone,
            mapped: withoutInstallation
          })
        )
      )
      assert.deepStrictEqual(differences, [])
    }
  )
})
