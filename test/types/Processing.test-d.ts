import { describe, expectTypeOf, it } from "vitest"
import type { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import type { SamplerName, SchedulerName } from "../../src/processing/SamplerName.ts"

type Input = NonNullable<Parameters<typeof Txt2Img.make>[0]>

describe("Txt2Img and Img2Img", () => {
  it("suggest samplers and schedules, and take any other text", () => {
    expectTypeOf<Txt2Img["sampler_name"]>().toEqualTypeOf<SamplerName>()
    expectTypeOf<Txt2Img["hr_scheduler"]>().toEqualTypeOf<SchedulerName | undefined>()
    expectTypeOf<Img2Img["scheduler"]>().toEqualTypeOf<SchedulerName>()
    expectTypeOf<Input["sampler_name"]>().toEqualTypeOf<SamplerName | undefined>()
    expectTypeOf<string>().toExtend<SamplerName>()
  })

  it("are what make returns", () => {
    expectTypeOf<ReturnType<typeof Txt2Img.make>>().toExtend<Txt2Img>()
    expectTypeOf<Txt2Img>().toExtend<ReturnType<typeof Txt2Img.make>>()
    expectTypeOf<ReturnType<typeof Img2Img.make>>().toExtend<Img2Img>()
    expectTypeOf<Img2Img>().toExtend<ReturnType<typeof Img2Img.make>>()
  })
})
