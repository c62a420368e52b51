/**
 * The prompts of a pass, unrolled into the texts of its steps.
 */
import type * as Effect from "effect/Effect"
import { inTurns } from "../core/Work.ts"
import type { OptionsSnapshot } from "../processing/OptionsSnapshot.ts"
import * as Prompt from "../prompt/Prompt.ts"
import { totalSteps } from "../prompt/PromptSchedule.ts"
import type { PassLevels } from "./levels.ts"
import type { PassPlan } from "./RunPlan.ts"

/** A pass as its prompts are read. */
export interface ReadingPass {
  readonly plan: PassPlan
  readonly levels: PassLevels
  /** Steps of the pass before this one, as its sampler counts them; prompts go on counting from there. */
  readonly stepsBefore: number | undefined
}

/** Steps of a pass as prompts count them. */
export const promptSteps = ({ levels, plan }: Pick<ReadingPass, "levels" | "plan">): number =>
  totalSteps(plan.steps, levels.sampler)

const optionsOf = (pass: ReadingPass, opts: OptionsSnapshot): Prompt.ParseOptions => ({
  steps: promptSteps(pass),
  firstPassSteps: pass.stepsBefore,
  useOldScheduling: opts.use_old_scheduling,
  // They were cut when the request was planned.
  comments: false
})

/** The prompt of a pass. */
export const readPrompt = (pass: ReadingPass, opts: OptionsSnapshot): Effect.Effect<Prompt.Prompt> =>
  inTurns(() => Prompt.parsing(pass.plan.prompt, optionsOf(pass, opts)))

/** The negative prompt of a pass. */
export const readNegative = (pass: ReadingPass, opts: OptionsSnapshot): Effect.Effect<Prompt.NegativePrompt> =>
  inTurns(() => Prompt.parsingNegative(pass.plan.negativePrompt, optionsOf(pass, opts)))
