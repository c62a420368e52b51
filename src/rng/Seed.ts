/** Seeds: whole numbers of any size and sign. */

/** A whole number. Above 2^53 it has to be a `bigint`; of negative ones, two's complement counts. */
export type Seed = number | bigint

/** A seed as a `bigint`; a fraction is dropped. */
export const toBigInt = (seed: Seed): bigint => typeof seed === "bigint" ? seed : BigInt(Math.trunc(seed))

/** Bits 0 to 31 of a seed. */
export const low32 = (seed: Seed): number => Number(BigInt.asUintN(32, toBigInt(seed)))

/** Bits 32 to 63 of a seed. */
export const high32 = (seed: Seed): number => Number(BigInt.asUintN(32, toBigInt(seed) >> 32n))

/** The seed `delta` further on. */
export const plus = (seed: Seed, delta: Seed): Seed => toBigInt(seed) + toBigInt(delta)
