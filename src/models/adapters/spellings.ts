/**
 * How adapter files name what they change: a network, a layer of it, and the role of the tensor in the change.
 *
 * The same layer has many names: kohya's with underscores and diffusers' with dots, each by the original names of the
 * layers or by diffusers', with the prefixes of the programs that wrote the file.
 */

/** The role of a tensor in the change of its layer. */
export type Role =
  | "up"
  | "upBias"
  | "middle"
  | "down"
  | "alpha"
  | "scale"
  | "magnitude"
  | "diff"
  | "diffBias"
  | "rescale"
  | "blocks"
  | `hada_${"w1_a" | "w1_b" | "w2_a" | "w2_b" | "t1" | "t2"}`
  | `lokr_${"w1" | "w1_a" | "w1_b" | "w2" | "w2_a" | "w2_b" | "t2"}`
  | `glora_${"a1" | "a2" | "b1" | "b2"}`

/** A network that adapters change: the UNet, or a text encoder by its place in the model. */
export type NetworkName = "unet" | "text_encoder" | "text_encoder_2"

export interface Spelling {
  readonly network: NetworkName
  /** The layer as the file names it, without what stands for the network. */
  readonly layer: string
  readonly role: Role
  /** Whether the file is of kohya's OFT, whose alpha means another thing than that of LyCORIS. */
  readonly isKohyaOft: boolean
}

// Adapters of one file may have a name in PEFT: `lora_A.default.weight`.
const peft = String.raw`(?:\.[A-Za-z]\w*)?`

const roles: ReadonlyArray<readonly [role: Role, ends: RegExp]> = [
  ["upBias", new RegExp(String.raw`\.lora_B${peft}\.bias$`)],
  ["up", new RegExp(String.raw`\.(?:lora_up|lora\.up|lora_linear_layer\.up|lora_B${peft}?)(?:\.weight)?$`)],
  ["down", new RegExp(String.raw`\.(?:lora_down|lora\.down|lora_linear_layer\.down|lora_A${peft}?)(?:\.weight)?$`)],
  ["middle", /\.lora_mid(?:\.weight)?$/],
  ["alpha", /\.alpha$/],
  ["scale", /\.scale$/],
  ["magnitude", new RegExp(String.raw`\.(?:dora_scale|lora_magnitude_vector${peft})$`)],
  ["diff", /\.(?:diff|w_norm)(?:\.weight)?$/],
  ["diffBias", /\.(?:diff_b|b_norm)$/],
  ["rescale", /\.rescale$/],
  ["blocks", /\.(?:oft_blocks|oft_diag)$/]
]

// Names that begin with the algorithm.
const ofAlgorithm = /\.(?:(hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))|(a[12]|b[12]))(?:\.weight)?$/

const isAlgorithmRole = (role: string): role is Extract<Role, `${"hada" | "lokr" | "glora"}_${string}`> =>
  /^(?:hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|glora_[ab][12])$/.test(role)

// Diffusers' oldest names, in which the layer is part of the processor of its attention.
const ofProcessor = /^(.*?)\.(?:processor\.)?to_(q|k|v|out)_lora\.(up|down)(?:\.weight)?$/

const networks: ReadonlyArray<readonly [network: NetworkName, begins: RegExp]> = [
  ["text_encoder_2", /^(?:(?:lora|lycoris|oft)_te2_|text_encoder_2\.|(?:text_encoders\.)?clip_g\.(?:transformer\.)?)/],
  [
    "text_encoder",
    /^(?:(?:lora|lycoris|oft)_te1?_|text_encoder\.|(?:text_encoders\.)?clip_l\.(?:transformer\.)?|(?=text_model[._]))/
  ],
  [
    "unet",
    new RegExp(
      "^(?:(?:lora|lycoris|oft)_unet_|unet\\.|(?:model\\.)?diffusion_model\\.|lycoris_" +
        "|(?=(?:down_blocks|mid_block|up_blocks|input_blocks|middle_block|output_blocks|conv_in|conv_out" +
        "|conv_norm_out|time_embedding|add_embedding|time_embed|label_emb|out)[._]))"
    )
  ]
]

/** What a tensor's name says; undefined where it is no name of an adapter's. */
export const spellingOf = (name: string): Spelling | undefined => {
  const bare = name.replace(/^(?:base_model\.model\.)+/, "")
  const network = networks.find(([, begins]) => begins.test(bare))
  if (network === undefined) return undefined
  const rest = bare.replace(network[1], "")
  const found = layerAndRole(rest, network[0])
  return found && { network: network[0], ...found, isKohyaOft: bare.startsWith("oft_") }
}

const layerAndRole = (name: string, network: NetworkName): Pick<Spelling, "layer" | "role"> | undefined => {
  const [, attention, part = "", direction] = ofProcessor.exec(name) ?? []
  if (attention !== undefined) {
    const own = network === "unet" ? part === "out" ? "to_out.0" : `to_${part}` : `${part}_proj`
    return { layer: `${attention}.${own}`, role: direction === "up" ? "up" : "down" }
  }
  for (const [role, ends] of roles) {
    const end = name.search(ends)
    if (end > 0) return { layer: name.slice(0, end), role }
  }
  const [end, algorithm, generalised] = ofAlgorithm.exec(name) ?? []
  const role = generalised === undefined ? algorithm : `glora_${generalised}`
  return end === undefined || role === undefined || !isAlgorithmRole(role)
    ? undefined
    : { layer: name.slice(0, -end.length), role }
}

/** A name in which kohya's and diffusers' spelling of a layer are the same. */
export const plain = (layer: string): string => layer.replaceAll(".", "_").replace(/^text_model_/, "")
