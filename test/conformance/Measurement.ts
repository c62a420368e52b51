/** How far results are from the reference numbers. */

/** What a page tells of one thing that was compared. */
export interface Measurement {
  readonly name: string
  /** Reference cases. */
  readonly cases: number
  /** The largest difference of a value: absolute, or a share of it. */
  readonly deviation: number
  /** What is allowed, in words. */
  readonly tolerance: string
  /** The largest part of what is allowed that was needed; above 1 is too much. */
  readonly share: number
  readonly proof: Proof
}

/** The test that compares the same numbers whenever tests run. */
export interface Proof {
  /** Path from the project's folder. */
  readonly file: string
  /** Of its `describe`, or of the test. */
  readonly title: string
}

/** One comparison: a difference, and how much of one is allowed. */
export interface Difference {
  readonly deviation: number
  readonly allowed: number
}

/** The differences of some numbers, value by value: `rel` of the expected one, or `abs` where that is more. */
export const differences = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { abs = 0, rel = 0 }: { readonly abs?: number; readonly rel?: number }
): ReadonlyArray<Difference> =>
  actual.length === expected.length
    ? Array.from(expected, (wanted, i) => ({
      deviation: finite(Math.abs((actual[i] ?? NaN) - wanted)),
      allowed: Math.max(abs, rel * Math.abs(wanted))
    }))
    : [{ deviation: Infinity, allowed: 0 }]

/** The same, as shares of the expected values. */
export const relative = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  rel: number
): ReadonlyArray<Difference> =>
  differences(actual, expected, {}).map(({ deviation }, i) => ({
    deviation: deviation === 0 ? 0 : deviation / Math.abs(expected[i] ?? 0),
    allowed: rel
  }))

/** Exactly the same, or not. */
export const exact = (actual: ArrayLike<number>, expected: ArrayLike<number>): ReadonlyArray<Difference> =>
  differences(actual, expected, {})

/** What is told of some cases, each with its differences. */
export const measured = (
  name: string,
  tolerance: string,
  proof: Proof,
  cases: ReadonlyArray<ReadonlyArray<Difference>>
): Measurement => {
  const all = cases.flat()
  return {
    name,
    cases: cases.length,
    deviation: all.reduce((most, { deviation }) => Math.max(most, deviation), 0),
    tolerance,
    share: all.reduce((most, { allowed, deviation }) => Math.max(most, deviation === 0 ? 0 : deviation / allowed), 0),
    proof
  }
}

/** One digit, and its power of ten. */
export const scientific = (value: number): string => value === 0 ? "0" : value.toExponential(0)

const finite = (value: number): number => Number.isNaN(value) ? Infinity : value
