/**
 * A network's graph with its wide layers in int8, and their weights as integers: computed once by onnxruntime, kept in
 * the data folder, and mapped from there. Where there is no data folder, or nothing can be written to it, they are in
 * the graph itself.
 */
import { realpathSync } from "node:fs"
import { dirname, join, parse, resolve } from "node:path"
import { InferenceSession } from "onnxruntime-node"
import { int8FolderOf, int8Name, isKept, keep, stampOf } from "./int8Files.ts"
import { type Int8Layer, type Int8Weight, plan, type WeightType } from "./onnx/int8.ts"
import * as Onnx from "./onnx/Onnx.ts"
import { sizeOf } from "./onnx/shapes.ts"

/** A graph to compute in int8. */
export interface Int8Source {
  /** The network's file, or that of its weights. */
  readonly file: string
  readonly bytes: Uint8Array
  /** Whether its weights are at paths from the root of the file system, as those of built graphs. */
  readonly isBuilt: boolean
  /** The folder of integer weights; undefined where none are kept. */
  readonly cache: string | undefined
  /** Threads for computing weights; 0 lets onnxruntime decide. */
  readonly threads: number
}

/**
 * The bytes of the graph in int8. Weights in other files are at paths from the root of the file system. Throws where it
 * has no layer that is computed in int8.
 */
export const int8Graph = async (source: Int8Source): Promise<Uint8Array<ArrayBuffer>> => {
  const { bytes, file, isBuilt } = source
  const read = Onnx.read(bytes)
  const model = isBuilt ? read : rooted(read, file)
  const { applied, layers } = plan(model)
  if (layers.length === 0) {
    throw new Error("none of its layers can be computed in int8; set unet_precision to Automatic")
  }
  const type = await weightType()
  const weights = new Map<Int8Layer, Int8Weight>()
  for (const layer of layers) weights.set(layer, await weightOf(layer, type, source))
  return Onnx.write(applied(bytes, (layer) => weights.get(layer) ?? outlineOf(layer, type)))
}

/** What is known of the graph in int8 before its weights are: the sizes of all values. */
export const int8Outline = (bytes: Uint8Array): Onnx.Model =>
  plan(Onnx.read(bytes)).applied(bytes, (layer) => outlineOf(layer, "int8"))

const outlineOf = ({ columns, rows }: Int8Layer, type: WeightType): Int8Weight => ({
  weight: { type, dims: [rows, columns] },
  scales: { type: "float32", dims: [columns] }
})

const rootOf = (file: string): string => parse(resolve(file)).root

// A graph whose weights lie next to its file, with their paths from the root instead. Links are followed:
// onnxruntime refuses those that leave their folder, as those in the caches of hubs do.
const rooted = (model: Onnx.Model, file: string): Onnx.Model => {
  const initializers = model.graph.initializers.map((tensor) => {
    const { data } = tensor
    if (data === undefined || data instanceof Uint8Array) return tensor
    const location = realpathSync(resolve(dirname(file), data.location)).slice(rootOf(file).length)
    const length = data.length === 0 ? sizeOf({ ...tensor, numbers: undefined }) : data.length
    return { ...tensor, data: { ...data, location, length } }
  })
  return { ...model, graph: { ...model.graph, initializers } }
}

const weightOf = async (
  layer: Int8Layer,
  type: WeightType,
  { cache, file, threads }: Int8Source
): Promise<Int8Weight> => {
  const root = rootOf(file)
  const graph = layer.weightGraph(type)
  const { scales, weight } = outlineOf(layer, type)
  const [integers, floats] = [layer.rows * layer.columns, layer.columns * 4]
  const kept = cache === undefined || rootOf(cache) !== root ? undefined : {
    folder: int8FolderOf(cache, file),
    name: int8Name(Onnx.write(withoutNumbers(graph, layer)), stampsOf(layer, file))
  }
  const fromFile = (path: string): Int8Weight => {
    const location = path.slice(root.length)
    return {
      weight: { ...weight, data: { location, offset: 0, length: integers } },
      scales: { ...scales, data: { location, offset: integers, length: floats } }
    }
  }
  const path = kept && join(kept.folder, kept.name)
  if (path !== undefined && isKept(path, integers + floats)) return fromFile(path)
  const made = await computed(graph, root, threads)
  const numbers = { weight: bytesOf(made["weight"]), scales: bytesOf(made["scales"]) }
  return kept !== undefined && path !== undefined && keep(kept.folder, kept.name, [numbers.weight, numbers.scales]) ?
    fromFile(path) :
    {
      weight: { ...weight, data: numbers.weight },
      scales: { ...scales, data: numbers.scales }
    }
}

