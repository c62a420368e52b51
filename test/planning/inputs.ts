/** A request to plan, with every surrounding replaceable. */
import type { OutlineInputs } from "../../src/planning/plan.ts"
import { CommandOptions } from "../../src/processing/CommandOptions.ts"
import { Options } from "../../src/processing/Options.ts"
import type { OptionsPatch } from "../../src/processing/OptionsSnapshot.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { TestModel } from "../../src/testing/index.ts"

export const inputs = (
  { opts, ...overrides }: Partial<Omit<OutlineInputs, "opts">> & { readonly opts?: OptionsPatch } = {}
): OutlineInputs => ({
  runId: "run",
  processing: Txt2Img.make({ prompt: "a cat", seed: 7, steps: 3 }),
  model: TestModel.make(),
  opts: Options.patched(Options.defaults, opts ?? {}),
  limits: CommandOptions.defaults.limits,
  source: undefined,
  upscalers: ["None", "Lanczos"],
  styles: { styles: [], problems: [] },
  ...overrides
})

/** What is known of a model on another server. */
export const elsewhere = { name: "http://other", defaultSize: { width: 512, height: 512 }, sizeMultiple: 8 }
