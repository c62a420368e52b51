/**
 * What axe finds on a page, as lines: serious and critical problems only.
 */
import type * as Axe from "axe-core"
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import type { Page } from "playwright-core"

const script = createRequire(import.meta.url).resolve("axe-core/axe.min.js")

/** The page's policy lets no script in from elsewhere; a debugger's evaluation is not bound by it. */
export const serious = async (page: Page): Promise<ReadonlyArray<string>> => {
  await page.evaluate(await readFile(script, "utf8"))
  return page.evaluate(async () => {
    const axe: typeof Axe = Reflect.get(globalThis, "axe")
    const { violations } = await axe.run(document, { resultTypes: ["violations"] })
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ""}`)
      )
  })
}
