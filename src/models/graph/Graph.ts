/**
 * A graph under construction: values whose element type and sizes are known while it is built, and the nodes that make
 * them. Layers take values and give values; the graph is where they write what they need.
 *
 * Weights stay where they are: the graph names their file and place. What depends on weights alone, such as their
 * conversion to the arithmetic's type, goes to the head of the nodes. With optimisation off, onnxruntime then computes
 * each of them just before its first use, and one converted layer at a time is in memory; anywhere else in the list all
 * of them are computed first.
 */
import { parse } from "node:path"
import type { ElementType, SourceFile, StoredTensor } from "../checkpoint/WeightSource.ts"
import * as Onnx from "../onnx/Onnx.ts"
import { type Dim, shown, times } from "./Dim.ts"
import { UnfitNetwork } from "./UnfitNetwork.ts"

/** A value in a graph. */
export interface Value {
  readonly graph: Graph
  readonly name: string
  readonly type: Onnx.ElementType
  readonly dims: ReadonlyArray<Dim>
}

export interface GraphOptions {
  /** Convolutions continue at the opposite edge instead of zeros, so that images tile. */
  readonly seamless?: boolean | undefined
  /**
   * The type that layers compute in. Processors compute in float32 whatever the weights are; graphics cards are faster
   * in float16. Inputs and outputs are float32 all the same.
   */
  readonly arithmetic?: "float32" | "float16" | undefined
  /**
   * Whether the graph is opened with optimisation on, as devices other than the processor want it: what depends on
   * weights alone is computed once then. Whole tables are converted before rows are taken of them, as some graphics
   * cards know no float16 at all.
   */
  readonly optimised?: boolean | undefined
}

/** A finished graph: an ONNX file whose weights lie in other files. */
export interface GraphFile {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The files that hold weights, as they were when their headers were read. */
  readonly files: ReadonlyArray<SourceFile>
}

/** Element types of weights that layers can read, by ONNX's names. */
const readable: Readonly<Partial<Record<ElementType, Onnx.ElementType>>> = {
  F64: "float64",
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F8_E4M3: "float8e4m3fn",
  F8_E5M2: "float8e5m2"
}

/** Operators of onnxruntime's own. */
const contributed = new Set(["MultiHeadAttention", "QuickGelu"])

export class Graph {
  readonly seamless: boolean
  readonly arithmetic: "float32" | "float16"
  readonly optimised: boolean
  /** The layer that is being built, for messages and for the names of nodes. */
  layer = ""

  readonly #inputs: Array<Onnx.ValueInfo> = []
  readonly #outputs: Array<Onnx.ValueInfo> = []
  readonly #initializers: Array<Onnx.Tensor> = []
  readonly #head: Array<Onnx.Node> = []
  readonly #nodes: Array<Onnx.Node> = []
  readonly #files = new Map<string, SourceFile>()
  // Values that depend on weights, constants and strengths alone.
  readonly #fixed = new Set<string>()
  // What was made once, by what it is made of.
  readonly #made = new Map<string, Value>()
  // A value that has each named size, and where.
  readonly #sizes = new Map<Dim, { readonly value: Value; readonly axis: number }>()
  #count = 0

  constructor({ arithmetic = "float32", optimised = false, seamless = false }: GraphOptions = {}) {
    this.arithmetic = arithmetic
    this.optimised = optimised
    this.seamless = seamless
  }

  input(name: string, type: Onnx.ElementType, dims: ReadonlyArray<Dim>): Value {
    this.#inputs.push({ name, type, dims })
    return this.#value(name, type, dims)
  }

  /**
   * What multiplies an adapter's change, float32: an input of the graph. Weights that depend on it are computed where
   * those are that depend on nothing.
   */
  strength(name: string): Value {
    return this.once(`strength ${name}`, () => {
      this.#inputs.push({ name, type: "float32", dims: [] })
      this.#fixed.add(name)
      return { graph: this, name, type: "float32", dims: [] }
    })
  }

  /** Makes a value an output of the graph, under a name of its own. */
  output(name: string, { dims, name: value, type }: Value): void {
    this.#nodes.push({ name, op: "Identity", inputs: [value], outputs: [name] })
    this.#outputs.push({ name, type, dims })
  }

  /** Numbers that are part of the graph. */
  constant(
    type: "float32" | "int64" | "float64",
    dims: ReadonlyArray<number>,
    numbers: ReadonlyArray<number>
  ): Value {
    return this.once(`${type} ${dims.join()}: ${numbers.join()}`, () => {
      const name = this.#fresh("constant")
      const tensor = type === "float64"
        ? { type, dims, data: new Uint8Array(Float64Array.from(numbers).buffer) }
        : Onnx.tensor(type, dims, numbers)
      this.#initializers.push({ ...tensor, name })
      this.#fixed.add(name)
      return { graph: this, name, type, dims }
    })
  }

  /** Many numbers that are part of the graph, float32. */
  numbers(dims: ReadonlyArray<number>, values: Float32Array<ArrayBuffer>): Value {
    const name = this.#fresh("numbers")
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    this.#initializers.push({ name, type: "float32", dims, data })
    this.#fixed.add(name)
    return { graph: this, name, type: "float32", dims }
  }

