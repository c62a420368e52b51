/**
 * What planning finds wrong with a request, collected so that all of it is named at once.
 */
import type { Problem } from "../core/Problem.ts"
import type { UnknownUpscaler } from "../images/ImageError.ts"
import { InvalidProcessing } from "../processing/InvalidProcessing.ts"
import type { UnknownSampler, UnknownScheduler } from "../sampling/SamplingError.ts"

/** A name that stands for nothing. */
export type UnknownName = UnknownSampler | UnknownScheduler | UnknownUpscaler

/** Every way planning can fail. */
export type PlanError = InvalidProcessing | UnknownName

/** A problem; a name that stands for nothing has an error of its own. */
export interface PlanProblem extends Problem {
  readonly error?: UnknownName
}

export type Problems = ReadonlyArray<PlanProblem>

/** An unknown name as a problem of a field. */
export const unknownName = (path: string, error: UnknownName): PlanProblem => ({ path, message: error.message, error })

/** Problems as one error: of a single unknown name, its own; else all of them. */
export const toError = (problems: Problems): PlanError => {
  const [first] = problems
  return first?.error !== undefined && problems.length === 1
    ? first.error
    : new InvalidProcessing({ problems: problems.map(({ message, path }) => ({ path, message })) })
}
