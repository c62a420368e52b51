/** Seeds: integers of any size and sign. */

/** An integer. Above 2^53 it must be a `bigint`; negative ones are read as two's complement. */
export type Seed = number | bigint

/** A seed as a `bigint`, truncated. */
export const toBigInt = (seed: Seed): bigint => typeof seed === "bigint" ? seed : BigInt(Math.trunc(seed))

/** Bits 0 to 31 of a seed. */
export const low32 = (seed: Seed): number => Number(BigInt.asUintN(32, toBigInt(seed)))

/** Bits 32 to 63 of a seed. */
export const high32 = (seed: Seed): number => Number(BigInt.asUintN(32, toBigInt(seed) >> 32n))

/** The seed plus `delta`. */
export const plus = (seed: Seed, delta: Seed): Seed => toBigInt(seed) + toBigInt(delta)
