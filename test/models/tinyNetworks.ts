/**
 * Stable Diffusion's networks at the size of a toy, with the inputs and outputs that optimum exports.
 *
 * Weights are random and the same each time. Every input has a part in the output, as in the real ones: attention to
 * the text, an embedding of the time, one of what else conditions it, convolutions with padding.
 */
import * as Onnx from "../../src/models/onnx/Onnx.ts"
import * as GraphBuilder from "./onnx/GraphBuilder.ts"

/** Number type of weights, inputs and outputs. */
export type Precision = "float32" | "float16"

type Dims = ReadonlyArray<number | string>

// A seed from a name (FNV-1a), and numbers from a seed (mulberry32), normally distributed (Box-Muller).
const normalNumbers = (name: string) => {
  let state = 0x811C9DC5
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193)
  const uniform = () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

// A graph with the weights of one network.
const network = (name: string, precision: Precision) => {
  const graph = GraphBuilder.make()
  const random = normalNumbers(name)
  const { node } = graph
  const numbers = (data: Onnx.Tensor) => graph.constant(data)
  const real = (dims: ReadonlyArray<number>, values: ArrayLike<number>) => numbers(Onnx.tensor(precision, dims, values))
  const scalar = (value: number) => real([], [value])
  const whole = (...values: ReadonlyArray<number>) => numbers(Onnx.tensor("int64", [values.length], values))
  const weights = (dims: ReadonlyArray<number>, deviation: number) =>
    real(dims, Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random() * deviation))
  const dense = (x: GraphBuilder.Value, from: number, to: number) =>
    node("Add", [node("MatMul", [x, weights([from, to], 1 / Math.sqrt(from))]), weights([to], 0.1)])
  const conv = (x: GraphBuilder.Value, from: number, to: number, kernel: number, stride = 1) =>
    node("Conv", [x, weights([to, from, kernel, kernel], 1 / (kernel * Math.sqrt(from))), weights([to], 0.1)], {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: stride > 1 ? [0, 0, 0, 0] : Array(4).fill((kernel - 1) / 2) }
    })
  const silu = (x: GraphBuilder.Value) => node("Mul", [x, node("Sigmoid", [x])])
  const cast = (x: GraphBuilder.Value, to: "float32" | "float16" | "int32") =>
    node("Cast", [x], { to: { int: Onnx.typeNumber(to) } })
  const input = (name: string, dims: Dims, type: Onnx.ElementType = precision) => graph.input(name, type, dims)
  const output = (name: string, value: GraphBuilder.Value, dims: Dims) => graph.output(name, value, precision, dims)
  return { ...graph, cast, conv, dense, input, numbers, output, real, scalar, silu, weights, whole }
}

export interface TextEncoderShape {
  readonly vocabulary: number
  readonly width: number
  readonly layers: number
  /** Width of `text_embeds`; 0 for `pooler_output` in its place. */
  readonly projection: number
  readonly hiddenStates: boolean
  readonly ids: "int32" | "int64"
}

/** A text encoder: `CLIPTextModel`, or `CLIPTextModelWithProjection` when it has a projection. */
export const textEncoder = (name: string, precision: Precision, shape: TextEncoderShape) => {
  const { layers, vocabulary, width } = shape
  const { cast, dense, input, node, output, scalar, toFile, weights, whole } = network(name, precision)
  const ids = input("input_ids", ["batch_size", "sequence_length"], shape.ids)
  const states: Dims = ["batch_size", "sequence_length", width]
  const length = node("Shape", [ids], { start: { int: 1 }, end: { int: 2 } })
  const positions = node("Slice", [weights([77, width], 0.5), whole(0), length, whole(0)])
  let state = node("Add", [node("Gather", [weights([vocabulary, width], 1), ids]), positions])
  const hidden = [state]
  for (let layer = 0; layer < layers; layer++) {
    const others = node("ReduceMean", [state], { axes: { ints: [1] } })
    const own = node("Tanh", [dense(state, width, width)])
    state = node("Add", [state, node("Add", [own, dense(others, width, width)])])
    hidden.push(state)
  }

  const mean = (x: GraphBuilder.Value) => node("ReduceMean", [x], { axes: { ints: [-1] } })
  const centred = node("Sub", [state, mean(state)])
  const variance = mean(node("Mul", [centred, centred]))
  const deviation = node("Sqrt", [node("Add", [variance, scalar(1e-5)])])
  const scaled = node("Mul", [node("Div", [centred, deviation]), weights([width], 1)])
  const last = node("Add", [scaled, weights([width], 1)])

  // What stands at the first end token, the largest id.
  const end = node("ArgMax", [cast(ids, "int32")], { axis: { int: 1 }, keepdims: { int: 1 } })
  const where = node("Expand", [node("Unsqueeze", [end, whole(2)]), whole(1, 1, width)])
  const pooled = node("Squeeze", [node("GatherElements", [last, where], { axis: { int: 1 } }), whole(1)])

  if (shape.projection > 0) {
    const embeds = node("MatMul", [pooled, weights([width, shape.projection], 1 / Math.sqrt(width))])
    output("text_embeds", embeds, ["batch_size", shape.projection])
    output("last_hidden_state", last, states)
  } else {
    output("last_hidden_state", last, states)
    output("pooler_output", pooled, ["batch_size", width])
  }
  if (shape.hiddenStates) {
    for (const [layer, state] of hidden.entries()) output(`hidden_states.${layer}`, state, states)
  }
  return toFile()
}

