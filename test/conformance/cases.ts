/** Counts the cases of a test, as Vitest lists them. */
import * as Schema from "effect/Schema"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Proof } from "./Measurement.ts"

const project = fileURLToPath(new URL("../../", import.meta.url))
const vitest = join(project, "node_modules/vitest/vitest.mjs")

const Listed = Schema.fromJsonString(Schema.Array(Schema.Struct({ name: Schema.String, file: Schema.String })))

/** Lists test files without running them. Returns a function from a test to its number of cases. */
export const countCases = async (files: ReadonlyArray<string>): Promise<(proof: Proof) => number> => {
  const folder = await mkdtemp(join(tmpdir(), "serena-cases-"))
  try {
    const list = join(folder, "list.json")
    const flags = ["--config", "test/vitest.config.ts", "--typecheck.enabled=false", "--no-static-parse"]
    await promisify(execFile)(process.execPath, [vitest, "list", ...flags, `--json=${list}`, ...new Set(files)], {
      cwd: project
    })
    const all = Schema.decodeSync(Listed)(await readFile(list, "utf8"))
    return ({ file, title }) =>
      all.filter((test) => relative(project, test.file) === file && `${test.name} > `.includes(`${title} > `)).length
  } finally {
    await rm(folder, { recursive: true })
  }
}
