/**
 * One side of `npm run bench:checkpoint`, in a process of its own: it opens the UNet of a checkpoint, says what that
 * took, and then runs one step with two rows for each message.
 *
 *     side.ts serena|apart|shallow|merged|loras|kept|int8|bare|optimised FILE SIDE
 *
 * `serena` opens and runs it as runs do, `apart` one row after the other, `shallow` with the deep layers of an earlier
 * step, `merged` with half of the tokens merged, `loras` with three LoRAs of rank 16 over all projections of its
 * attention, `kept` from what `serena models optimize` keeps of it, `int8` with its wide layers in that; `bare` gives
 * the same graph to onnxruntime and does nothing else; `optimised` runs the model that onnxruntime saves of it with all
 * optimisations, which is the fastest form known and as large as the weights in float32. SIDE is that of the latents.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Record from "effect/Record"
import * as Scope from "effect/Scope"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { InferenceSession, Tensor } from "onnxruntime-node"
import * as AdapterFile from "../../../src/models/adapters/AdapterFile.ts"
import { fitted, strengthOf } from "../../../src/models/adapters/fitted.ts"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import { Networks } from "../../../src/models/Networks.ts"
import { unetLayers } from "../../../src/models/networks/layerNames.ts"
import { unet } from "../../../src/models/networks/unet.ts"
import { unetShape } from "../../../src/models/networks/unetShape.ts"
import { workingMemory } from "../../../src/models/onnx/workingMemory.ts"
import { saveOptimised } from "../../../src/models/optimise.ts"
import { cacheIn } from "../../../src/models/optimisedFiles.ts"
import * as TensorBuffer from "../../../src/models/TensorBuffer.ts"
import { CommandOptions } from "../../../src/processing/CommandOptions.ts"
import { writeLoras } from "./loras.ts"
import { mebibytes } from "./status.ts"

/** What a side says once it is open; sizes in MiB, times in milliseconds. */
export interface Opened {
  readonly time: number
  readonly held: number
  /** Values that are in use at once during a step, as the graph has them. */
  readonly activations: number
}

/** What a side is asked: a step, or one whose memory is watched, which takes some of the cores. */
export type Asked = "step" | "watched step"

/** What a side says of a step: its time, that of all processors, and the most memory held, where that was watched. */
export interface Stepped {
  readonly time: number
  readonly processors: number
  readonly peak: number
}

const threads = 2
const [, , kind = "", file = "", sideText = "64"] = process.argv
const side = Number(sideText)

const folder = realpathSync(mkdtempSync(join(tmpdir(), "serena-bench-")))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
// However the bench ends, the side ends with it.
process.on("disconnect", () => process.exit())

const loras = 3

const withLoras = Effect.fnUntraced(function*(weights: Weights) {
  const layers = unetLayers(weights)
  const files = writeLoras(layers, folder, loras)
  const adapters = yield* Effect.forEach(
    files,
    (name) => Effect.map(AdapterFile.open(name), (opened) => ({ name, opened, ranks: undefined }))
  )
  return weights.changed(fitted(adapters, new Map([["unet", layers]])).changes.get("unet") ?? new Map())
})

const graphOf = Effect.gen(function*() {
  const own = Weights.of(yield* openSafetensors(file), "model.diffusion_model.")
  const weights = kind === "loras" ? yield* withLoras(own) : own
  const { adm, context, inputs: channels } = unetShape(weights)
  const graph = unet(weights)
  const dims: Readonly<Record<string, ReadonlyArray<number>>> = {
    sample: [2, channels, side, side],
    timestep: [1],
    encoder_hidden_states: [2, 77, context],
    ...(adm > 0 && { y: [2, adm] }),
    ...(kind === "loras" && Object.fromEntries(Array.from({ length: loras }, (_, i) => [strengthOf(i), []])))
  }
  return { dims, graph }
})

const fill = (values: Float32Array, name: string) =>
  values.set(values.map((_, i) => name === "timestep" ? 500 : Math.sin(i * 0.37)))

// The same options as the network thread's.
const bareOptions = {
  executionProviders: ["cpu"],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  enableMemPattern: false,
  logSeverityLevel: 4
} as const

const inRoot = { model_external_initializers_file_folder_path: "/" }

const bare = Effect.gen(function*() {
  const { dims, graph } = yield* graphOf
  return {
    dims,
    graph,
    session: yield* Effect.promise(() =>
      InferenceSession.create(graph.file().bytes, {
        ...bareOptions,
        graphOptimizationLevel: "disabled",
        extra: { session: inRoot }
      })
    )
  }
})

