/** Nodes and constants for a graph, under names of their own. */
import * as Onnx from "./Onnx.ts"

export class GraphWriter {
  readonly #prefix: string
  readonly #constants = new Map<string, Onnx.Tensor>()
  #nodes: Array<Onnx.Node> = []
  #count = 0

  /** @param prefix Begins no name of the graph, see `Onnx.unusedPrefix`. */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  get constants(): ReadonlyArray<Onnx.Tensor> {
    return [...this.#constants.values()]
  }

  /** The nodes since the last time. */
  taken(): ReadonlyArray<Onnx.Node> {
    const nodes = this.#nodes
    this.#nodes = []
    return nodes
  }

  /** The nodes that something writes, apart from the others: those of a graph within a node. */
  apart<A>(write: () => A): readonly [nodes: ReadonlyArray<Onnx.Node>, result: A] {
    const others = this.#nodes
    this.#nodes = []
    const result = write()
    const nodes = this.#nodes
    this.#nodes = others
    return [nodes, result]
  }

  name(): string {
    return `${this.#prefix} ${++this.#count}`
  }

  /** The same numbers are one constant. */
  constant(
    type: "bool" | "float32" | "int64" | "uint8",
    dims: ReadonlyArray<number>,
    numbers: ReadonlyArray<number>
  ): string {
    return this.add(Onnx.tensor(type, dims, numbers), `${this.#prefix} ${type} ${dims.join()}: ${numbers.join()}`)
  }

  /** Whole numbers in a row. */
  whole(values: ReadonlyArray<number>): string {
    return this.constant("int64", [values.length], values)
  }

  add(tensor: Onnx.Tensor, name = this.name()): string {
    this.#constants.set(name, { ...tensor, name })
    return name
  }

  /** A node with one output, whose name is returned. */
  node(
    op: string,
    inputs: ReadonlyArray<string>,
    attributes?: Onnx.Node["attributes"],
    output = this.name()
  ): string {
    this.nodeTo([output], op, inputs, attributes)
    return output
  }

  nodeTo(
    outputs: ReadonlyArray<string>,
    op: string,
    inputs: ReadonlyArray<string>,
    attributes?: Onnx.Node["attributes"]
  ): void {
    const domain = op === "MatMulIntegerToFloat" ? "com.microsoft" : ""
    this.#nodes.push({ name: outputs[0] ?? this.name(), op, domain, inputs, outputs, attributes })
  }
}
