/**
 * The how-to pages, followed from top to bottom: commands are typed, and what is printed is compared.
 *
 * The programs themselves are tried in test/examples at every change. The tests on the page about testing are run
 * there.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { cp } from "node:fs/promises"
import { join } from "node:path"
import { isForClone, isTried, pages, withoutInstallation } from "../docs/pages.ts"
import { follow, installCheckout, inTemporaryFolder, nodeFolder } from "../docs/session.ts"
import { names } from "../examples/pages.ts"
import { ModelsDir } from "../models/wholeVocabulary.ts"

/** Pages whose reader has a models folder. */
const withModels = new Set(["docs/how-to/controlnet.md", "docs/how-to/loras.md"])

const followed = new Set(names.filter((name) => name !== "testing").map((name) => `docs/how-to/${name}.md`))
const sections = pages().filter(({ path }) => followed.has(path)).flatMap(({ blocks, path }) =>
  [...Map.groupBy(blocks, ({ section }) => section)].flatMap(([section, blocks]) =>
    blocks.some(isTried) ? [{ title: `${path}, ${section}`, path, blocks }] : []
  )
)

// A section stands for itself. Images take all processors, so more at once are only slower.
const places = Semaphore.makeUnsafe(2)

layer(ModelsDir.layer)("a reader who does what a how-to page says", (it) => {
  for (const { blocks, path, title } of sections) {
    it.effect(`sees what ${title} says`, () =>
      Effect.gen(function*() {
        const models = yield* ModelsDir
        const differences = yield* Effect.promise(() =>
          inTemporaryFolder(async (folder) => {
            if (withModels.has(path)) await cp(models, join(folder, "models"), { recursive: true })
            return follow(blocks, {
              folder,
              path: [await installCheckout(folder), nodeFolder],
              passedOver: isForClone,
              mapped: withoutInstallation
            })
          })
        )
        assert.deepStrictEqual(differences, [])
      }).pipe(places.withPermits(1)), { concurrent: true })
  }
})
