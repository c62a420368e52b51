/**
 * Builds a graph node by node. Each call gives the name of the value it makes, which the next ones take.
 */
import { type Attribute, type ElementType, model, type Node, type TensorData, type ValueInfo } from "./OnnxFile.ts"

/** A value in a graph, by its name. */
export type Value = string

export interface Graph {
  readonly input: (name: string, type: ElementType, dims: ReadonlyArray<number | string>) => Value
  /** Makes `value` an output of the graph, under a name of its own. */
  readonly output: (name: string, value: Value, type: ElementType, dims: ReadonlyArray<number | string>) => void
  /** Numbers that are part of the file. */
  readonly constant: (data: TensorData) => Value
  /** The first output of an operator. */
  readonly node: (op: string, inputs: ReadonlyArray<Value>, attributes?: Readonly<Record<string, Attribute>>) => Value
  /** The bytes of the ONNX file. */
  readonly toFile: (opset?: number) => Uint8Array<ArrayBuffer>
}

export const make = (): Graph => {
  const inputs: Array<ValueInfo> = []
  const outputs: Array<ValueInfo> = []
  const initializers: Record<string, TensorData> = {}
  const nodes: Array<Node> = []
  let count = 0
  const fresh = (what: string) => `${what}_${++count}`
  return {
    input: (name, type, dims) => {
      inputs.push({ name, type, dims })
      return name
    },
    output: (name, value, type, dims) => {
      nodes.push({ op: "Identity", inputs: [value], outputs: [name] })
      outputs.push({ name, type, dims })
    },
    constant: (data) => {
      const name = fresh("constant")
      initializers[name] = data
      return name
    },
    node: (op, inputs, attributes) => {
      const name = fresh(op)
      nodes.push({ op, inputs, outputs: [name], attributes })
      return name
    },
    toFile: (opset) => model({ opset, inputs, outputs, initializers, nodes })
  }
}