const optimised = Effect.gen(function*() {
  const { dims, graph } = yield* graphOf
  const saved = join(folder, "model.onnx")
  yield* Effect.promise(async () => {
    const session = await InferenceSession.create(graph.file().bytes, {
      ...bareOptions,
      graphOptimizationLevel: "all",
      optimizedModelFilePath: saved,
      extra: {
        session: {
          ...inRoot,
          save_external_prepacked_constant_initializers: "1",
          optimized_model_external_initializers_file_name: "model.data",
          optimized_model_external_initializers_min_size_in_bytes: "1024"
        }
      }
    })
    await session.release()
  })
  return {
    dims,
    graph,
    session: yield* Effect.promise(() =>
      InferenceSession.create(saved, { ...bareOptions, graphOptimizationLevel: "disabled" })
    )
  }
})

type Dims = Readonly<Record<string, ReadonlyArray<number>>>

const runOf = (session: InferenceSession, dims: Dims) => {
  const feeds = Object.fromEntries(
    Object.entries(dims).map(([name, dims]) => {
      const values = new Float32Array(dims.reduce((a, b) => a * b, 1))
      fill(values, name)
      return [name, new Tensor("float32", values, dims)]
    })
  )
  const output = { out_sample: new Tensor("float32", new Float32Array(2 * 4 * side * side), [2, 4, side, side]) }
  return Effect.promise(() => session.run(feeds, output))
}

const serena = Effect.gen(function*() {
  const { dims, graph } = yield* graphOf
  const built = { file, graph: graph.file() }
  if (kind === "kept") yield* saveOptimised(cacheIn(folder), built)
  const network = yield* (yield* Networks).open(built, { int8: kind === "int8" })
  const inputs = Object.fromEntries(
    Object.entries(dims).map(([name, dims]) => [name, TensorBuffer.make("float32", dims)])
  )
  for (const [name, { values }] of Object.entries(inputs)) fill(values, name)
  const outputs = { out_sample: TensorBuffer.make("float32", [2, 4, side, side]) }
  if (kind === "apart") {
    const rows = yield* Effect.forEach([0, 1], (row) => {
      const ofRow = (buffer: TensorBuffer.TensorBuffer) =>
        buffer.tensor.dims[0] === 2 ? TensorBuffer.rows(buffer, row, row + 1) : buffer
      return TensorBuffer.bind(network, { inputs: Record.map(inputs, ofRow), outputs: Record.map(outputs, ofRow) })
    })
    return { dims, graph, run: Effect.forEach(rows, ({ run }) => run, { discard: true }) }
  }
  const keepsDeep = kind === "shallow"
  const tokenMerging = kind === "merged" ? 0.5 : undefined
  const { run, runShallow } = yield* TensorBuffer.bind(network, { inputs, outputs, keepsDeep, tokenMerging })
  if (keepsDeep) yield* run
  return { dims, graph, run: keepsDeep ? runShallow : run }
})

const runtime = ManagedRuntime.make(Layer.merge(
  Networks.layer.pipe(Layer.provide(CommandOptions.layer({ threads, dataDir: folder }))),
  Layer.merge(NodeFileSystem.layer, NodePath.layer)
))
const scope = Scope.makeUnsafe()

const before = { time: performance.now(), held: mebibytes("RssAnon") }
const opened = await runtime.runPromise(
  Scope.provide(scope)(
    kind !== "bare" && kind !== "optimised" ?
      serena :
      Effect.map(kind === "bare" ? bare : optimised, ({ dims, graph, session }) => ({
        dims,
        graph,
        run: runOf(session, dims)
      }))
  )
)
const said: Opened = {
  time: performance.now() - before.time,
  held: mebibytes("RssAnon") - before.held,
  activations: (workingMemory(opened.graph.model(), opened.dims) ?? NaN) / 2 ** 20
}

process.on("message", (asked: Asked) => {
  const [begun, processors] = [performance.now(), process.cpuUsage()]
  let peak = mebibytes("RssAnon")
  const look = () => {
    peak = Math.max(peak, mebibytes("RssAnon"))
  }
  const watch = asked === "watched step" ? setInterval(look, 10) : undefined
  void runtime.runPromise(opened.run).then(() => {
    clearInterval(watch)
    const { system, user } = process.cpuUsage(processors)
    const stepped: Stepped = {
      time: performance.now() - begun,
      processors: (system + user) / 1000,
      peak: peak - before.held
    }
    process.send?.(stepped)
  })
})
process.send?.(said)
