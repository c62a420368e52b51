/**
 * Problems of numbers as ranges: "--steps: 0 is out of range: 1 to 150".
 */
import type { Problem } from "../core/Problem.ts"

const bounds = /^Expected a value (?:between (\S+) and (\S+)|greater than or equal to (\S+))$/

/**
 * Problems whose message gives a bound, as the value and the whole range. `most` is the upper bound of a field that its
 * schema leaves open. An integer too large to be one has only its range named.
 */
export const asRanges = (
  problems: ReadonlyArray<Problem>,
  valueOf: (path: string) => unknown,
  most: (path: string) => number | undefined = () => undefined
): ReadonlyArray<Problem> => {
  const inRange = problems.map((problem) => {
    const { message, path } = problem
    const value = valueOf(path)
    const [, low, high, least] = bounds.exec(message) ?? []
    if (typeof value !== "number" || (low ?? least) === undefined) return problem
    const top = high ?? most(path)
    const range = top === undefined ? `${least} or more` : `${low ?? least} to ${top}`
    return { path, message: `${value} is out of range: ${range}` }
  })
  const ranged = new Set(inRange.filter((problem, i) => problem !== problems[i]).map(({ path }) => path))
  return inRange.filter(({ message, path }) => {
    const value = valueOf(path)
    const isWhole = typeof value === "number" && Number.isInteger(value)
    return !(message === "Expected an integer" && isWhole && ranged.has(path))
  })
}
