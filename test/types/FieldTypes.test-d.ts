import type * as Schema from "effect/Schema"
import { describe, expectTypeOf, it } from "vitest"
import type { CommandOptions, CommandOptionsPatch, ProcessOptions } from "../../src/processing/CommandOptions.ts"
import type * as FieldTypes from "../../src/processing/FieldTypes.ts"
import type { Limits } from "../../src/processing/Limits.ts"
import type { Options } from "../../src/processing/Options.ts"
import type { OptionsPatch, OptionsSnapshot } from "../../src/processing/OptionsSnapshot.ts"
import type { Img2Img, Txt2Img } from "../../src/processing/Processing.ts"
import type * as Serena from "../../src/Serena.ts"

// The types that the schemas infer from their fields.
type Inferred<S extends { readonly fields: Schema.Struct.Fields }> = Schema.Struct.Type<S["fields"]>
type InferredInput<S extends { readonly fields: Schema.Struct.Fields }> = Schema.Struct.MakeIn<S["fields"]>

describe("the written types", () => {
  it("are those of the requests' schemas", () => {
    expectTypeOf<Same<FieldTypes.Txt2Img, Inferred<typeof Txt2Img>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.Txt2ImgInput, InferredInput<typeof Txt2Img>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.Img2Img, Inferred<typeof Img2Img>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.Img2ImgInput, InferredInput<typeof Img2Img>>>().toEqualTypeOf<true>()
  })

  it("are those of the settings' schemas", () => {
    expectTypeOf<Same<FieldTypes.OptionsSnapshot, Inferred<typeof OptionsSnapshot>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.OptionsSnapshot, InferredInput<typeof OptionsSnapshot>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.OptionsPatch, Inferred<typeof OptionsPatch>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.OptionsPatch, InferredInput<typeof OptionsPatch>>>().toEqualTypeOf<true>()
  })

  it("are those of the limits' and the process options' schemas", () => {
    expectTypeOf<Same<FieldTypes.Limits, Inferred<typeof Limits>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.LimitsInput, InferredInput<typeof Limits>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<FieldTypes.ProcessOptions, Inferred<typeof ProcessOptions>>>().toEqualTypeOf<true>()
    expectTypeOf<Same<CommandOptionsPatch, Partial<CommandOptions["Service"]>>>().toEqualTypeOf<true>()
  })
})

describe("the public functions", () => {
  it("name the written types, whose fields have comments", () => {
    expectTypeOf<Parameters<typeof Txt2Img.make>[0]>().toEqualTypeOf<FieldTypes.Txt2ImgInput>()
    expectTypeOf<Parameters<typeof Img2Img.make>[0]>().toEqualTypeOf<FieldTypes.Img2ImgInput>()
    expectTypeOf<Parameters<typeof Limits.make>[0]>().toEqualTypeOf<FieldTypes.LimitsInput>()
    expectTypeOf<ReturnType<typeof Txt2Img.make>>().toEqualTypeOf<Txt2Img>()
    expectTypeOf<typeof Txt2Img["Type"]>().toEqualTypeOf<Txt2Img>()
    expectTypeOf<Parameters<typeof Options.layer>[0]>().toEqualTypeOf<OptionsPatch | undefined>()
    expectTypeOf<Serena.LayerOptions["options"]>().toEqualTypeOf<OptionsPatch | undefined>()
    expectTypeOf<Serena.LayerOptions["cmdOpts"]>().toEqualTypeOf<CommandOptionsPatch | undefined>()
  })
})

// Each assignable to the other, with the same fields.
type Same<A, B> = [A] extends [B] ? [B] extends [A] ? [keyof A] extends [keyof B] ? [keyof B] extends [keyof A] ? true
      : "B has more fields"
    : "A has more fields"
  : "B is not assignable to A"
  : "A is not assignable to B"
