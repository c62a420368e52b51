/**
 * Generators of normal random numbers, as a run's noise needs them.
 *
 * A generator is made from a seed and draws on; every picture has its own. Two kinds exist, of the settings' names: `CPU`
 * is torch's generator on the processor, `NV` what NVIDIA's cards give. `GPU` means "the device's own", and here that is
 * the processor's.
 */
import * as PhiloxGenerator from "./PhiloxGenerator.ts"
import type { Seed } from "./Seed.ts"
import * as TorchCpuGenerator from "./TorchCpuGenerator.ts"

/** A sequence of draws from the standard normal distribution. */
export interface RandomGenerator {
  /** Fills `out` with the next draw. How long a draw is matters: two of 8 are not one of 16. */
  readonly randn: (out: Float32Array) => void
}

/** Makes a generator from a seed. */
export type GeneratorKind = (seed: Seed) => RandomGenerator

/** The setting `randn_source`. */
export type RandnSource = "CPU" | "GPU" | "NV"

/** Torch's generator on the processor. */
export const torchCpu: GeneratorKind = TorchCpuGenerator.make

/** The generator of NVIDIA's cards. */
export const philox: GeneratorKind = PhiloxGenerator.make

/** The kind that a setting names. */
export const kind = (source: RandnSource): GeneratorKind => source === "NV" ? philox : torchCpu
