import { assert, it } from "@effect/vitest"
import { tokenMergingOf } from "../../src/planning/tokenMerging.ts"
import type { OptionsPatch } from "../../src/processing/FieldTypes.ts"
import { Options } from "../../src/processing/Options.ts"

it.each<[own: OptionsPatch, settings: OptionsPatch, ofTexts: [number, number], ofImages: number]>([
  [{}, {}, [0, 0], 0],
  [{}, { token_merging_ratio: 0.5 }, [0.5, 0.5], 0.5],
  [{}, { token_merging_ratio: 0.5, token_merging_ratio_hr: 0.25 }, [0.5, 0.25], 0.5],
  [{}, { token_merging_ratio_hr: 0.25 }, [0, 0.25], 0],
  [{}, { token_merging_ratio: 0.5, token_merging_ratio_img2img: 0.3 }, [0.5, 0.5], 0.3],
  [{ token_merging_ratio: 0.7 }, { token_merging_ratio_img2img: 0.3 }, [0.7, 0.7], 0.7]
])("of a request with %o, settings %o", (own, settings, [first, second], ofImages) => {
  const opts = Options.patched(Options.patched(Options.defaults, settings), own)
  assert.deepStrictEqual(tokenMergingOf({ _tag: "Txt2Img", override_settings: own }, opts), { first, second })
  assert.strictEqual(tokenMergingOf({ _tag: "Img2Img", override_settings: own }, opts).first, ofImages)
})
