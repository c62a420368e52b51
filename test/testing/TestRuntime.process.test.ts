import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

describe("TestRuntime.layer", () => {
  it("loads no native module", () => {
    const script = fileURLToPath(new URL("./nativeModules.ts", import.meta.url))
    const printed = execFileSync(process.execPath, ["--report-exclude-network", script], { encoding: "utf8" })
    assert.deepStrictEqual(JSON.parse(printed), { signature: "PNG", native: [] })
  })
})
