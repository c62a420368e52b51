/**
 * The how-to pages, followed from top to bottom: commands are typed, and what is printed is compared.
 *
 * The programs themselves are tried in test/examples at every change. The tests on the page about testing are run
 * there.
 */
import { assert, describe, it } from "@effect/vitest"
import { isForClone, isTried, pages, withoutInstallation } from "../docs/pages.ts"
import { follow, installCheckout, inTemporaryFolder, nodeFolder } from "../docs/session.ts"
import { names } from "../examples/pages.ts"

const followed = new Set(names.filter((name) => name !== "testing").map((name) => `docs/how-to/${name}.md`))
const sections = pages().filter(({ path }) => followed.has(path)).flatMap(({ blocks, path }) =>
  [...Map.groupBy(blocks, ({ section }) => section)].flatMap(([section, blocks]) =>
    blocks.some(isTried) ? [[`${path}, ${section}`, blocks] as const] : []
  )
)

describe("a reader who does what a how-to page says", () => {
  it.each(sections)("sees what %s says", async (_, blocks) => {
    const differences = await inTemporaryFolder(async (folder) =>
      follow(blocks, {
        folder,
        path: [await installCheckout(folder), nodeFolder],
        passedOver: isForClone,
        mapped: withoutInstallation
      })
    )
    assert.deepStrictEqual(differences, [])
  })
})
