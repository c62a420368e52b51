/**
 * The pages about serving, followed from top to bottom.
 */
import { assert, describe, it } from "@effect/vitest"
import { isTried, pages } from "../docs/pages.ts"
import { follow, installCheckout, inTemporaryFolder, nodeFolder } from "../docs/session.ts"

const paths = [
  "docs/how-to/serve.md",
  "docs/how-to/runs.md",
  "docs/how-to/run-a-cluster.md",
  "docs/how-to/mcp.md",
  "docs/how-to/migrate-from-webui.md",
  "docs/how-to/openai.md"
]
const served = pages().filter(({ path }) => paths.includes(path)).map(({ blocks, path }) => [path, blocks] as const)

describe("a reader who does what a page about serving says", () => {
  it("has these pages, with commands", () => {
    assert.sameMembers(served.map(([path]) => path), paths)
    for (const [path, blocks] of served) assert.isTrue(blocks.some(isTried), path)
  })

  it.each(served)("sees what %s says", async (_, blocks) => {
    const differences = await inTemporaryFolder(async (folder) =>
      follow(blocks, { folder, path: [await installCheckout(folder), nodeFolder], passedOver: () => false })
    )
    assert.deepStrictEqual(differences, [])
  })
})
