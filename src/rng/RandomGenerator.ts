/**
 * Generators of normal random numbers for the noise of a run.
 *
 * A generator is made from a seed; every image has its own. There are two kinds, named as in the setting
 * `randn_source`: `CPU` is torch's CPU generator, `NV` is that of NVIDIA GPUs. `GPU` means the device's own, which here
 * is the CPU's.
 */
import type { Seed } from "../core/Seed.ts"
import * as PhiloxGenerator from "./PhiloxGenerator.ts"
import * as TorchCpuGenerator from "./TorchCpuGenerator.ts"

/** A sequence of draws from the standard normal distribution. */
export interface RandomGenerator {
  /** Fills `out` with the next draw. The length matters: two draws of 8 differ from one of 16. */
  readonly randn: (out: Float32Array) => void
}

/** Makes a generator from a seed. */
export type GeneratorKind = (seed: Seed) => RandomGenerator

/** The setting `randn_source`. */
export type RandnSource = "CPU" | "GPU" | "NV"

/** Torch's CPU generator. */
export const torchCpu: GeneratorKind = TorchCpuGenerator.make

/** The generator of NVIDIA GPUs. */
export const philox: GeneratorKind = PhiloxGenerator.make

/** The kind named by the setting. */
export const kind = (source: RandnSource): GeneratorKind => source === "NV" ? philox : torchCpu
