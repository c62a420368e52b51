import { assert, describe, it } from "@effect/vitest"
import { bytesOf, type ElementType, type StoredTensor } from "../../../src/models/checkpoint/WeightSource.ts"
import { UnfitNetwork } from "../../../src/models/graph/UnfitNetwork.ts"
import { Weights } from "../../../src/models/graph/Weights.ts"
import {
  autoencoderKlDecoder,
  autoencoderKlEncoder,
  autoencoderShape
} from "../../../src/models/networks/autoencoderKl.ts"
import { clipText, clipTextShape } from "../../../src/models/networks/clipText.ts"
import { unet } from "../../../src/models/networks/unet.ts"
import { unetLevels, unetTable } from "../../../src/models/networks/unetNames.ts"
import { unetShape } from "../../../src/models/networks/unetShape.ts"
import type * as Onnx from "../../../src/models/onnx/Onnx.ts"
import * as tokenMerging from "../../../src/models/onnx/tokenMerging.ts"
import { workingMemory } from "../../../src/models/onnx/workingMemory.ts"
import { contents, realLayout } from "../checkpoint/data.ts"

interface Expected {
  readonly family: string
  readonly unet: {
    readonly in_channels: number
    readonly out_channels: number
    readonly widths: ReadonlyArray<number>
    readonly transformer_depth: ReadonlyArray<number>
    readonly heads: ReadonlyArray<number>
    readonly context: number
    readonly linear_projections: boolean
    readonly adm: number | null
  }
  readonly text: {
    readonly prefix: string
    readonly width: number
    readonly layers: number
    readonly activation: string
  }
  readonly text2?: Expected["text"]
}

const json = (name: string) => JSON.parse(Buffer.from(contents(`real-layouts/${name}`)).toString())
const index: {
  readonly layouts: Readonly<Record<string, { readonly expected: Expected }>>
  readonly names: Readonly<Record<string, { readonly rows: number }>>
} = json("index.json")
const layouts = Object.entries(index.layouts).map(([name, { expected }]) => ({ name, expected }))

/** The tensors of a layout one behind the other, some of them changed: undefined leaves one out. */
const layoutOf = (
  name: string,
  change: (tensor: StoredTensor) => StoredTensor | undefined = (tensor) => tensor
): Weights => {
  const tensors = new Map<string, StoredTensor>()
  let offset = 0
  for (const [name_, , shape] of realLayout(name)) {
    const type: ElementType = "F16"
    const length = shape.reduce((product, size) => product * size, bytesOf[type])
    const tensor = change({ name: name_, type, shape, file: "/a/model.safetensors", offset, length })
    offset += length
    if (tensor !== undefined) tensors.set(tensor.name, tensor)
  }
  return Weights.of({ tensors, metadata: {}, files: [] }, "model.diffusion_model.")
}

const textOf = (name: string, prefix: string): Weights =>
  Weights.of({
    tensors: new Map(
      realLayout(name).map(([name, , shape]): [string, StoredTensor] => [
        name,
        { name, type: "F16", shape, file: "/a/model.safetensors", offset: 0, length: 0 }
      ])
    ),
    metadata: {},
    files: []
  }, prefix)

const intOf = (node: Onnx.Node, name: string): number => {
  const attribute = node.attributes?.[name]
  return attribute !== undefined && "int" in attribute ? attribute.int : 0
}

const refused = (build: () => unknown): UnfitNetwork => {
  try {
    build()
  } catch (error) {
    if (error instanceof UnfitNetwork) return error
  }
  return assert.fail("it was not refused")
}

