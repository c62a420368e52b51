import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Samplers from "../../src/sampling/Samplers.ts"
import * as Schedules from "../../src/sampling/Schedules.ts"

const source = readFileSync(new URL("../../src/processing/SamplerName.ts", import.meta.url), "utf8")

const suggested = (type: string): ReadonlyArray<string> =>
  [...(source.split(`export type ${type} =`)[1]?.split("(string & {})")[0] ?? "").matchAll(/\| "([^"]+)"/g)]
    .map(([, name = ""]) => name)

describe("the names that editors suggest", () => {
  it("are those of the samplers and schedules", () => {
    assert.deepStrictEqual(suggested("SamplerName"), Samplers.all.map(({ name }) => name))
    assert.deepStrictEqual(suggested("SchedulerName"), Schedules.all.map(({ label }) => label))
  })
})
