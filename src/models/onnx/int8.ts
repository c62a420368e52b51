/**
 * Computes the wide layers of a denoising network in int8: the same graph with other nodes in place of its linear
 * layers and its 3 x 3 convolutions.
 *
 * Weights have a scale for each output channel. What goes into a layer is quantised while the network runs: in linear
 * layers with a scale for each token, in convolutions for each image of the batch. No scale is shared by images, so an
 * image does not depend on those next to it. Narrow layers stay as they are (the first and the last convolution), and
 * so do 1 x 1 convolutions, what is computed once for an image (time and sizes), norms, and products of attention.
 */
import { GraphWriter } from "./GraphWriter.ts"
import * as Onnx from "./Onnx.ts"
import { count, type Value, valuesOf } from "./shapes.ts"

/** The integers that weights are: int8, or uint8 with 128 for zero. */
export type WeightType = "int8" | "uint8"

/** A layer that is computed in int8. */
export interface Int8Layer {
  readonly node: Onnx.Node
  /** Rows of the weight, which are the numbers that one output is summed up from, and columns: outputs. */
  readonly rows: number
  readonly columns: number
  /** A graph without inputs that makes the weight of integers, `weight` `[rows, columns]`, and `scales` `[columns]`. */
  readonly weightGraph: (type: WeightType) => Onnx.Model
  /** The initializers that the weight is made of. */
  readonly sources: ReadonlyArray<Onnx.Tensor>
}

/** The weight of such a layer, with or without its numbers. */
export interface Int8Weight {
  readonly weight: Onnx.Tensor
  readonly scales: Onnx.Tensor
}

/** Channels that a wide layer has at least. The first and the last convolution have up to 9 on one side. */
const narrowest = 16

/** Rows of a call that the sizes of values are computed for, and the length of every other side. */
const assumed = { batch: 2, side: 64 }

/** The least that SiLU makes of any number, rounded down. */
const leastSilu = 0.2785

const isStandard = ({ domain = "" }: Onnx.Node): boolean => domain === "" || domain === "ai.onnx"

const versionOf = ({ opsets }: Onnx.Model): number => opsets[""] ?? opsets["ai.onnx"] ?? 1

const intOf = ({ attributes = {} }: Onnx.Node, name: string, otherwise: number): number => {
  const value = attributes[name]
  return value !== undefined && "int" in value ? value.int : otherwise
}

const floatOf = ({ attributes = {} }: Onnx.Node, name: string, otherwise: number): number => {
  const value = attributes[name]
  return value !== undefined && "float" in value ? value.float : otherwise
}

const intsOf = ({ attributes = {} }: Onnx.Node, name: string): ReadonlyArray<number> | undefined => {
  const value = attributes[name]
  return value !== undefined && "ints" in value ? value.ints : undefined
}

const stringOf = ({ attributes = {} }: Onnx.Node, name: string, otherwise: string): string => {
  const value = attributes[name]
  return value !== undefined && "string" in value ? value.string : otherwise
}

/** What int8 makes of a graph. */
export interface Int8Plan {
  /** The layers that are computed in it, in their order. */
  readonly layers: ReadonlyArray<Int8Layer>
  /**
   * The graph with these layers in int8. What only their weights needed is left out. `file` is the graph's bytes, in
   * which the names of the new values do not occur.
   */
  readonly applied: (file: Uint8Array, weightOf: (layer: Int8Layer) => Int8Weight) => Onnx.Model
}

/**
 * Finds the layers of a graph that are computed in int8. The graph may lack its weights: their dimensions are enough.
 * Throws for operators older than version 13.
 */
export const plan = (model: Onnx.Model): Int8Plan => {
  const version = versionOf(model)
  if (version < 13) throw new Error(`its operators are of version ${version}; int8 needs version 13 or later`)
  const known = new Known(model.graph)
  const layers = layersOf(model, known)
  return { layers, applied: (file, weightOf) => applied(model, known, file, layers, weightOf) }
}

const layersOf = (model: Onnx.Model, graph: Known): ReadonlyArray<Int8Layer> => {
  const version = versionOf(model)
  return model.graph.nodes.flatMap((node) => {
    const places = graph.placesOf(node)
    const [, weight = ""] = node.inputs
    const dims = graph.values.get(weight)?.dims
    if (places === undefined || dims === undefined) return []
    const { nodes, sources, value } = graph.chain(weight)
    const [rows = 0, columns = 0] = places === "conv"
      ? [count(dims.slice(1)), dims[0]]
      : places === "transposed"
      ? [dims[1], dims[0]]
      : dims
    const weightGraph = (type: WeightType): Onnx.Model => ({
      ...model,
      unknown: undefined,
      graph: quantiser({ places, value, rows, columns, type, nodes, sources, version })
    })
    return [{ node, rows, columns, weightGraph, sources: sources.map(({ tensor }) => tensor) }]
  })
}

