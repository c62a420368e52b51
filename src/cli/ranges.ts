/**
 * Problems of flags with the value that was given: "--steps: 0 is out of range: 1 to 150", and "--format: "gif" is none
 * of png, jpg, jpeg, webp".
 */
import type { Problem } from "../core/Problem.ts"

const bounds = /^Expected a value (?:between (\S+) and (\S+)|greater than or equal to (\S+))$/

/**
 * Problems whose message gives a bound, as the value and the whole range. `most` is the upper bound of a field that its
 * schema leaves open.
 */
export const asRanges = (
  problems: ReadonlyArray<Problem>,
  valueOf: (path: string) => unknown,
  most: (path: string) => number | undefined = () => undefined
): ReadonlyArray<Problem> => {
  const inRange = problems.map((problem) => {
    const { message, path } = problem
    const value = valueOf(path)
    if (message === "Expected an integer" && typeof value === "number" && !Number.isInteger(value)) {
      return { path, message: `${value} is not a whole number` }
    }
    const [, low, high, least] = bounds.exec(message) ?? []
    if (typeof value !== "number" || (low ?? least) === undefined) return problem
    const top = high ?? most(path)
    const range = top === undefined ? `${least} or more` : `${low ?? least} to ${top}`
    return { path, message: `${value} is out of range: ${range}` }
  })
  const ranged = new Set(inRange.filter((problem, i) => problem !== problems[i]).map(({ path }) => path))
  return inRange.flatMap((problem) => {
    const { message, path } = problem
    const value = valueOf(path)
    if (message !== "Expected an integer" || typeof value !== "number") return [problem]
    if (ranged.has(path)) return []
    const bound = value < 0 ? "at least -" : "at most "
    return [{ path, message: `${value} is out of range: ${bound}${most(path) ?? Number.MAX_SAFE_INTEGER}` }]
  })
}

const choices = /^Expected ((?:"[^"]*"|\d+)(?: \| (?:"[^"]*"|\d+))+)$/

/** Problems whose message lists the values that a field takes, with the value that it was given. */
export const asChoices = (
  problems: ReadonlyArray<Problem>,
  valueOf: (path: string) => unknown
): ReadonlyArray<Problem> =>
  problems.map((problem) => {
    const { message, path } = problem
    const value = valueOf(path)
    const listed = choices.exec(message)?.[1]
    if (listed === undefined || (typeof value !== "string" && typeof value !== "number")) return problem
    return {
      path,
      message: `${JSON.stringify(value)} is none of ${listed.replaceAll("\"", "").replaceAll(" | ", ", ")}`
    }
  })
