import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { areKnown, hiresNames, resolveNames } from "../../src/planning/names.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"

const resolved = (sampler: string, scheduler = "Automatic") =>
  Result.match(resolveNames({ sampler, scheduler }), {
    onSuccess: ({ sampler, scheduler }) => [sampler.name, scheduler.label],
    onFailure: (error) => [error._tag]
  })

describe("names of a sampler and a scheduler", () => {
  it("count in any spelling, and a scheduler in the sampler's name beats the other", () => {
    assert.deepStrictEqual(resolved("k_euler_a"), ["Euler a", "Automatic"])
    assert.deepStrictEqual(resolved("dpm++ 2m", "sgm_uniform"), ["DPM++ 2M", "SGM Uniform"])
    assert.deepStrictEqual(resolved("DPM++ 2M Karras", "Simple"), ["DPM++ 2M", "Karras"])
  })

  it("that are unknown say which of the two it is", () => {
    assert.deepStrictEqual(resolved("Eler"), ["UnknownSampler"])
    assert.deepStrictEqual(resolved("Euler", "Karas"), ["UnknownScheduler"])
    assert.deepStrictEqual(resolved("DPM++ 2M Karas"), ["UnknownScheduler"])
  })

  it("of a second pass fall back on those of the first", () => {
    const second = (input: Parameters<typeof Txt2Img.make>[0]) =>
      hiresNames(Txt2Img.make({ enable_hr: true, ...input }))
    assert.isUndefined(second({ enable_hr: false }))
    assert.deepStrictEqual(second({ sampler_name: "DPM++ 2M Karras" }), { sampler: "DPM++ 2M", scheduler: "Karras" })
    assert.deepStrictEqual(second({ sampler_name: "Turbo", scheduler: "fast", hr_sampler_name: "Use same sampler" }), {
      sampler: "Turbo",
      scheduler: "fast"
    })
    assert.deepStrictEqual(second({ sampler_name: "DPM++ 2M Karras", hr_scheduler: "Simple" }), {
      sampler: "DPM++ 2M",
      scheduler: "Simple"
    })
  })

  it("are known where both passes have Serena's", () => {
    assert.isTrue(areKnown(Txt2Img.make({ enable_hr: true })))
    assert.isFalse(areKnown(Txt2Img.make({ enable_hr: true, hr_sampler_name: "Turbo" })))
    assert.isTrue(areKnown(Txt2Img.make({ hr_sampler_name: "Turbo" })))
    assert.isFalse(areKnown(Txt2Img.make({ scheduler: "Turbo" })))
  })
})