/** Bytes of numbers in a graph that stand for themselves; for more, their names and the file do. */
const mostNumbers = 1024

const isLarge = ({ data }: Onnx.Tensor): boolean =>
  data === undefined || data instanceof Uint8Array && data.length > mostNumbers

const withoutNumbers = (model: Onnx.Model, { sources }: Int8Layer): Onnx.Model => ({
  ...model,
  producer: sources.filter(isLarge).map(({ name }) => name).join("\n"),
  graph: {
    ...model.graph,
    initializers: model.graph.initializers.map((tensor) =>
      isLarge(tensor) ? { name: tensor.name, type: tensor.type, dims: tensor.dims } : tensor
    )
  }
})

const stampsOf = ({ sources }: Int8Layer, file: string): ReadonlyArray<string> => {
  const files = sources.flatMap((tensor) => {
    const { data } = tensor
    if (data !== undefined && !(data instanceof Uint8Array)) return [join(rootOf(file), data.location)]
    return isLarge(tensor) ? [resolve(file)] : []
  })
  return [...new Set(files)].toSorted().map(stampOf)
}

const options = {
  executionProviders: ["cpu"],
  interOpNumThreads: 1,
  enableMemPattern: false,
  enableCpuMemArena: false,
  graphOptimizationLevel: "disabled",
  logSeverityLevel: 4
} as const

// What a graph without inputs makes, by the names of its outputs.
const computed = async (graph: Onnx.Model, root: string, threads: number) => {
  const session = await InferenceSession.create(Onnx.write(graph), {
    ...options,
    ...(threads > 0 && { intraOpNumThreads: threads }),
    extra: { session: { model_external_initializers_file_folder_path: root } }
  })
  try {
    return await session.run({})
  } finally {
    await session.release()
  }
}

const bytesOf = (tensor: InferenceSession.OnnxValueMapType[string] | undefined): Uint8Array => {
  const data = tensor?.data
  if (!ArrayBuffer.isView(data)) throw new Error("a weight could not be computed")
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

let known: Promise<WeightType> | undefined

/**
 * The integers that weights are on this machine. Some processors add up products of uint8 and int8 in 16 bits, which
 * overflow (x64 without VNNI); onnxruntime multiplies uint8 by uint8 exactly on all of them, more slowly on some.
 */
const weightType = (): Promise<WeightType> =>
  known ??= isExact().then((isExact): WeightType => isExact ? "int8" : "uint8", (): WeightType => "uint8")

const isExact = async (): Promise<boolean> => {
  const side = 64
  const filled = (value: number) => new Uint8Array(side * side).fill(value)
  const made = await computed(
    {
      irVersion: 8,
      opsets: { "": 13 },
      graph: {
        nodes: [{ op: "MatMulInteger", inputs: ["a", "b"], outputs: ["y"] }],
        initializers: [
          { name: "a", type: "uint8", dims: [side, side], data: filled(255) },
          { name: "b", type: "int8", dims: [side, side], data: filled(127) }
        ],
        inputs: [],
        outputs: [{ name: "y", type: "int32", dims: [side, side] }]
      }
    },
    "/",
    1
  )
  const sums = made["y"]?.data
  return sums instanceof Int32Array && sums.every((sum) => sum === side * 255 * 127)
}
