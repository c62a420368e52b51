/**
 * Serena's side of `npm run bench:peers`, in a process of its own: it opens a checkpoint, and for each message makes
 * the steps of an image as runs make them, with Euler and CFG 7. It answers with the seconds that a step took.
 *
 *     serenaSide.ts float32|int8 FILE FOLDER SIZE STEPS THREADS
 *
 * Integer weights are kept in FOLDER.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { latentLength } from "../../../src/core/LatentShape.ts"
import * as WorkThreads from "../../../src/core/WorkThreads.ts"
import * as GuidedDenoiser from "../../../src/diffusion/GuidedDenoiser.ts"
import type { ScheduledConditioning } from "../../../src/model/Conditioner.ts"
import * as Checkpoint from "../../../src/models/Checkpoint.ts"
import { FileHashes } from "../../../src/models/checkpoint/hashes.ts"
import * as CheckpointModel from "../../../src/models/CheckpointModel.ts"
import { Networks } from "../../../src/models/Networks.ts"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"
import * as Prompt from "../../../src/prompt/Prompt.ts"
import * as Samplers from "../../../src/sampling/Samplers.ts"

const [, , precision = "", file = "", folder = "", ...sizes] = process.argv
const [size = NaN, steps = NaN, threads = NaN] = sizes.map(Number)
const side = size / 8

const waves = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 0.37))

const conditioning = Effect.gen(function*() {
  const [part] = Prompt.parse("", { steps }).parts
  if (part === undefined) return yield* Effect.die(new Error("a prompt has a part"))
  const text: ScheduledConditioning = {
    ...part,
    texts: [{ encoder_hidden_states: { dims: [77, 768], values: waves(77 * 768) } }]
  }
  return { parts: [text], negative: text }
})

const opened = Effect.gen(function*() {
  const checkpoint = yield* Checkpoint.read(file)
  if (checkpoint === undefined) return yield* Effect.die(new Error(`${file} is no checkpoint`))
  const model = yield* CheckpointModel.make(checkpoint, { int8: precision === "int8" })
  const sampler = Option.getOrThrow(Samplers.get("Euler"))
  const plan = Samplers.plan({ sampler, steps, process: model.noise })
  const shape = { channels: 4, frames: 1, height: side, width: side }
  const { denoiser } = yield* GuidedDenoiser.make({
    model,
    shape,
    process: model.noise,
    sampler,
    batch: 1,
    conditioning: yield* conditioning,
    cfgScale: 7,
    calls: steps,
    gate: Effect.void
  })
  const x = waves(latentLength(shape)).map((value) => plan.start.noise * value)
  return Samplers.sample({ ...plan, x, denoiser })
})

const runtime = ManagedRuntime.make(
  Layer.merge(
    Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads, dataDir: folder }))),
    FileHashes.layer(undefined).pipe(Layer.provide(WorkThreads.layer))
  ).pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
)
const sample = await runtime.runPromise(Scope.provide(Scope.makeUnsafe())(opened))

process.on("disconnect", () => process.exit())
process.on("message", () => {
  const begun = performance.now()
  void runtime.runPromise(sample).then(() => process.send?.((performance.now() - begun) / 1000 / steps))
})
process.send?.("open")
