/**
 * What an adapter's names say: its algorithms, and the family whose networks it changes.
 */
import type { FamilyName, TensorShape } from "./contents.ts"

/** Algorithms by the ends of their tensors' names. */
const algorithms: ReadonlyArray<readonly [name: string, ends: RegExp]> = [
  [
    "LoRA",
    /[._](lora_up|lora_down|lora_A|lora_B|lora\.up|lora\.down|lora_linear_layer\.(up|down)|to_(q|k|v|out)_lora\.(up|down))(\.default)?\.weight$/
  ],
  ["LoCon", /\.lora_mid\.weight$/],
  ["LoHa", /\.hada_w1_a$/],
  ["LoKr", /\.lokr_w1(_a)?$/],
  ["DoRA", /\.(dora_scale|lora_magnitude_vector(\.weight)?)$/],
  ["full weights", /\.(diff|diff_b)$/],
  ["norms", /\.(w_norm|b_norm)$/],
  ["OFT", /\.(oft_blocks|oft_diag)$/],
  ["GLoRA", /\.(a1|b1)\.weight$/]
]

/** The embedding in an adapter's file that a tensor is of (`bundle_emb.NAME.`), and its name in a file of its own. */
export const bundledEmbedding = (
  name: string
): { readonly embedding: string; readonly tensor: string } | undefined => {
  const [, embedding, tensor] = /^bundle_emb\.([^.]+)\.(.+)$/.exec(name) ?? []
  return embedding === undefined || tensor === undefined ? undefined : { embedding, tensor }
}

/** Other families by names of modules that only they have. */
const transformers: ReadonlyArray<readonly [name: string, modules: RegExp]> = [
  ["Flux", /double_blocks[._]\d|single_blocks[._]\d|single_transformer_blocks[._]\d/],
  ["Stable Diffusion 3", /joint_blocks[._]\d|transformer\.transformer_blocks[._]\d+[._]attn\.add_/],
  ["a diffusion transformer", /^(transformer|diffusion_model\.(layers|blocks|transformer_blocks)|lora_transformer)[._]/]
]

interface Adapter {
  readonly family: FamilyName | undefined
  readonly why: ReadonlyArray<string>
  readonly detail: string
  readonly problem: string | undefined
}

/** What an adapter is; undefined for a source that is none. */
export const adapterOf = (tensors: ReadonlyMap<string, TensorShape>): Adapter | undefined => {
  const names = [...tensors.keys()]
  const uses = algorithms.filter(([, ends]) => names.some((name) => ends.test(name))).map(([name]) => name)
  if (uses.length === 0) return undefined
  // GLoRA's and full weights' ends are short, and checkpoints may have them: adapters have no whole networks.
  if (names.some((name) => /(^|\.)(input_blocks\.0\.0|conv_in|token_embedding)\.weight$/.test(name))) return undefined
  const other = transformers.find(([, modules]) => names.some((name) => modules.test(name)))
  const detail = uses.join(", ")
  if (other !== undefined) {
    return {
      family: undefined,
      why: [`it changes modules of ${other[0]}`],
      detail,
      problem: `it is for ${other[0]}, which is not supported yet`
    }
  }
  return { ...familyOf(tensors, names), detail, problem: undefined }
}

const familyOf = (
  tensors: ReadonlyMap<string, TensorShape>,
  names: ReadonlyArray<string>
): Pick<Adapter, "family" | "why"> => {
  const mark = names.find((name) => /^(lora_te2_|text_encoder_2\.)|transformer_blocks[._][1-9]/.test(name))
  if (mark !== undefined) return { family: "sdxl", why: [`it changes ${mark}, which only SDXL has`] }
  for (const { name, shape } of tensors.values()) {
    const width = /attn2[._]to_[kv].*(down|lora_A|lora\.down)/.test(name) ? shape[1] : undefined
    const family = width === 2048 ? "sdxl" : width === 1024 ? "sd2" : width === 768 ? "sd1" : undefined
    if (family !== undefined) return { family, why: [`it changes ${name}, which reads a text of ${width} numbers`] }
  }
  const projection = [...tensors.values()].find(({ name }) => /proj_in.*(down|lora_A|lora\.down)/.test(name))
  const isFineAttended = names.some((name) => /down_blocks[._]0[._]attentions|input_blocks[._]1[._]1/.test(name))
  if (projection !== undefined && isFineAttended) {
    return projection.shape.length === 4
      ? { family: "sd1", why: ["its projections are convolutions"] }
      : { family: undefined, why: ["its names fit Stable Diffusion 1 and 2"] }
  }
  return isFineAttended
    ? { family: undefined, why: ["its names fit Stable Diffusion 1 and 2"] }
    : { family: undefined, why: ["its names fit several families"] }
}