/** How a weight's numbers lie: `[rows, columns]`, `[columns, rows]`, or `[columns, channels, 3, 3]`. */
type Places = "plain" | "transposed" | "conv"

interface Source {
  readonly tensor: Onnx.Tensor
  /** Its name among the nodes of a chain. */
  readonly name: string
}

/** The nodes that a value which depends on constants alone is computed by. */
interface Chain {
  readonly nodes: ReadonlyArray<Onnx.Node>
  readonly sources: ReadonlyArray<Source>
  readonly value: string
}

// A graph, with the sizes of its values and what is constant in it.
class Known {
  readonly values: ReadonlyMap<string, Value>
  readonly #makers = new Map<string, Onnx.Node>()
  readonly #constants: ReadonlyMap<string, Onnx.Tensor>
  readonly #fixed: ReadonlySet<string>

  constructor(graph: Onnx.Graph) {
    this.#constants = new Map(graph.initializers.map((tensor) => [tensor.name ?? "", tensor]))
    for (const node of graph.nodes) for (const name of node.outputs) this.#makers.set(name, node)
    const { fixed, values } = valuesOf(graph, assumed)
    this.values = values
    this.#fixed = fixed
  }

  /** How the weight of a node lies that is computed in int8; undefined for any other node. */
  placesOf(node: Onnx.Node): Places | undefined {
    const [x = "", weight = ""] = node.inputs
    const [read, held] = [this.values.get(x), this.values.get(weight)]
    if (!isStandard(node) || !this.#fixed.has(weight) || this.#fixed.has(x)) return undefined
    if (read?.type !== "float32" || held?.type !== "float32") return undefined
    if (node.op === "Conv") return isWideConv(node, held.dims) ? "conv" : undefined
    const isPlain = node.op === "MatMul"
    const isGemm = node.op === "Gemm" && intOf(node, "transA", 0) === 0 && floatOf(node, "alpha", 1) === 1 &&
      floatOf(node, "beta", 1) === 1
    if (!isPlain && !isGemm || held.dims.length !== 2 || Math.min(...held.dims) < narrowest) return undefined
    // What has no more rows than the batch is computed once for an image.
    if (read.dims.length < 2 || count(read.dims.slice(0, -1)) <= assumed.batch) return undefined
    return isGemm && intOf(node, "transB", 0) === 1 ? "transposed" : "plain"
  }

  /** Whether a value is what SiLU makes, maybe continued at its edges. */
  isSilu(name: string): boolean {
    const node = this.#makers.get(name)
    if (node === undefined) return false
    const [a = "", b = ""] = node.inputs
    if (node.op === "QuickGelu") return floatOf(node, "alpha", 1.702) === 1
    if (!isStandard(node)) return false
    if (node.op === "Identity") return this.isSilu(a)
    if (node.op === "Pad") return stringOf(node, "mode", "constant") !== "constant" && this.isSilu(a)
    const isSigmoidOf = (name: string, of: string) => {
      const maker = this.#makers.get(name)
      return maker?.op === "Sigmoid" && maker.inputs[0] === of
    }
    return node.op === "Mul" && (isSigmoidOf(a, b) || isSigmoidOf(b, a))
  }

  /** The same for all values that are one value in another shape of rows. */
  identity(name: string): string {
    const node = this.#makers.get(name)
    return node?.op === "Reshape" ? `reshaped ${node.inputs.join(" ")}` : name
  }

  /** The nodes that make a constant value, and what they read, under names that depend on nothing else. */
  chain(name: string): Chain {
    const names = new Map<string, string>()
    const nodes: Array<Onnx.Node> = []
    const sources: Array<Source> = []
    const named = (name: string) => {
      const known = names.get(name) ?? `value ${names.size}`
      names.set(name, known)
      return known
    }
    const add = (name: string): void => {
      if (name === "" || names.has(name)) return
      const tensor = this.#constants.get(name)
      if (tensor !== undefined) {
        sources.push({ tensor, name: named(name) })
        return
      }
      const node = this.#makers.get(name)
      for (const input of node?.inputs ?? []) add(input)
      if (node === undefined) return
      const { attributes, domain, inputs, op, outputs } = node
      const renamed = (name: string) => name === "" ? "" : named(name)
      nodes.push({ op, domain, attributes, inputs: inputs.map(renamed), outputs: outputs.map(renamed) })
    }
    add(name)
    return { nodes, sources, value: named(name) }
  }
}

const isWideConv = (node: Onnx.Node, [outputs = 0, inputs = 0, ...kernel]: ReadonlyArray<number>): boolean =>
  `${kernel}` === "3,3" && Math.min(outputs, inputs) >= narrowest &&
  intOf(node, "group", 1) === 1 &&
  stringOf(node, "auto_pad", "NOTSET") === "NOTSET" &&
  (intsOf(node, "dilations") ?? []).every((dilation) => dilation === 1) &&
  (intsOf(node, "strides") ?? []).every((stride) => stride === 1 || stride === 2)

const zeroOf: Readonly<Record<WeightType, number>> = { int8: 0, uint8: 128 }

const quantiser = (
  { columns, nodes, places, rows, sources, type, value, version }: Chain & {
    readonly places: Places
    readonly rows: number
    readonly columns: number
    readonly type: WeightType
    readonly version: number
  }
): Onnx.Graph => {
  const writer = new Writer("of", version)
  const [axis, summed] = places === "plain" ? [1, [0]] : [0, places === "transposed" ? [1] : [1, 2, 3]]
  const largest = writer.reduced("ReduceMax", writer.node("Abs", [value]), summed, 0)
  const some = writer.node("Max", [largest, writer.constant("float32", [], [tiny])])
  writer.node("Div", [some, writer.constant("float32", [], [127])], undefined, "scales")
  const zeros = Uint8Array.from({ length: columns }, () => zeroOf[type])
  const zero = writer.add({ type, dims: [columns], data: zeros })
  // Integers are put in order, as they take a quarter of the bytes.
  const integers = writer.node("QuantizeLinear", [value, "scales", zero], { axis: { int: axis } })
  const ordered = places === "plain" ? integers : writer.node("Transpose", [integers], {
    perm: { ints: places === "transposed" ? [1, 0] : [2, 3, 1, 0] }
  })
  writer.node("Reshape", [ordered, writer.constant("int64", [2], [rows, columns])], undefined, "weight")
  return {
    nodes: [...nodes, ...writer.taken()],
    initializers: [...sources.map(({ name, tensor }) => ({ ...tensor, name })), ...writer.constants],
    inputs: [],
    outputs: [
      { name: "weight", type, dims: [rows, columns] },
      { name: "scales", type: "float32", dims: [columns] }
    ]
  }
}

/** What is divided by instead of zero. */
const tiny = 1e-20

// Past every end: the largest number that `Slice` can be given exactly from JavaScript.
const end = Number.MAX_SAFE_INTEGER

const applied = (
  model: Onnx.Model,
  known: Known,
  file: Uint8Array,
  layers: ReadonlyArray<Int8Layer>,
  weightOf: (layer: Int8Layer) => Int8Weight
): Onnx.Model => {
  const writer = new LayerWriter(Onnx.unusedPrefix(file, "int8"), versionOf(model), known)
  const byNode = new Map(layers.map((layer) => [layer.node, layer]))
  const nodes = model.graph.nodes.flatMap((node) => {
    const layer = byNode.get(node)
    if (layer === undefined) return [node]
    writer.layer(node, weightOf(layer))
    return writer.taken()
  })
  return {
    ...model,
    opsets: { ...model.opsets, "com.microsoft": model.opsets["com.microsoft"] ?? 1 },
    graph: used({ ...model.graph, nodes, initializers: [...model.graph.initializers, ...writer.constants] })
  }
}

// Without nodes and constants that nothing reads.
const used = ({ initializers, nodes, outputs, ...graph }: Onnx.Graph): Onnx.Graph => {
  const read = new Set(outputs.map(({ name }) => name))
  const kept = nodes.toReversed().filter((node) => {
    if (!node.outputs.some((name) => read.has(name))) return false
    for (const name of Onnx.readBy(node)) read.add(name)
    return true
  })
  return {
    ...graph,
    nodes: kept.toReversed(),
    initializers: initializers.filter(({ name = "" }) => read.has(name)),
    outputs
  }
}

class Writer extends GraphWriter {
  readonly version: number

