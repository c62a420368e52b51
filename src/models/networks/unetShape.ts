/**
 * The shape of a UNet or ControlNet, read from its tensors.
 */
import { UnfitNetwork } from "../graph/UnfitNetwork.ts"
import type { Weights } from "../graph/Weights.ts"
import { unetNames } from "./unetNames.ts"

export interface UNetShape {
  /** Channels that enter: 4 of latents, 9 with a mask and the masked image, 8 with the image to edit. */
  readonly inputs: number
  /** Channels that leave; 0 for a ControlNet. */
  readonly outputs: number
  /** Width of the first level. */
  readonly channels: number
  /** Width of each token of the text. */
  readonly context: number
  /** Width of `y`; 0 without it. */
  readonly adm: number
  /** Width of `timestep_cond`; 0 without it. */
  readonly guidance: number
  /** How often both sides are halved. */
  readonly halvings: number
  /** Whether the projections around transformers are linear layers, as from SD 2 on, or 1 x 1 convolutions. */
  readonly linear: boolean
  /** Depth of the transformer behind each residual block on the way down; 0 where there is none. */
  readonly depths: ReadonlyArray<number>
}

/** Reads the sizes of a UNet or ControlNet, in either layout. Throws `UnfitNetwork` where it has no first layer. */
export const unetShape = (weights: Weights): UNetShape => {
  const w = unetNames(weights)
  const [channels = 0, inputs = 0] = w.tensor("input_blocks.0.0.weight").shape
  const blocks = w.at("input_blocks").list
  const first = [...blocks, w.at("middle_block"), ...w.at("output_blocks").list]
    .map((block) => block.at(1)).find((module) => module.has("transformer_blocks"))
  return {
    channels,
    inputs,
    outputs: w.shape("out.2.weight")?.[0] ?? 0,
    context: first?.shape("transformer_blocks.0.attn2.to_k.weight")?.[1] ?? 0,
    adm: w.shape("label_emb.0.0.weight")?.[1] ?? 0,
    guidance: w.shape("time_embed.cond_proj.weight")?.[1] ?? 0,
    halvings: blocks.filter((block) => block.has("0.op")).length,
    linear: first?.shape("proj_in.weight")?.length === 2,
    depths: blocks.flatMap((block) => block.has("0.in_layers") ? [block.at("1.transformer_blocks").list.length] : [])
  }
}

type Trait = "channels" | "context" | "adm" | "halvings" | "linear" | "depths"

const families: ReadonlyArray<readonly [name: string, shape: Pick<UNetShape, Trait>]> = [
  ["Stable Diffusion 1", {
    channels: 320,
    context: 768,
    adm: 0,
    halvings: 3,
    linear: false,
    depths: [1, 1, 1, 1, 1, 1, 0, 0]
  }],
  ["Stable Diffusion 2", {
    channels: 320,
    context: 1024,
    adm: 0,
    halvings: 3,
    linear: true,
    depths: [1, 1, 1, 1, 1, 1, 0, 0]
  }],
  ["Stable Diffusion XL", {
    channels: 320,
    context: 2048,
    adm: 2816,
    halvings: 2,
    linear: true,
    depths: [0, 0, 2, 2, 10, 10]
  }],
  ["the refiner of Stable Diffusion XL", {
    channels: 384,
    context: 1280,
    adm: 2560,
    halvings: 3,
    linear: true,
    depths: [0, 0, 4, 4, 4, 4, 0, 0]
  }]
]

/** The families whose UNets share most with these tensors; none where there is nothing of a UNet. */
export const nearestFamilies = (weights: Weights): ReadonlyArray<string> => {
  try {
    const shape = unetShape(weights)
    const scored = families.map(([name, family]) => ({ name, score: likeness(shape, family) }))
    const best = Math.max(...scored.map(({ score }) => score))
    return best === 0 ? [] : scored.flatMap(({ name, score }) => score === best ? [name] : [])
  } catch (error) {
    if (error instanceof UnfitNetwork) return []
    throw error
  }
}

const likeness = (shape: UNetShape, family: Pick<UNetShape, Trait>): number =>
  (["channels", "context", "adm", "halvings", "linear", "depths"] as const)
    .filter((trait) => `${shape[trait]}` === `${family[trait]}`).length
