/** Writes `docs/conformance.md`: `node test/conformance/generate.ts`, also part of `npm run docs`. */
import * as Effect from "effect/Effect"
import { writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { currentPage } from "./page.ts"

const file = fileURLToPath(new URL("../../docs/conformance.md", import.meta.url))

/** Measures everything and writes the page. Returns its path. */
export const writeConformance = async (): Promise<string> => {
  await writeFile(file, await Effect.runPromise(currentPage))
  return file
}

if (import.meta.main) process.stdout.write(`${await writeConformance()}\n`)
