/** Nodes and constants for a graph, under names of their own. */
import * as Onnx from "./Onnx.ts"

/** What a loop changes: its value before the first turn, and its type, which may be left to onnxruntime. */
interface Changing {
  readonly first: string
  readonly type: Onnx.ValueInfo["type"]
}

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

  /**
   * Values after a number of turns. `turn` writes one: it is given the turn's number and the values before it, and
   * gives those after it.
   */
  loop(
    turns: string,
    changing: ReadonlyArray<Changing>,
    turn: (number: string, before: ReadonlyArray<string>) => ReadonlyArray<string>,
    outputs: ReadonlyArray<string> = changing.map(() => this.name())
  ): ReadonlyArray<string> {
    const [number, goesOn, ...before] = [this.name(), this.name(), ...changing.map(() => this.name())]
    const around = this.taken()
    const after = [this.node("Identity", [goesOn]), ...turn(number, before)]
    const nodes = this.taken()
    this.#nodes.push(...around)
    const typed = (names: ReadonlyArray<string>) =>
      changing.map(({ type }, i) => ({ name: names[i] ?? "", type, dims: undefined }))
    const [more = "", ...next] = after
    const graph: Onnx.Graph = {
      name: this.name(),
      nodes,
      initializers: [],
      inputs: [{ name: number, type: "int64", dims: [] }, { name: goesOn, type: "bool", dims: [] }, ...typed(before)],
      outputs: [{ name: more, type: "bool", dims: [] }, ...typed(next)]
    }
    const inputs = [turns, this.constant("bool", [], [1]), ...changing.map(({ first }) => first)]
    this.nodeTo(outputs, "Loop", inputs, { body: { graph } })
    return outputs
  }
}
