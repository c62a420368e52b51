/**
 * A UNet in two parts, so that some calls compute only its outermost layers: DeepCache (Ma, Fang and Wang, "DeepCache:
 * Accelerating Diffusion Models for Free", 2023, arXiv:2312.00858, section 3.2, branch 0).
 *
 * The last block on the way up joins what comes from below with the skip connection of the first layer. What comes from
 * below changes little from one sampling step to the next. The deep part is the whole network, which gives that value
 * as well; the shallow part reads it, and computes only what is outside of it.
 */
import * as Onnx from "./Onnx.ts"

/** The name of the value that the deep part gives and the shallow one reads, and both parts. */
export interface DeepCache {
  readonly kept: string
  readonly deep: Onnx.Model
  readonly shallow: Onnx.Model
}

/** Both parts of a denoising network; undefined for one without such a skip connection. */
export const split = (model: Onnx.Model): DeepCache | undefined => {
  const { graph } = model
  const makers = makersOf(graph)
  const kept = lastFromBelow(graph, makers)
  if (kept === undefined) return undefined
  const value: Onnx.ValueInfo = {
    name: kept,
    type: typeOf(graph, makers),
    dims: ["batch", "channels", "height", "width"].map((dim) => `kept_${dim}`)
  }
  return {
    kept,
    deep: { ...model, graph: { ...graph, outputs: [...graph.outputs, value] } },
    shallow: { ...model, graph: outside(graph, makers, value) }
  }
}

type Makers = ReadonlyMap<string, Onnx.Node>

const makersOf = ({ nodes }: Onnx.Graph): Makers =>
  new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node])))

// The nodes that some values need. Those behind `given` are left out.
const needed = (values: ReadonlyArray<string>, makers: Makers, given?: string): ReadonlySet<Onnx.Node> => {
  const found = new Set<Onnx.Node>()
  const open = [...values]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const node = value === given ? undefined : makers.get(value)
    if (node === undefined || found.has(node)) continue
    found.add(node)
    open.push(...Onnx.readBy(node))
  }
  return found
}

const lastFromBelow = (graph: Onnx.Graph, makers: Makers): string | undefined => {
  for (const node of graph.nodes.toReversed()) {
    const found = fromBelow(node, graph, makers)
    if (found !== undefined) return found
  }
  return undefined
}

// What a node joins with a skip connection, when most of the network lies below it.
const fromBelow = (node: Onnx.Node, graph: Onnx.Graph, makers: Makers): string | undefined => {
  const axis = node.attributes?.["axis"]
  const [first, second, ...others] = node.inputs
  const joinsChannels = node.op === "Concat" && axis !== undefined && "int" in axis && axis.int === 1
  if (!joinsChannels || first === undefined || second === undefined || others.length > 0) return undefined
  const most = graph.nodes.length / 2
  const [below, skip] = [first, second].map((name) => ({ name, nodes: needed([name], makers).size }))
    .toSorted((a, b) => b.nodes - a.nodes)
  return below !== undefined && skip !== undefined && below.nodes > most && skip.nodes < most ? below.name : undefined
}

// The graph with a value as an input, in place of all that only this value needs.
const outside = (graph: Onnx.Graph, makers: Makers, value: Onnx.ValueInfo): Onnx.Graph => {
  const kept = needed(graph.outputs.map(({ name }) => name), makers, value.name)
  const nodes = graph.nodes.filter((node) => kept.has(node))
  const read = new Set(nodes.flatMap(Onnx.readBy))
  return {
    ...graph,
    nodes,
    initializers: graph.initializers.filter(({ name = "" }) => read.has(name)),
    inputs: [...graph.inputs.filter(({ name }) => read.has(name)), value]
  }
}

// The numbers that convolutions compute with.
const typeOf = (graph: Onnx.Graph, makers: Makers): Onnx.ElementType => {
  const weight = graph.nodes.find(({ op }) => op === "Conv")?.inputs[1]
  const to = weight === undefined ? undefined : makers.get(weight)?.attributes?.["to"]
  return to !== undefined && "int" in to
    ? Onnx.elementType(to.int)
    : graph.initializers.find(({ name }) => name === weight)?.type ?? "float32"
}