describe("full-size checkpoints", () => {
  it.each(layouts)("$name has the UNet that it is known for", ({ expected, name }) => {
    const shape = unetShape(layoutOf(name))
    const { adm, context, heads, in_channels, linear_projections, out_channels, transformer_depth, widths } =
      expected.unet
    assert.deepStrictEqual(shape, {
      inputs: in_channels,
      outputs: out_channels,
      channels: widths[0] ?? 0,
      context,
      adm: adm ?? 0,
      guidance: 0,
      halvings: widths.length - 1,
      linear: linear_projections,
      depths: transformer_depth.flatMap((depth) => [depth, depth])
    })
    const found = unet(layoutOf(name)).model().graph.nodes
      .filter(({ op }) => op === "MultiHeadAttention").map((node) => intOf(node, "num_heads"))
    const used = heads.filter((_, level) => (transformer_depth[level] ?? 0) > 0 || level === heads.length - 1)
    assert.deepStrictEqual(new Set(found), new Set(used))
  })

  it.each(layouts)(
    "$name has attention whose tokens can be merged, with and without ControlNets",
    ({ expected, name }) => {
      const [first = 0, second = 0] = expected.unet.transformer_depth
      // Two transformers on the way down, three on the way up.
      const wanted = first > 0 ? { downsample: 1, count: 5 * first } : { downsample: 2, count: 5 * second }
      for (const residuals of [false, true]) {
        const found = tokenMerging.find(unet(layoutOf(name), { residuals }).model())
        assert.deepStrictEqual({ downsample: found?.downsample, count: found?.inputs.length }, wanted)
      }
    }
  )

  it.each(layouts)("$name has the text encoders that it is known for", ({ expected, name }) => {
    for (const { activation, layers, prefix, width } of [expected.text, ...(expected.text2 ? [expected.text2] : [])]) {
      const weights = textOf(name, prefix)
      const { activation: found, ...shape } = clipTextShape(weights)
      assert.deepStrictEqual(
        { ...shape, activation: found },
        { width, layers, positions: 77, vocabulary: 49_408, pooled: width, activation: found }
      )
      assert.strictEqual(found, activation)
      const heads = clipText(weights).model().graph.nodes.find(({ op }) => op === "MultiHeadAttention")
      assert.strictEqual(heads && intOf(heads, "num_heads"), width / 64)
    }
  })

  it.each(layouts)("$name has an autoencoder of eight pixels a latent", ({ name }) => {
    const weights = textOf(name, "first_stage_model.")
    assert.deepStrictEqual(autoencoderShape(weights), { latentChannels: 4, scale: 8, encodes: true, decodes: true })
    const dims = (graph: Onnx.Graph) => graph.outputs.map(({ dims }) => dims)
    assert.deepStrictEqual(dims(autoencoderKlDecoder(weights).model().graph), [["batch", 3, "height*8", "width*8"]])
    assert.deepStrictEqual(dims(autoencoderKlEncoder(weights).model().graph), [["batch", 8, "height/8", "width/8"]])
  })

  it.each(["sd15", "sdxl-base"])("%s has the names that diffusers gives to its modules", (name) => {
    const rows: ReadonlyArray<ReadonlyArray<string>> = json(`${name}.unet-names.json`).rows ??
      json(`${name}.unet-names.json`)
    const modules = new Map(unetTable(unetLevels(layoutOf(name))))
    const renamed = rows.map(([original = ""]) => {
      for (let end = original.length; end > 0; end = original.lastIndexOf(".", end - 1)) {
        const other = modules.get(original.slice(0, end))
        if (other !== undefined) return other + original.slice(end)
      }
      return original
    })
    assert.deepStrictEqual(renamed, rows.map(([, diffusers]) => diffusers))
  })
})

describe("the order of nodes", () => {
  it("begins with the conversions of weights, which nothing but weights and constants go into", () => {
    const { initializers, nodes } = unet(layoutOf("sd15")).model().graph
    const fixed = new Set(initializers.map(({ name }) => name))
    const isConversion = ({ inputs: [first], op }: Onnx.Node) => op === "Cast" && fixed.has(first)
    assert.strictEqual(nodes.findIndex((node) => !isConversion(node)), 686)
    assert.strictEqual(nodes.filter(isConversion).length, 686)
  })
})