/** How an export declares `timestep`: a scalar, one for all latents or one for each. */
export interface TimestepShape {
  readonly type: "int64" | "float32"
  readonly dims: Dims
}

export interface UNetShape {
  readonly channels: number
  readonly context: number
  /** A width of 0 leaves the input out. */
  readonly pooled: number
  readonly timeIds: number
  readonly guidance: number
  readonly timestep: TimestepShape
}

/**
 * A denoising network: `UNet2DConditionModel`. Its noise is mostly that of its input, so that sampling stays in bounds.
 */
export const unet = (name: string, precision: Precision, shape: UNetShape) => {
  const width = 8
  const { cast, conv, dense, input, node, numbers, output, scalar, silu, toFile, weights, whole } = network(
    name,
    precision
  )
  const sample = input("sample", ["batch_size", shape.channels, "height", "width"])
  const timestep = input("timestep", shape.timestep.dims, shape.timestep.type)
  const states = input("encoder_hidden_states", ["batch_size", "sequence_length", shape.context])

  const frequencies = numbers(
    Onnx.tensor("float32", [1, width], Array.from({ length: width }, (_, i) => 10 ** (-i / 2)))
  )
  const time = node("Reshape", [cast(timestep, "float32"), whole(-1, 1)])
  const waves = node("Sin", [node("Mul", [time, frequencies])])
  let embedding = dense(cast(waves, precision), width, width)
  const also = (from: string, size: number, scale: number) => {
    if (size === 0) return
    const scaled = node("Mul", [input(from, ["batch_size", size]), scalar(scale)])
    embedding = node("Add", [embedding, dense(scaled, size, width)])
  }
  also("text_embeds", shape.pooled, 1)
  also("time_ids", shape.timeIds, 1 / 256)
  also("timestep_cond", shape.guidance, 1)

  const first = conv(sample, shape.channels, width, 3)
  const timed = silu(node("Add", [first, node("Reshape", [embedding, whole(-1, width, 1, 1)])]))
  // [batch, height * width, width] looks at [batch, tokens, width].
  const flat = node("Transpose", [node("Reshape", [timed, whole(0, width, -1)])], { perm: { ints: [0, 2, 1] } })
  const project = (x: GraphBuilder.Value, from: number) =>
    node("MatMul", [x, weights([from, width], 1 / Math.sqrt(from))])
  const keys = node("Transpose", [project(states, shape.context)], { perm: { ints: [0, 2, 1] } })
  const likeness = node("Mul", [node("MatMul", [project(flat, width), keys]), scalar(1 / Math.sqrt(width))])
  const seen = node("MatMul", [node("Softmax", [likeness], { axis: { int: -1 } }), project(states, shape.context)])
  const back = node("Transpose", [seen], { perm: { ints: [0, 2, 1] } })
  const attended = node("Add", [timed, node("Reshape", [back, node("Shape", [timed])])])

  const latent = node("Slice", [sample, whole(0), whole(4), whole(1)])
  const noise = node("Add", [
    node("Mul", [latent, scalar(0.9)]),
    node("Mul", [conv(silu(attended), width, 4, 3), scalar(0.3)])
  ])
  output("out_sample", noise, ["batch_size", 4, "height", "width"])
  return toFile()
}

/** A VAE's decoder: 4 channels to RGB, 8 times as wide and high. */
export const vaeDecoder = (name: string, precision: Precision) => {
  const { conv, input, node, numbers, output, silu, toFile } = network(name, precision)
  const latent = input("latent_sample", ["batch_size", 4, "latent_height", "latent_width"])
  const scales = numbers(Onnx.tensor("float32", [4], [1, 1, 8, 8]))
  const large = node("Resize", [silu(conv(latent, 4, 8, 3)), "", scales], {
    mode: { string: "nearest" },
    coordinate_transformation_mode: { string: "asymmetric" },
    nearest_mode: { string: "floor" }
  })
  output("sample", node("Tanh", [conv(large, 8, 3, 3)]), ["batch_size", 3, "height", "width"])
  return toFile()
}

/**
 * A VAE's encoder: RGB to 4 channels, an eighth as wide and high. `latent_parameters` are means and log variances,
 * `latent_sample` is what older exports give in their place; here it is the mean.
 */
export const vaeEncoder = (name: string, precision: Precision, gives: "latent_parameters" | "latent_sample") => {
  const { conv, input, node, output, silu, toFile, whole } = network(name, precision)
  const sample = input("sample", ["batch_size", 3, "height", "width"])
  const small = silu(conv(conv(sample, 3, 8, 3), 8, 8, 8, 8))
  const parameters = conv(small, 8, 8, 3)
  const dims = (channels: number): Dims => ["batch_size", channels, "latent_height", "latent_width"]
  if (gives === "latent_parameters") output(gives, parameters, dims(8))
  else output(gives, node("Slice", [parameters, whole(0), whole(4), whole(1)]), dims(4))
  return toFile()
}
