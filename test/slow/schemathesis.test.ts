/**
 * Both APIs against their own description, `/openapi.json`: Schemathesis sends what the description allows and what it
 * does not, and compares every reply with it. `schemathesis/schemathesis.toml` says what its checks cannot know.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { withServer } from "../bench/server/serverProcess.ts"
import { nodeFolder, shell } from "../docs/session.ts"

const version = "4.32.5"

// A run takes milliseconds: what is tried is the API, not the engine.
const limits = [
  ["max-width", 64],
  ["max-height", 64],
  ["max-steps", 2],
  ["max-batch-size", 2],
  ["max-n-iter", 2],
  ["max-total-pixels", 8192],
  ["max-image-pixels", 65_536],
  ["queue", 10_000]
].flatMap(([name, value]) => [`--${name}`, String(value)])

const install = `python3 -m venv python && python/bin/pip install --quiet schemathesis==${version}`

describe("Schemathesis", () => {
  let folder: string
  let absent: string | undefined

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "serena-schemathesis-"))
    const { code, stderr } = await shell(install, { folder, path: [nodeFolder] })
    // It is no package of the npm registry: a machine may have no Python, or no way to its packages.
    if (code !== 0) absent = stderr.trim().split("\n").at(-1)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  // The seed is fixed, and 3 examples for each operation bound the time to about a minute.
  const run = (paths: string, server: ReadonlyArray<string>, client: string) =>
    withServer([...limits, ...server], async ({ url }) => {
      const config = join(import.meta.dirname, "schemathesis/schemathesis.toml")
      const { code, stderr, stdout } = await shell(
        `python/bin/schemathesis --config-file '${config}' run ${url}/openapi.json ${client} ` +
          `--include-path-regex '${paths}' --seed 1 --max-examples 3 --generation-database none --no-color --warnings off`,
        { folder, path: [nodeFolder] }
      )
      const [, passed = 0] = /(\d+) generated, \d+ passed/.exec(stdout) ?? []
      return { code, passed: Number(passed), output: stdout + stderr }
    }, folder)

  it("finds nothing in /v1, on a server with users", async ({ skip }) => {
    if (absent !== undefined) skip(`Schemathesis is not to be had here: ${absent}`)
    // OpenAI's paths are its own description's: clients of theirs are tried instead.
    const { code, output, passed } = await run("^/v1/(?!images/)", ["--api-auth", "ada:secret"], "--auth ada:secret")
    assert.strictEqual(code, 0, output)
    assert.isAbove(passed, 1000, output)
  })

  it("finds nothing in /sdapi/v1, on a server without", async ({ skip }) => {
    if (absent !== undefined) skip(`Schemathesis is not to be had here: ${absent}`)
    const { code, output, passed } = await run("^/sdapi/v1/", [], "")
    assert.strictEqual(code, 0, output)
    assert.isAbove(passed, 500, output)
  })
})
