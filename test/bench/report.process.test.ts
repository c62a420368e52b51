import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { project } from "../docs/pages.ts"
import { Report } from "./report.ts"

describe("a bench", () => {
  it("prints a report as JSON, with both sides of each ratio", { timeout: 120_000 }, async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["test/bench/arithmetic.ts", "--json", "--rounds", "1"],
      { cwd: project }
    )
    const { command, machine, rows } = Schema.decodeUnknownSync(Schema.fromJsonString(Report))(stdout)
    assert.strictEqual(command, "npm run bench:arithmetic")
    assert.strictEqual(machine.node, process.version)
    const ratios = rows.filter(({ ratio }) => ratio !== undefined)
    assert.isAbove(ratios.length, 5)
    for (const { base = 0, ratio = 0, value } of ratios) assert.closeTo(ratio, value / base, 1e-9)
  })
})
