import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { folderWith, run } from "./reader.ts"

const names = [
  "asks for the thing",
  "is the same each time",
  "does not change the settings",
  "tries again when the thread died",
  "does not try again what would fail again",
  "waits for half a minute",
  "counts bright pictures",
  "sees a run in a context of its own",
  "is a real one"
]

it.live("a reader's tests pass, in a project of theirs", () =>
  Effect.gen(function*() {
    const folder = yield* folderWith("testing")
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--reporter=verbose", "--no-isolate", "--maxWorkers=1"]
    const { code, stderr, stdout } = yield* run(folder, vitest, { NO_COLOR: "1" })
    assert.strictEqual(code, 0, stdout + stderr)
    for (const name of names) assert.match(stdout, new RegExp(`✓ .*${name}`), stdout)
  }))
