/**
 * Seeds: integers of 64 bits.
 *
 * A seed is a `number` where that is exact, up to 2^53, and a `bigint` beyond. In JSON, which programs read as
 * floating-point numbers, a `bigint` becomes the text of its digits.
 *
 * Digits come in at the edges: `ExactJson` keeps those of JSON, flags and infotexts are texts, and the schema `Seed`
 * reads all of them. A plan holds settled seeds only: of equal seeds none is a `bigint` where the other is a `number`.
 * From there on a seed is passed along as it is, and only generators look at its bits.
 */
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"

export type Seed = number | bigint

/** The smallest and the largest seed, those of torch's `manual_seed`: negative ones are read as two's complement. */
export const smallest = -(2n ** 63n)
export const largest = 2n ** 64n - 1n

/** The range in words. */
export const range = "-2^63 to 2^64 - 1"

/** A seed as a `bigint`, truncated. */
export const toBigInt = (seed: Seed): bigint => typeof seed === "bigint" ? seed : BigInt(Math.trunc(seed))

/** The seed with the value of an integer of any size. */
export const of = (value: bigint): Seed => {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** The integer that a text of digits spells; `undefined` for any other text. */
export const fromText = (text: string): Seed | undefined => {
  const [, sign = "", digits] = /^\s*([+-]?)0*(\d{1,400})\s*$/.exec(text) ?? []
  return digits === undefined ? undefined : of(sign === "-" ? -BigInt(digits) : BigInt(digits))
}

/** A seed in its one form. */
export const settled = (seed: Seed): Seed => typeof seed === "bigint" ? of(seed) : seed

/** The form of a seed in JSON: a number, or beyond 2^53 the text of its digits. */
export const toJson = (seed: Seed): number | string => {
  const one = settled(seed)
  return typeof one === "bigint" ? String(one) : one
}

/** The seed plus `delta`. A sum out of range counts on from the range's other end: its 64 bits are the same. */
export const plus = (seed: Seed, delta: Seed): Seed => {
  const sum = toBigInt(seed) + toBigInt(delta)
  return of(sum > largest ? BigInt.asUintN(64, sum) : sum < smallest ? BigInt.asIntN(64, sum) : sum)
}

/** Whether a generator accepts the seed. */
export const isInRange = (seed: Seed): boolean => {
  const value = toBigInt(seed)
  return value >= smallest && value <= largest
}

/** Bits 0 to 31 of a seed. */
export const low32 = (seed: Seed): number => Number(BigInt.asUintN(32, toBigInt(seed)))

/** Bits 32 to 63 of a seed. */
export const high32 = (seed: Seed): number => Number(BigInt.asUintN(32, toBigInt(seed) >> 32n))

const expected = `an integer from ${range}`

const problemOf = (seed: Seed): string | undefined => {
  if (typeof seed === "bigint") return isInRange(seed) ? undefined : `${seed} is out of range: ${range}`
  if (!Number.isInteger(seed)) return `Expected ${expected}`
  return Number.isSafeInteger(seed)
    ? undefined
    : "it is over 2^53, where numbers are not exact: write a bigint, or the digits as a text"
}

const digits = /^\s*[+-]?\d{1,400}\s*$/

const json = Schema.Union([
  Schema.Finite.check(
    Schema.makeFilter(problemOf, {
      toJsonSchema: () => ({ type: "integer", minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
      arbitraryConstraint: { number: "integer" }
    })
  ),
  Schema.String.check(Schema.isPattern(digits, { expected }))
]).annotate({ expected })

/** A seed as a value of a schema. Its JSON form is a number, or a text of digits. */
export const Seed = Schema.declare(
  (value: unknown): value is Seed => typeof value === "number" || typeof value === "bigint",
  {
    expected,
    toCodecJson: () =>
      Schema.link<Seed>()(json, {
        decode: SchemaGetter.transform((value) => typeof value === "string" ? fromText(value) ?? Number.NaN : value),
        encode: SchemaGetter.transform(toJson)
      })
  }
).check(Schema.makeFilter(problemOf))
