/**
 * `npm run docs`: writes the files that are made from the code.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { writeConformance } from "../conformance/generate.ts"
import { generatedFiles } from "./reference.ts"

for (const { path, text } of await generatedFiles()) {
  const file = new URL(`../../${path}`, import.meta.url)
  await mkdir(new URL(".", file), { recursive: true })
  await writeFile(file, text)
  process.stdout.write(`${fileURLToPath(file)}\n`)
}
// Measured anew, and so not compared with what was measured before.
process.stdout.write(`${await writeConformance()}\n`)
