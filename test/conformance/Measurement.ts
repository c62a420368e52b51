/** Deviations of results from the reference values. */

/** One row of a table: a component and its largest deviation. */
export interface Measurement {
  readonly name: string
  /** Reference cases. */
  readonly cases: number
  /** The largest difference of a value: absolute, or relative to it. */
  readonly deviation: number
  /** The allowed deviation, in words. */
  readonly tolerance: string
  /** The largest share of the allowed deviation that was used; above 1 fails. */
  readonly share: number
  readonly proof: Proof
}

/** The test that repeats the comparison. */
export interface Proof {
  /** Path relative to the project root. */
  readonly file: string
  /** Title of the `describe` block or of the test. */
  readonly title: string
}

/** One comparison: the difference, and the allowed difference. */
export interface Difference {
  readonly deviation: number
  readonly allowed: number
}

/** Differences value by value. Allowed is `rel` of the expected value, or `abs` if that is larger. */
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

/** Differences relative to the expected values. */
export const relative = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  rel: number
): ReadonlyArray<Difference> =>
  differences(actual, expected, {}).map(({ deviation }, i) => ({
    deviation: deviation === 0 ? 0 : deviation / Math.abs(expected[i] ?? 0),
    allowed: rel
  }))

/** Differences with no tolerance. */
export const exact = (actual: ArrayLike<number>, expected: ArrayLike<number>): ReadonlyArray<Difference> =>
  differences(actual, expected, {})

/** Summarizes the differences of all cases. */
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

/** One significant digit in exponent notation. */
export const scientific = (value: number): string => value === 0 ? "0" : value.toExponential(0)

const finite = (value: number): number => Number.isNaN(value) ? Infinity : value
