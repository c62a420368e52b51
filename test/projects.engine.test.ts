import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"

describe("an engine test", () => {
  it("can load a native module, and cannot start a process", async () => {
    const { default: sharp } = await import("sharp")
    assert.isDefined(sharp.versions)
    assert.throws(() => execFileSync(process.execPath, ["--version"]), /^This test calls execFileSync\. /)
  })
})
