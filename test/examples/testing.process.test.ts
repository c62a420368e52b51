import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folderWith, run } from "./reader.ts"

const names = [
  "prompts for the subject",
  "is deterministic",
  "does not change the settings",
  "retries when the thread died",
  "does not retry other errors",
  "times out after half a minute",
  "counts bright images",
  "calls the hooks of a run in a given context",
  "returns a PNG file"
]

it.live("a reader's tests pass, in a project of theirs", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("testing")
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--reporter=verbose", "--no-isolate", "--maxWorkers=1"]
    const { code, stderr, stdout } = yield* run(folder, vitest, { NO_COLOR: "1" })
    assert.strictEqual(code, 0, stdout + stderr)
    for (const name of names) assert.match(stdout, new RegExp(`✓ .*${name}`), stdout)
  }))