describe("the memory of a call", () => {
  it("is known of every network, and holds one converted layer at a time", () => {
    const MiB = 2 ** 20
    const network = unet(layoutOf("sd15")).model()
    const call = { sample: [2, 4, 64, 64], timestep: [1], encoder_hidden_states: [2, 77, 768] }
    // 3.4 GB of weights in float32, of which the largest has 118 MB.
    assert.closeTo((workingMemory(network, call) ?? NaN) / MiB, 200, 50)
    const vae = textOf("sd15", "first_stage_model.")
    assert.isAbove(workingMemory(autoencoderKlDecoder(vae).model(), { latent_sample: [1, 4, 64, 64] }) ?? NaN, MiB)
    assert.isAbove(workingMemory(autoencoderKlEncoder(vae).model(), { sample: [1, 3, 512, 512] }) ?? NaN, MiB)
    const text = textOf("sdxl-base", "conditioner.embedders.1.model.")
    assert.isAbove(workingMemory(clipText(text).model(), { input_ids: [1, 77] }) ?? NaN, MiB)
  })
})

describe("what does not fit", () => {
  const first = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"

  it("is named when it is missing, with the families that come near", () => {
    const error = refused(() => unet(layoutOf("sd15", (tensor) => tensor.name === first ? undefined : tensor)))
    assert.strictEqual(error.tensor, "input_blocks.1.0.in_layers.2.weight")
    assert.deepStrictEqual(error.near, ["Stable Diffusion 1"])
    assert.strictEqual(error.file, "/a/model.safetensors")
    assert.include(error.message, "is missing")
  })

  it("is named when it has another shape, with what was expected", () => {
    const error = refused(() =>
      unet(layoutOf("sdxl-base", (tensor) => tensor.name === first ? { ...tensor, shape: [320, 4, 3, 3] } : tensor))
    )
    assert.include(
      error.message,
      `${first} has the shape [320, 4, 3, 3], where input_blocks.1.0.in_layers.2 expects [any, 320, any, any]`
    )
    assert.deepStrictEqual(error.near, ["Stable Diffusion XL"])
  })

  it("is named when no layer reads it", () => {
    const added = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn3.to_q.weight"
    const error = refused(() =>
      unet(
        layoutOf("sd21", (tensor) =>
          tensor.name === first.replace("weight", "bias") ? { ...tensor, name: added } : tensor)
      )
    )
    assert.include(error.message, "attn3.to_q.weight has no place in the network")
    assert.deepStrictEqual(error.near, ["Stable Diffusion 2"])
  })

  it("is named when its numbers are of no type that layers read", () => {
    const error = refused(() =>
      unet(layoutOf("sd15", (tensor) => tensor.name === first ? { ...tensor, type: "I8" } : tensor))
    )
    assert.include(error.message, `${first} is of the element type I8`)
  })
})

describe("pruned networks", () => {
  const below = "model.diffusion_model."

  it("may differ in depth from block to block, and lack attention in the middle, as SSD-1B does", () => {
    // 10 blocks deep in one place, 4 in another, and none in the middle.
    const pruned = layoutOf("sdxl-base", (tensor) => {
      const [, place, block] =
        /^model\.diffusion_model\.(\w+\.\d+)\.1\.transformer_blocks\.(\d+)\./.exec(tensor.name) ?? []
      if (tensor.name.startsWith(`${below}middle_block.1.`) || tensor.name.startsWith(`${below}middle_block.2.`)) {
        return undefined
      }
      return place === "input_blocks.8" && Number(block) >= 4 ? undefined : tensor
    })
    assert.deepStrictEqual(unetShape(pruned).depths, [0, 0, 2, 2, 10, 4])
    const count = (weights: Weights) =>
      unet(weights).model().graph.nodes.filter(({ op }) => op === "MultiHeadAttention").length
    assert.strictEqual(count(layoutOf("sdxl-base")) - count(pruned), 2 * (10 + 6))
  })
})
