import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { decode } from "../../src/processing/Processing.ts"
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
  it.effect("do not change what is wrong with a name", () =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(decode({ sampler_name: "", scheduler: "" }))
      assert.deepStrictEqual(problems.map(({ path }) => path), ["sampler_name", "scheduler"])
    }))
})
