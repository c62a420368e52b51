/**
 * `npm run bench:arithmetic`: work on pixels and numbers outside the networks, each with what does the same. Both take
 * turns; the times are those of the processor, in all threads, so that other work on the machine counts less.
 *
 *     npm run bench:arithmetic -- [--rounds 5] [--json] [--keep]
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import sharp from "sharp"
import { fromFloat16, readFloat16, toFloat16, writeFloat16 } from "../../src/core/float16.ts"
import type { Raster } from "../../src/core/Raster.ts"
import * as Png from "../../src/images/Png.ts"
import * as RandomGenerator from "../../src/rng/RandomGenerator.ts"
import * as Brownian from "../../src/sampling/Brownian.ts"
import * as plain from "../images/plain.ts"
import { blur, correct, resize } from "../images/whole.ts"
import * as plainNoise from "../rng/plain.ts"
import { begin, compared, figure, reportFlags } from "./report.ts"

type Side = () => unknown
const { values: given } = parseArgs({ options: { ...reportFlags, rounds: { type: "string", default: "5" } } })
const rounds = Number(given.rounds)

sharp.concurrency(1)
sharp.cache(false)

const report = begin("arithmetic", "npm run bench:arithmetic", given)

/** `peer` is what another library takes, in milliseconds: twice that is the target. */
const row = async (name: string, ours: Side, against: string, theirs: Side, peer?: number) => {
  const times = { ours: Array<number>(), theirs: Array<number>() }
  for (let round = 0; round <= rounds; round++) {
    for (const [side, work] of [["ours", ours], ["theirs", theirs]] as const) {
      const begun = process.cpuUsage()
      await work()
      const { system, user } = process.cpuUsage(begun)
      // The first round warms up.
      if (round > 0) times[side].push((system + user) / 1000)
    }
  }
  report.add(compared(name, "ms", times.ours, against, times.theirs, against === "sharp" ? { target: 2 } : {}))
  if (peer !== undefined) report.add(figure(name, "ms", times.ours, { target: 2 * peer }))
}

// Of OpenCV and torch, measured on two cores.
const [openCv, torch] = [31, 4.2]

// Waves with grain.
const picture = (side: number): Raster => ({
  width: side,
  height: side,
  channels: 3,
  data: Uint8Array.from({ length: side * side * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)]
    return 128 + 90 * Math.sin(x / 97 + i % 3) * Math.cos(y / 131) + (Math.imul(Math.imul(i, i), 2654435761) >>> 29)
  })
})

for (const [side, peer] of [[256, undefined], [1024, openCv]] as const) {
  const original = picture(side)
  const darker = { ...original, data: original.data.map((value) => value * 0.8 + 20) }
  await row(
    `colour correction, ${side} x ${side}`,
    () => correct(original, darker),
    "the formulas, pixel by pixel",
    () => plain.correct(original, darker),
    peer
  )
}

const mask: Raster = {
  width: 2048,
  height: 2048,
  channels: 1,
  data: Uint8Array.from({ length: 2048 ** 2 }, (_, i) => Math.hypot(i % 2048 - 900, i / 2048 - 1000) < 500 ? 255 : 0)
}
const bySharp = ({ channels, data, height, width }: Raster) => sharp(data, { raw: { width, height, channels } })
await row(
  "blur of a mask, sigma 4, 2048 x 2048",
  () => blur(mask, 4, 4),
  "sharp",
  () => bySharp(mask).blur(4).raw().toBuffer()
)

const [small, large] = [picture(1024), picture(2048)]
await row(
  "Lanczos, 2048 to 1024",
  () => resize(large, 1024, 1024, "lanczos"),
  "sharp",
  () => bySharp(large).resize(1024, 1024, { kernel: "lanczos3" }).raw().toBuffer()
)

await row(
  "PNG of a photograph, 1024 x 1024",
  () => Effect.runPromise(Png.encoding(small)),
  "sharp",
  () => bySharp(small).png().toBuffer()
)
const megabytes = ({ length }: Uint8Array) => [length / 1e6]
report.add(
  figure("size of that PNG file", "MB", megabytes(await Effect.runPromise(Png.encoding(small)))),
  figure("size of sharp's", "MB", megabytes(await bySharp(small).png().toBuffer()))
)

const numbers = Float32Array.from({ length: 2 ** 20 }, (_, i) => Math.sin(i) * 4)
const halves = Uint16Array.from(numbers, toFloat16)
await row("2^20 numbers to half precision", () => writeFloat16(halves, numbers), "one by one", () => {
  for (let i = 0; i < halves.length; i++) halves[i] = toFloat16(numbers[i] ?? NaN)
})
await row("2^20 numbers from half precision", () => readFloat16(numbers, halves), "one by one", () => {
  for (let i = 0; i < halves.length; i++) numbers[i] = fromFloat16(halves[i] ?? NaN)
})

const drawn = new Float32Array(2 ** 20)
const [draw, drawPlainly] = [RandomGenerator.torchCpu(2).randn, plainNoise.torch(2)]
await row("2^20 numbers as torch draws them", () => draw(drawn), "one by one", () => drawPlainly(drawn), torch)

const noise = new Float32Array(4 * 64 * 64)
const path = Brownian.make({ seeds: [1], size: noise.length })
const { randn } = RandomGenerator.torchCpu(1)
let sigma = 14
await row(
  "Brownian noise of a step, 64 x 64",
  () => path(noise, sigma, sigma *= 0.99),
  "17 draws of torch's generator",
  () => {
    for (let draw = 0; draw < 17; draw++) randn(noise)
  }
)
report.end()
