/**
 * `npm run bench:choices`: what settings that trade an image's likeness for time gain, and what they change, with the
 * embedded model.
 *
 *     npm run bench:choices -- [--rounds 2] [--json] [--keep]
 *
 * Each of the prompts is made with every setting in turn, in 20 steps at CFG 5. The ratio is that of a run's time to
 * the time of the run without the setting before it. Differences are those of the pixels, of 255.
 */
import * as ManagedRuntime from "effect/ManagedRuntime"
import { parseArgs } from "node:util"
import type { OptionsPatch } from "../../src/processing/FieldTypes.ts"
import { Txt2Img } from "../../src/processing/Processing.ts"
import { processImages } from "../../src/runner/processImages.ts"
import * as Serena from "../../src/Serena.ts"
import { median } from "./median.ts"
import { begin, compared, reportFlags } from "./report.ts"

const { values: given } = parseArgs({
  options: { ...reportFlags, rounds: { type: "string", default: "2" } }
})

const choices: ReadonlyArray<readonly [name: string, settings: OptionsPatch]> = [
  ["deepcache_interval=2", { deepcache_interval: 2 }],
  ["deepcache_interval=3", { deepcache_interval: 3 }],
  ["deepcache_interval=5", { deepcache_interval: 5 }],
  ["skip_late_cond=0.25", { skip_late_cond: 0.25 }],
  ["skip_late_cond=0.5", { skip_late_cond: 0.5 }],
  ["skip_early_cond=0.1", { skip_early_cond: 0.1 }],
  ["s_min_uncond=1", { s_min_uncond: 1 }],
  ["token_merging_ratio=0.25", { token_merging_ratio: 0.25 }],
  ["token_merging_ratio=0.5", { token_merging_ratio: 0.5 }],
  ["deepcache_interval=3, skip_late_cond=0.5", { deepcache_interval: 3, skip_late_cond: 0.5 }]
]

const colours = ["red", "green", "blue", "yellow", "pink", "white"]
const shapes = ["circle", "square", "triangle", "star"]
const prompts = colours.flatMap((colour) => shapes.map((shape) => `a ${colour} ${shape} on a black background`))

const runtime = ManagedRuntime.make(Serena.layer({ options: { samples_save: false } }))

const made = async (prompt: string, seed: number, override_settings: OptionsPatch) => {
  const begun = performance.now()
  const { images: [image] } = await runtime.runPromise(
    processImages(Txt2Img.make({ prompt, seed, steps: 20, cfg_scale: 5, override_settings }))
  )
  if (image === undefined) throw new Error("the run made no image")
  return { time: performance.now() - begun, pixels: image.pixels }
}

const meanDifference = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length

const psnr = (a: Uint8Array, b: Uint8Array) => {
  const square = a.reduce((sum, value, i) => sum + (value - (b[i] ?? NaN)) ** 2, 0) / a.length
  // Of images that are equal, more than any that differ by a level somewhere have.
  return square === 0 ? 99 : 10 * Math.log10(255 ** 2 / square)
}

const found = choices.map(([name]) => ({
  name,
  times: Array<number>(),
  plain: Array<number>(),
  differences: Array<number>(),
  psnrs: Array<number>()
}))

for (const [, settings] of choices) await made("a red circle", 1, settings)
for (let round = 0; round < Number(given.rounds); round++) {
  for (const [i, prompt] of prompts.entries()) {
    const seed = round * prompts.length + i
    for (const [place, [, settings]] of choices.entries()) {
      const plain = await made(prompt, seed, {})
      const chosen = await made(prompt, seed, settings)
      const figures = found[place]
      figures?.times.push(chosen.time)
      figures?.plain.push(plain.time)
      figures?.differences.push(meanDifference(plain.pixels, chosen.pixels))
      figures?.psnrs.push(psnr(plain.pixels, chosen.pixels))
    }
  }
}
await runtime.dispose()

const report = begin("choices", "npm run bench:choices", given)
for (const { differences, name, plain, psnrs, times } of found) {
  report.add(
    compared(name, "ms", times, "without", plain, {
      change: {
        difference: differences.reduce((a, b) => a + b, 0) / differences.length,
        psnr: median(psnrs),
        worst: Math.min(...psnrs)
      }
    })
  )
}
report.end()