  constructor(prefix: string, version: number) {
    super(prefix)
    this.version = version
  }

  /** A reduction, whose axes are an attribute up to version 17. */
  reduced(op: "ReduceMax", x: string, axes: ReadonlyArray<number>, keepdims: 0 | 1): string {
    return this.version < 18
      ? this.node(op, [x], { axes: { ints: axes }, keepdims: { int: keepdims } })
      : this.node(op, [x, this.constant("int64", [axes.length], axes)], { keepdims: { int: keepdims } })
  }
}

/** A value as integers of which `zero` stands for 0, and what one of them is worth. */
interface Quantised {
  readonly integers: string
  readonly scale: string
  readonly zero: string
}

class LayerWriter extends Writer {
  readonly #known: Known
  // What several layers read is quantised once.
  readonly #quantised = new Map<string, Quantised>()

  constructor(prefix: string, version: number, known: Known) {
    super(prefix, version)
    this.#known = known
  }

  layer(node: Onnx.Node, weight: Int8Weight): void {
    if (node.op === "Conv") this.#conv(node, weight)
    else this.#linear(node, weight)
  }

  #linear({ inputs: [x = "", , bias = ""], outputs: [output = ""] }: Onnx.Node, weight: Int8Weight): void {
    const read = this.#once(`tokens ${this.#known.identity(x)}`, () => this.#symmetric(x, [-1]))
    this.#scaled(this.#product(read, weight), read, bias, output)
  }

