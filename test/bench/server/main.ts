/**
 * `npm run bench:server`: what the server costs beside the library and beside other servers, and how it fares in a
 * crowd. Both sides of a ratio are measured in this run, in turn.
 *
 *     npm run bench:server -- [--against CHECKOUT] [--json] [--keep]
 *
 * With the folder of another checkout, the images per second of its server and of this one are compared as well.
 */
import { parseArgs } from "node:util"
import { begin, compared, figure, reportFlags } from "../report.ts"
import { crowd, type CrowdOptions } from "./crowd.ts"
import { roundTrip } from "./roundTrip.ts"
import { besideCheckout, besideLoad, type Load } from "./throughput.ts"
import { trivial } from "./trivial.ts"

const { values: given } = parseArgs({ options: { ...reportFlags, against: { type: "string" } } })
const report = begin("server", "npm run bench:server", given)

const { direct, http } = await roundTrip()
report.add(
  compared(
    "an image of 128 x 128 in 4 steps over HTTP",
    "ms",
    http,
    "by the library in another process",
    direct
  )
)

const load: Load = { clients: 16, size: 128, steps: 4 }
const nameOf = ({ clients, size, steps }: Load) => `images of ${size} x ${size} in ${steps} steps, ${clients} clients`
const alone = await besideLoad(load, { ...load, clients: 1 })
report.add(compared(nameOf(load), "/s", alone.own, "one client", alone.baseline, { isRate: true }))
if (given.against !== undefined) {
  const { baseline, own } = await besideCheckout(load, given.against)
  report.add(
    compared(nameOf(load), "/s", own, "one run after the other (an older version)", baseline, {
      isRate: true,
      target: 1.35
    })
  )
}
for (const [size, steps] of [[64, 20], [128, 20], [256, 8]] as const) {
  const apart: Load = { clients: 16, size, steps }
  const { baseline, own } = await besideLoad({ ...apart, runsPerCall: 8 }, apart)
  report.add(
    compared(`${nameOf(apart)}, \`runs_per_call=8\``, "/s", own, "the same without", baseline, { isRate: true })
  )
}

for (const { path, rates } of await trivial()) {
  const of = (side: keyof typeof rates, figure: "perSecond" | "cost") => rates[side].map((rate) => rate[figure])
  const cost = `\`GET ${path}\`: processor time of a request`
  for (const side of ["fastify", "node:http"] as const) {
    const name = side === "fastify" ? "Fastify" : side
    report.add(
      compared(`\`GET ${path}\`, 32 connections`, "/s", of("serena", "perSecond"), name, of(side, "perSecond"), {
        isRate: true
      })
    )
  }
  report.add(
    compared(cost, "us", of("serena", "cost"), "Effect's bare router", of("effect", "cost"), { target: 1 })
  )
}

const inCrowd = async (queue: string, options: CrowdOptions) => {
  const { after, answered, before, overtaken, refused, wrong } = await crowd(options)
  const name = `${options.clients} clients for ${options.seconds} s, ${queue}`
  report.add(
    figure(`${name}: images`, "", [answered]),
    figure(`${name}: refused (429)`, "", [refused]),
    figure(`${name}: lost or wrong`, "", [wrong.length], { target: 0 }),
    figure(`${name}: earlier requests that still waited at an answer, at most`, "", [overtaken], { target: 1 }),
    // A slow machine has not made so many.
    ...(Number.isNaN(before)
      ? []
      : [compared(`${name}: memory at the end`, "MB", [after], `after ${options.settled} images`, [before])])
  )
}
await inCrowd("room for all", { clients: 200, seconds: 60, queue: 256, settled: 500 })
await inCrowd("the default queue", { clients: 200, seconds: 30, settled: 500 })
report.end()
