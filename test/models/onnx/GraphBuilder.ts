/**
 * Builds a graph node by node. Each call returns the name of the value it makes, which the next ones take.
 */
import * as Onnx from "../../../src/models/onnx/Onnx.ts"

/** A value in a graph, by its name. */
export type Value = string

export interface GraphBuilder {
  readonly input: (name: string, type: Onnx.ElementType, dims: ReadonlyArray<number | string>) => Value
  /** Makes `value` an output of the graph, under a name of its own. */
  readonly output: (
    name: string,
    value: Value,
    type: Onnx.ElementType,
    dims: ReadonlyArray<number | string>
  ) => void
  /** A constant, such as a layer's weights. */
  readonly constant: (tensor: Onnx.Tensor) => Value
  /** The first output of an operator. */
  readonly node: (
    op: string,
    inputs: ReadonlyArray<Value>,
    attributes?: Readonly<Record<string, Onnx.Attribute>>
  ) => Value
  /** The bytes of the ONNX file, with version 17 of the standard operators unless another is given. */
  readonly toFile: (opset?: number) => Uint8Array<ArrayBuffer>
}

export const make = (): GraphBuilder => {
  const inputs: Array<Onnx.ValueInfo> = []
  const outputs: Array<Onnx.ValueInfo> = []
  const initializers: Array<Onnx.Tensor> = []
  const nodes: Array<Onnx.Node> = []
  let count = 0
  const fresh = (kind: string) => `${kind}_${++count}`
  return {
    input: (name, type, dims) => {
      inputs.push({ name, type, dims })
      return name
    },
    output: (name, value, type, dims) => {
      nodes.push({ op: "Identity", inputs: [value], outputs: [name] })
      outputs.push({ name, type, dims })
    },
    constant: (tensor) => {
      const name = fresh("constant")
      initializers.push({ ...tensor, name })
      return name
    },
    node: (op, inputs, attributes) => {
      const name = fresh(op)
      nodes.push({ op, inputs, outputs: [name], attributes })
      return name
    },
    toFile: (opset = 17) => Onnx.write({ opsets: { "": opset }, graph: { nodes, initializers, inputs, outputs } })
  }
}