  /** A tensor in a file, as it is there, under a shape of the same number of elements. */
  stored(tensor: StoredTensor, dims: ReadonlyArray<number>, file: SourceFile | undefined): Value {
    return this.once(`${tensor.file} ${tensor.offset} ${dims.join()}`, () => {
      const type = readable[tensor.type]
      if (type === undefined) throw this.unfit(`is of the element type ${tensor.type}`, tensor.name, tensor.file)
      const name = this.#fresh(tensor.name)
      const location = tensor.file.slice(parse(tensor.file).root.length)
      this.#initializers.push({ name, type, dims, data: { location, offset: tensor.offset, length: tensor.length } })
      if (file !== undefined) this.#files.set(file.path, file)
      this.#fixed.add(name)
      return { graph: this, name, type, dims }
    })
  }

  /** The outputs of an operator, of the given types and sizes. */
  node(
    op: string,
    inputs: ReadonlyArray<Value | undefined>,
    outputs: ReadonlyArray<Pick<Value, "type" | "dims">>,
    attributes?: Readonly<Record<string, Onnx.Attribute>>
  ): ReadonlyArray<Value> {
    const isFixed = inputs.every((input) => input === undefined || this.#fixed.has(input.name))
    const names = outputs.map(() => this.#fresh(`${this.layer}/${op}`))
    const node: Onnx.Node = {
      name: names[0],
      op,
      domain: contributed.has(op) ? "com.microsoft" : "",
      inputs: inputs.map((input) => input?.name ?? ""),
      outputs: names,
      attributes
    }
    if (isFixed) {
      for (const name of names) this.#fixed.add(name)
      this.#head.push(node)
    } else {
      this.#nodes.push(node)
    }
    return outputs.map(({ dims, type }, i) =>
      isFixed ? { graph: this, name: names[i] ?? "", type, dims } : this.#value(names[i] ?? "", type, dims)
    )
  }

  /** A value that is made when it is first asked for. */
  once(key: string, make: () => Value): Value {
    const value = this.#made.get(key) ?? make()
    this.#made.set(key, value)
    return value
  }

  /**
   * A shape for `Reshape`, int64. Sizes without a number are read from values that have them; one of them, which may be
   * a product that no value has, follows from the others.
   */
  shape(of: Value, dims: ReadonlyArray<Dim>): Value {
    if (times(...of.dims) !== times(...dims)) {
      throw this.unfit(`cannot take ${shown(of.dims)} as ${shown(dims)}`)
    }
    const kept = dims.map((dim, i) => typeof dim === "string" && dim !== of.dims[i])
    const rest = dims.findIndex((dim, i) => kept[i] === true && !this.#sizes.has(dim))
    const followed = rest >= 0 ? rest : kept.lastIndexOf(true)
    const unknown = dims.filter((_, i) => kept[i] === true && i !== followed)
    if (unknown.length === 0) {
      return this.constant(
        "int64",
        [dims.length],
        dims.map((dim, i) => i === followed ? -1 : typeof dim === "number" ? dim : 0)
      )
    }
    const written = dims.map((dim, i) =>
      i === followed ? -1 : kept[i] === true ? dim : typeof dim === "number" ? dim : 0
    )
    return this.once(`shape ${written.join()}`, () => {
      const parts = written.map((dim) => typeof dim === "number" ? this.constant("int64", [1], [dim]) : this.#size(dim))
      return this.#only("Concat", parts, { type: "int64", dims: [dims.length] }, { axis: { int: 0 } })
    })
  }

  /** What does not fit in the layer that is being built, or in a tensor. */
  unfit(reason: string, tensor = this.layer === "" ? "the first layer" : this.layer, file = ""): UnfitNetwork {
    return new UnfitNetwork({ file, tensor, reason, near: [] })
  }

  /** The graph as an ONNX model. Its weights are at paths from the root of the file system, without the root. */
  model(): Onnx.Model {
    return {
      irVersion: 9,
      opsets: { "": 20, "com.microsoft": 1 },
      graph: {
        nodes: [...this.#head, ...this.#nodes],
        initializers: this.#initializers,
        inputs: this.#inputs,
        outputs: this.#outputs
      }
    }
  }

  file(): GraphFile {
    return { bytes: Onnx.write(this.model()), files: [...this.#files.values()] }
  }

  #only(
    ...[op, inputs, output, attributes]: [
      op: string,
      inputs: ReadonlyArray<Value>,
      output: Pick<Value, "type" | "dims">,
      attributes: Readonly<Record<string, Onnx.Attribute>>
    ]
  ): Value {
    const [value] = this.node(op, inputs, [output], attributes)
    if (value === undefined) throw new Error(`${op} makes nothing`)
    return value
  }

  #size(dim: Dim): Value {
    const source = this.#sizes.get(dim)
    if (source === undefined) throw this.unfit(`needs the size ${dim}, which no value has`)
    return this.once(`size ${dim}`, () =>
      this.#only("Shape", [source.value], { type: "int64", dims: [1] }, {
        start: { int: source.axis },
        end: { int: source.axis + 1 }
      }))
  }

  #value(name: string, type: Onnx.ElementType, dims: ReadonlyArray<Dim>): Value {
    const value = { graph: this, name, type, dims }
    for (const [axis, dim] of dims.entries()) {
      if (typeof dim === "string" && !this.#sizes.has(dim)) this.#sizes.set(dim, { value, axis })
    }
    return value
  }

  #fresh(name: string): string {
    return `${name}#${++this.#count}`
  }
}
