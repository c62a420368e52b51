/**
 * Opening, switching and giving back whole checkpoints, in a process of its own, which prints JSON.
 *
 *     models.ts FILE...
 *
 * Each file is opened as a model with all of its networks, in turn, one at a time: `time` in milliseconds until they
 * are open, and `held` the private memory in MiB that they take. The first file is opened twice, so that its second
 * time is that of a switch. Then it is opened and given back ten times more. `added` is the private memory in MiB that
 * each of the last five times leaves: the first ones fill heaps, which stay for the next model.
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

/** What one opening took. */
export interface Whole {
  readonly time: number
  readonly held: number
}

/** What is printed. */
export interface Wholes {
  readonly opened: ReadonlyArray<Whole>
  readonly added: number
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
  return yield* Effect.scoped(Effect.map(
    openWhole(file),
    (): Whole => ({ time: performance.now() - begun, held: mebibytes("RssAnon") - before })
  ))
})

const repeatedly = Effect.fnUntraced(function*(file: string) {
  const left: Array<number> = []
  for (let time = 0; time < 10; time++) {
    yield* Effect.scoped(openWhole(file))
    globalThis.gc?.()
    left.push(mebibytes("RssAnon"))
  }
  return ((left[9] ?? NaN) - (left[4] ?? NaN)) / 5
})

const [first = ""] = files

const program = Effect.gen(function*() {
  const opened = yield* Effect.forEach([...files, first], measured)
  const found: Wholes = { opened, added: yield* repeatedly(first) }
  process.stdout.write(JSON.stringify(found))
}).pipe(
  Effect.provide(
    Layer.mergeAll(
      Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads: 2 }))),
      FileHashes.layer(undefined).pipe(Layer.provide(WorkThreads.layer))
    ).pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
  )
)

await Effect.runPromise(program)
