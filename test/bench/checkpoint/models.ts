/**
 * Opening, switching and giving back whole checkpoints, in a process of its own, which prints JSON.
 *
 *     models.ts FILE...
 *
 * Each file is opened as a model with all of its networks, in turn, one at a time: `time` in milliseconds until they
 * are open, `held` the private memory in MiB that they take, `released` what is left of it once the model is given
 * back. The first file is opened twice, so that its second time is that of a switch.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as WorkThreads from "../../../src/core/WorkThreads.ts"
import * as Checkpoint from "../../../src/models/Checkpoint.ts"
import { FileHashes } from "../../../src/models/checkpoint/hashes.ts"
import * as CheckpointModel from "../../../src/models/CheckpointModel.ts"
import { Networks } from "../../../src/models/Networks.ts"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"
import { mebibytes } from "./status.ts"

export interface Whole {
  readonly time: number
  readonly held: number
  readonly released: number
}

const files = process.argv.slice(2)

const openWhole = Effect.fnUntraced(function*(file: string) {
  const checkpoint = yield* Checkpoint.read(file)
  if (checkpoint === undefined) return yield* Effect.die(new Error(`${file} is no checkpoint`))
  const model = yield* CheckpointModel.make(checkpoint)
  yield* model.warm
})

const measured = Effect.fnUntraced(function*(file: string) {
  const [begun, before] = [performance.now(), mebibytes("RssAnon")]
  const opened = yield* Effect.scoped(Effect.map(
    openWhole(file),
    () => ({ time: performance.now() - begun, held: mebibytes("RssAnon") - before })
  ))
  const result: Whole = { ...opened, released: mebibytes("RssAnon") - before }
  return result
})

const program = Effect.forEach([...files, ...files.slice(0, 1)], measured).pipe(
  Effect.flatMap((found) => Effect.sync(() => process.stdout.write(JSON.stringify(found)))),
  Effect.provide(
    Layer.mergeAll(
      Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads: 2 }))),
      FileHashes.layer(undefined).pipe(Layer.provide(WorkThreads.layer))
    ).pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
  )
)

await Effect.runPromise(program)