  #conv(node: Onnx.Node, weight: Int8Weight): void {
    const { inputs: [x = "", , bias = ""], outputs: [output = ""] } = node
    const [top = 0, left = 0, bottom = 0, right = 0] = intsOf(node, "pads") ?? []
    const strides = intsOf(node, "strides") ?? [1, 1]
    const read = this.#once(`image ${x}`, () => {
      const { integers, ...read } = this.#known.isSilu(x) ? this.#silu(x) : this.#symmetric(x, [1, 2, 3])
      return { ...read, integers: this.node("Transpose", [integers], { perm: { ints: [0, 2, 3, 1] } }) }
    })
    const padded = [top, left, bottom, right].every((side) => side === 0) ? read.integers : this.node("Pad", [
      read.integers,
      this.constant("int64", [8], [0, top, left, 0, 0, bottom, right, 0]),
      read.zero
    ])
    const places = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => [row, column]))
    const slices = places.map((place) =>
      this.node("Slice", [
        padded,
        this.constant("int64", [2], place),
        this.constant("int64", [2], place.map((from) => from === 2 ? end : from - 2)),
        this.constant("int64", [2], [1, 2]),
        this.constant("int64", [2], strides)
      ])
    )
    const windows = this.node("Concat", slices, { axis: { int: 3 } })
    const sum = this.#scaled(this.#product({ ...read, integers: windows }, weight), read, bias)
    this.node("Transpose", [sum], { perm: { ints: [0, 3, 1, 2] } }, output)
  }

  // Integers from -127 to 127 with one scale for what lies along the axes.
  #symmetric(x: string, axes: ReadonlyArray<number>): Quantised {
    const largest = this.reduced("ReduceMax", this.node("Abs", [x]), axes, 1)
    const scale = this.node("Div", [largest, this.constant("float32", [], [127])])
    return this.#divided(x, scale, 128)
  }

  // Hardly any of SiLU's range is negative: integers from -24 to 231.
  #silu(x: string): Quantised {
    const largest = this.reduced("ReduceMax", x, [1, 2, 3], 1)
    const scale = this.node("Max", [
      this.node("Div", [largest, this.constant("float32", [], [231])]),
      this.constant("float32", [], [leastSilu / 24])
    ])
    return this.#divided(x, scale, 24)
  }

  #divided(x: string, given: string, zeroPoint: number): Quantised {
    const scale = this.node("Max", [given, this.constant("float32", [], [tiny])])
    const zero = this.constant("uint8", [], [zeroPoint])
    const integers = this.node("QuantizeLinear", [
      this.node("Div", [x, scale]),
      this.constant("float32", [], [1]),
      zero
    ])
    return { integers, scale, zero }
  }

  #product({ integers, zero }: Quantised, { scales, weight }: Int8Weight): string {
    return this.node("MatMulIntegerToFloat", [
      integers,
      this.add(weight),
      this.constant("float32", [], [1]),
      this.add(scales),
      zero,
      ...(weight.type === "uint8" ? [this.constant("uint8", [], [zeroOf.uint8])] : [])
    ])
  }

  #scaled(sum: string, { scale }: Quantised, bias: string, output?: string): string {
    return bias === ""
      ? this.node("Mul", [sum, scale], undefined, output)
      : this.node("Add", [this.node("Mul", [sum, scale]), bias], undefined, output)
  }

  #once(key: string, make: () => Quantised): Quantised {
    const found = this.#quantised.get(key) ?? make()
    this.#quantised.set(key, found)
    return found
  }
}
