/**
 * What it takes to open the UNet of a full-size checkpoint and to run one step at 512 x 512 with two rows.
 *
 *     node test/bench/checkpoint/step.ts /tmp/sd15.safetensors
 *
 * Memory is what the process has of its own (RssAnon): mapped weights are the system's, which drops them when it needs
 * the pages. Linux only.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { readFileSync } from "node:fs"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { Networks } from "../../../src/models/Networks.ts"
import { unet } from "../../../src/models/networks/unet.ts"
import { unetShape } from "../../../src/models/networks/unetShape.ts"
import { workingMemory } from "../../../src/models/onnx/workingMemory.ts"
import * as TensorBuffer from "../../../src/models/TensorBuffer.ts"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"

const print = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

/** Megabytes of a row of `/proc/self/status`. */
const megabytes = (row: "RssAnon" | "RssFile"): number =>
  Number(new RegExp(`${row}:\\s*(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

const timed = Effect.fnUntraced(function*<A, E, R>(what: string, work: Effect.Effect<A, E, R>) {
  const [begun, processor] = [performance.now(), process.cpuUsage()]
  const result = yield* work
  const { system, user } = process.cpuUsage(processor)
  yield* print(
    `${what.padEnd(28)} ${(performance.now() - begun).toFixed(0).padStart(7)} ms, ` +
      `${((system + user) / 1e6).toFixed(2).padStart(6)} s of processors; ` +
      `RssAnon ${megabytes("RssAnon").toFixed(0)} MB, mapped ${megabytes("RssFile").toFixed(0)} MB`
  )
  return result
})

const program = Effect.fnUntraced(function*(file: string) {
  yield* print(`before${" ".repeat(48)}RssAnon ${megabytes("RssAnon").toFixed(0)} MB`)
  const source = yield* timed("read the header", openSafetensors(file))
  const graph = yield* timed(
    "build the graph",
    Effect.sync(() => unet(Weights.of(source, "model.diffusion_model.")))
  )
  const { adm, context, inputs: channels } = unetShape(Weights.of(source, "model.diffusion_model."))
  const dims: Readonly<Record<string, ReadonlyArray<number>>> = {
    sample: [2, channels, 64, 64],
    timestep: [1],
    encoder_hidden_states: [2, 77, context],
    ...(adm > 0 && { y: [2, adm] })
  }
  const bytes = graph.file()
  yield* print(`the graph: ${graph.model().graph.nodes.length} nodes, ${(bytes.bytes.length / 1024).toFixed(0)} kB`)
  yield* print(`estimate: ${((workingMemory(graph.model(), dims) ?? NaN) / 2 ** 20).toFixed(0)} MB of values at most`)
  const network = yield* timed("open it", (yield* Networks).open({ file, graph: bytes }))
  const inputs = Object.fromEntries(
    Object.entries(dims).map(([name, dims]) => [name, TensorBuffer.make("float32", dims)])
  )
  for (const { values } of Object.values(inputs)) values.set(values.map((_, i) => Math.sin(i * 0.37)))
  inputs["timestep"]?.values.fill(500)
  const output = TensorBuffer.make("float32", [2, 4, 64, 64])
  const run = yield* TensorBuffer.bind(network, { inputs, outputs: { out_sample: output } })
  let peak = 0
  const watching = Effect.sync(() => {
    peak = Math.max(peak, megabytes("RssAnon"))
  }).pipe(Effect.repeat(Schedule.spaced("5 millis")))
  for (const step of [1, 2]) {
    yield* timed(`step ${step}, 512 x 512, 2 rows`, Effect.raceFirst(run, watching))
    yield* print(`peak of RssAnon: ${peak.toFixed(0)} MB`)
  }
  yield* print(`largest number: ${output.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)}`)
})

const [, , file] = process.argv
if (file === undefined) throw new Error("name the file of a checkpoint")
await Effect.runPromise(
  Effect.scoped(program(file)).pipe(
    Effect.provide(Layer.merge(
      Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads: 2 }))),
      NodeFileSystem.layer
    ))
  )
)
