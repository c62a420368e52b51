import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { followed, isForClone, isTried, pages, project, withoutInstallation } from "./pages.ts"
import { follow, installCheckout, inTemporaryFolder, nodeFolder, savePrograms, shell } from "./session.ts"

// A section stands for itself, so each is tried in a folder of its own, beside others.
const sections = followed(pages()).flatMap(({ blocks, path }) =>
  [...Map.groupBy(blocks, ({ section }) => section)].flatMap(([section, blocks]) =>
    blocks.some(isTried) ? [{ title: `${path}, ${section}`, blocks }] : []
  )
)

// Each picture takes all processors, so more at once are only slower.
const places = Semaphore.makeUnsafe(2)
const inTurn = <A>(work: () => Promise<A>) => Effect.runPromise(places.withPermits(1)(Effect.promise(work)))

describe("a reader who does what a page says", () => {
  it("has something to do", () => {
    assert.isAbove(sections.length, 10)
  })

  it("has programs that compile strictly", () =>
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
    async (_, blocks) => {
      const differences = await inTurn(() =>
        inTemporaryFolder(async (folder) =>
          follow(blocks, {
            folder,
            path: [await installCheckout(folder), nodeFolder],
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
