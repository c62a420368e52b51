/**
 * What a file of weights holds, recognised by the names and shapes of its tensors: never by its name or place.
 *
 * The networks in it are found by the names that begin each of them, whatever prefix stands before. The rules that
 * separate a family are those that decide what the network computes: widths, the form of projections, where there is
 * attention.
 */
import * as adapters from "./adapterNames.ts"
import { architectures } from "./otherArchitectures.ts"
import { type ElementType, isFloat, type StoredTensor } from "./WeightSource.ts"

/** What can be known of a tensor from a header. */
export type TensorShape = Pick<StoredTensor, "name" | "type" | "shape">
export type Tensors = ReadonlyMap<string, TensorShape>

/** Families whose networks are built from checkpoints. */
export type FamilyName = "sd1" | "sd2" | "sdxl" | "sdxl-refiner"

/** What a file is for. */
export const kinds = [
  "checkpoint",
  "unet",
  "vae",
  "text-encoder",
  "lora",
  "embedding",
  "controlnet",
  "t2i-adapter",
  "taesd",
  "upscaler",
  "diffusion-transformer",
  "other"
] as const
export type Kind = (typeof kinds)[number]

/** A network in a source. */
export interface Part {
  readonly network:
    | "unet"
    | "controlnet"
    | "vae"
    | "clip"
    | "open-clip"
    | "taesd-encoder"
    | "taesd-decoder"
    | "esrgan"
    | "compact"
  /** Before each of its tensors' names: `model.diffusion_model.`, or empty. */
  readonly prefix: string
  /** Whose names its tensors have. CLIP's are always transformers', OpenCLIP's its own ("original"). */
  readonly naming: "original" | "diffusers"
}

/** Tensors that no network reads, and why. */
export interface Ignored {
  readonly reason: string
  readonly names: ReadonlyArray<string>
}

/** What a UNet was made for, if not for denoising alone. */
export type Variant = "inpainting" | "instruct-pix2pix" | "depth" | "upscaling" | "unclip"

export interface Contents {
  readonly kind: Kind
  /** The family that it belongs to or fits; undefined where several would do, or none is known. */
  readonly family: FamilyName | undefined
  readonly variant: Variant | undefined
  /** The signs it was recognised by, as phrases. */
  readonly why: ReadonlyArray<string>
  readonly parts: ReadonlyArray<Part>
  readonly ignored: ReadonlyArray<Ignored>
  /** Element types of its numbers, the one with the most values first. */
  readonly precision: ReadonlyArray<ElementType>
  /** More about its kind, such as "LoRA and DoRA" or "ESRGAN, 4x". */
  readonly detail: string | undefined
  /** Why it cannot be used, as a phrase; undefined where it can. */
  readonly problem: string | undefined
}

type Found = Pick<Contents, "detail" | "family" | "kind" | "parts" | "problem" | "variant" | "why">

const found = (kind: Kind, more: Partial<Found>): Found => ({
  kind,
  family: undefined,
  variant: undefined,
  why: [],
  parts: [],
  detail: undefined,
  problem: undefined,
  ...more
})

/** Finds what a source holds. */
export const contentsOf = (tensors: Tensors): Contents => {
  const own = new Map([...tensors].filter(([name]) => !name.startsWith("model_ema.")))
  const what = lora(own) ?? embedding(own) ?? controlNet(own) ?? stableDiffusion(own) ?? otherArchitecture(own) ??
    smallNetwork(own) ?? found("other", { problem: "it has no network that Serena knows" })
  return { ...what, ignored: ignoredOf(tensors, what), precision: precisionOf(own) }
}

/** Element types, by the number of their values. */
const precisionOf = (tensors: Tensors): ReadonlyArray<ElementType> => {
  const values = new Map<ElementType, number>()
  for (const { shape, type } of tensors.values()) {
    if (isFloat(type)) values.set(type, (values.get(type) ?? 0) + shape.reduce((a, b) => a * b, 1))
  }
  return [...values].toSorted(([, a], [, b]) => b - a).map(([type]) => type)
}

// Every prefix before a name that ends so; the end follows a dot or stands alone.
const prefixesOf = (tensors: Tensors, end: string): ReadonlyArray<string> =>
  [...tensors.keys()]
    .filter((name) => name.endsWith(end) && (name.length === end.length || name.at(-end.length - 1) === "."))
    .map((name) => name.slice(0, -end.length))

const shapeOf = (tensors: Tensors, name: string): ReadonlyArray<number> | undefined => tensors.get(name)?.shape

const firstShape = (tensors: Tensors, prefix: string, end: string): ReadonlyArray<number> | undefined => {
  for (const [name, { shape }] of tensors) if (name.startsWith(prefix) && name.endsWith(end)) return shape
  return undefined
}

const hasBelow = (tensors: Tensors, prefix: string): boolean => {
  for (const name of tensors.keys()) if (name.startsWith(prefix)) return true
  return false
}

const lora = (tensors: Tensors): Found | undefined => {
  const about = adapters.adapterOf(tensors)
  return about === undefined ? undefined : found("lora", about)
}

const widths: Readonly<Record<number, FamilyName>> = { 768: "sd1", 1024: "sd2", 1280: "sdxl" }

const counted = (vectors: number): string => vectors === 1 ? "1 vector" : `${vectors} vectors`

const embedding = (tensors: Tensors): Found | undefined => {
  const all = [...tensors.values()].filter(({ shape }) => shape.length > 0)
  const isVectors = all.every(({ shape, type }) => shape.length <= 2 && isFloat(type))
  if (!isVectors || all.length === 0 || all.length > 8) return undefined
  const vectors = ({ shape }: TensorShape) => shape.length === 1 ? 1 : shape[0] ?? 0
  const of = (name: string) => tensors.get(name)
  const [l, g] = [of("clip_l"), of("clip_g")]
  if (l !== undefined && g !== undefined) {
    const isPair = vectors(l) === vectors(g)
    return found("embedding", {
      family: "sdxl",
      why: ["it has clip_l and clip_g, a list of vectors for each text encoder of SDXL"],
      detail: counted(vectors(l)),
      problem: isPair ? undefined : `clip_l has ${vectors(l)} vectors and clip_g ${vectors(g)}`
    })
  }
  const named = of("emb_params") ?? [...tensors.values()].find(({ name }) => name.startsWith("string_to_param.")) ??
    (all.length === 1 && !/\.|^\d+$/.test(all[0]?.name ?? ".") ? all[0] : undefined)
  if (named === undefined) return undefined
  const width = named.shape.at(-1) ?? 0
  return found("embedding", {
    family: widths[width],
    why: [`it has vectors of ${width} numbers`],
    detail: counted(vectors(named))
  })
}

const firstConvolution = { original: "input_blocks.0.0.weight", diffusers: "conv_in.weight" } as const

interface UNetShape {
  readonly family: FamilyName
  readonly variant: Variant | undefined
  readonly why: ReadonlyArray<string>
}

/** What the shapes of a UNet, or of the half of one that a ControlNet is, say. */
const unetShape = (tensors: Tensors, { naming, prefix }: Pick<Part, "naming" | "prefix">): UNetShape | undefined => {
  const channels = shapeOf(tensors, prefix + firstConvolution[naming])?.[1]
  const context = firstShape(tensors, prefix, ".attn2.to_k.weight")?.[1]
  const projection = firstShape(tensors, prefix, ".proj_in.weight")?.length
  if (channels === undefined || context === undefined || projection === undefined) return undefined
  const label = naming === "original" ? "label_emb.0.0.weight" : "add_embedding.linear_1.weight"
  const adm = shapeOf(tensors, prefix + label)?.[1]
  const isFineAttended = hasBelow(
    tensors,
    prefix + (naming === "original" ? "input_blocks.1.1." : "down_blocks.0.attentions.")
  )
  const family: FamilyName = projection === 4
    ? "sd1"
    : adm === undefined || isFineAttended
    ? "sd2"
    // The pooled text is as wide as the refiner's context; SDXL's context has CLIP-L's width in addition.
    : adm - 5 * 256 === context
    ? "sdxl-refiner"
    : "sdxl"
  const isUnclip = family === "sd2" && (adm !== undefined || hasBelow(tensors, `${prefix}class_embedding.linear_1.`))
  return {
    family,
    variant: isUnclip && channels === 4 ? "unclip" : variants[channels],
    why: [
      `the UNet's projections are ${projection === 4 ? "convolutions" : "linear"}`,
      `its text is ${context} wide`,
      `it takes ${channels} channels`,
      ...(adm === undefined
        ? []
        : [
          `and ${adm} numbers about the image, ${isFineAttended ? "with" : "without"} attention at the finest level`
        ])
    ]
  }
}

const variants: Readonly<Record<number, Variant>> = {
  5: "depth",
  7: "upscaling",
  8: "instruct-pix2pix",
  9: "inpainting"
}

const unusedVariants: Partial<Readonly<Record<Variant, string>>> = {
  depth: "models that read a depth map are not supported yet",
  upscaling: "models that enlarge images by diffusion are not supported yet",
  unclip: "unCLIP models, which read an image in place of text, are not supported yet"
}

const controlNet = (tensors: Tensors): Found | undefined => {
  if (tensors.has("lora_controlnet")) {
    return found("controlnet", {
      detail: "Control-LoRA",
      problem: "Control-LoRA is not supported; use a whole ControlNet"
    })
  }
  if (hasBelow(tensors, "lllite_")) {
    return found("controlnet", { detail: "ControlNet-LLLite", problem: "ControlNet-LLLite is not supported yet" })
  }
  const original = prefixesOf(tensors, "zero_convs.0.0.weight")[0]
  const diffusers = prefixesOf(tensors, "controlnet_cond_embedding.conv_in.weight")[0]
  const prefix = original ?? diffusers
  if (prefix !== undefined) {
    const naming = original === undefined ? "diffusers" : "original"
    const part: Part = { network: "controlnet", prefix, naming }
    const unet = unetShape(tensors, part)
    const isUnion = hasBelow(tensors, `${prefix}task_embedding`) || hasBelow(tensors, `${prefix}control_type_proj.`)
    return found("controlnet", {
      family: unet?.family,
      why: unet === undefined ? [] : unet.why,
      parts: [part],
      detail: isUnion ? "union" : undefined,
      problem: isUnion
        ? "ControlNets of several tasks (union) are not supported yet"
        : unet === undefined
        ? "it is a ControlNet of no family that Serena knows"
        : undefined
    })
  }
  const isAdapter = ["body.0.in_conv.weight", "body.0.block1.weight", "adapter.body.0.resnets.0.block1.weight"]
    .some((end) => prefixesOf(tensors, end).length > 0)
  return isAdapter
    ? found("t2i-adapter", { problem: "T2I-Adapters are not supported yet; use a ControlNet" })
    : undefined
}

const stableDiffusion = (tensors: Tensors): Found | undefined => {
  const unet = unetPart(tensors)
  const vae = vaePart(tensors)
  const texts = textParts(tensors)
  const parts = [unet, vae, ...texts].filter((part) => part !== undefined)
  if (unet !== undefined) return withUNet(tensors, unet, parts)
  if (vae !== undefined && texts.length === 0) return vaeFile(tensors, vae)
  const [text] = texts
  if (text !== undefined) {
    const width = textWidth(tensors, text)
    const many = texts.length > 1 ? `${texts.length} text encoders` : undefined
    return found("text-encoder", {
      why: [`its text is ${width} wide`],
      parts,
      detail: many ?? (text.network === "open-clip" || width > 768 ? `OpenCLIP, ${width} wide` : `CLIP, ${width} wide`)
    })
  }
  return undefined
}

const unetPart = (tensors: Tensors): Part | undefined => {
  const original = prefixesOf(tensors, "input_blocks.0.0.weight")
    .find((prefix) => tensors.has(`${prefix}out.2.weight`))
  if (original !== undefined) return { network: "unet", prefix: original, naming: "original" }
  const diffusers = prefixesOf(tensors, "down_blocks.0.resnets.0.time_emb_proj.weight")
    .find((prefix) => tensors.has(`${prefix}conv_out.weight`))
  return diffusers === undefined ? undefined : { network: "unet", prefix: diffusers, naming: "diffusers" }
}

const vaePart = (tensors: Tensors): Part | undefined => {
  const [original] = prefixesOf(tensors, "decoder.mid.block_1.conv1.weight")
  if (original !== undefined) return { network: "vae", prefix: original, naming: "original" }
  const [diffusers] = prefixesOf(tensors, "decoder.mid_block.resnets.0.conv1.weight")
  return diffusers === undefined ? undefined : { network: "vae", prefix: diffusers, naming: "diffusers" }
}

const textParts = (tensors: Tensors): ReadonlyArray<Part> => [
  ...prefixesOf(tensors, "embeddings.token_embedding.weight").map((prefix): Part => ({
    network: "clip",
    prefix,
    naming: "diffusers"
  })),
  ...prefixesOf(tensors, "token_embedding.weight")
    .filter((prefix) => tensors.has(`${prefix}transformer.resblocks.0.ln_1.weight`))
    .map((prefix): Part => ({ network: "open-clip", prefix, naming: "original" }))
]

const textWidth = (tensors: Tensors, { network, prefix }: Part): number =>
  shapeOf(tensors, `${prefix}${network === "clip" ? "embeddings." : ""}token_embedding.weight`)?.[1] ?? 0

const withUNet = (tensors: Tensors, unet: Part, parts: ReadonlyArray<Part>): Found => {
  const shape = unetShape(tensors, unet)
  const texts = parts.filter(({ network }) => network === "clip" || network === "open-clip")
  const hasVae = parts.some(({ network }) => network === "vae")
  const missing = [...(hasVae ? [] : ["no VAE"]), ...(texts.length > 0 ? [] : ["no text encoder"])]
  if (shape === undefined) {
    return found("unet", { parts, problem: "its UNet has no attention to text, so it is no Stable Diffusion model" })
  }
  const { family, variant, why } = shape
  return found(missing.length === 0 ? "checkpoint" : "unet", {
    family,
    variant,
    why: [...why, ...(missing.length === 0 ? [] : [`it has ${missing.join(" and ")}`])],
    parts,
    problem: variant === undefined ? undefined : unusedVariants[variant]
  })
}

const vaeFile = (tensors: Tensors, vae: Part): Found => {
  const input = shapeOf(tensors, `${vae.prefix}decoder.conv_in.weight`)
  const channels = input?.[1] ?? 0
  const isFlat = input?.length === 4
  return found("vae", {
    why: [`its latents have ${channels} channels`],
    parts: [vae],
    problem: !isFlat
      ? "it is a VAE of videos, which are not supported"
      : channels !== 4
      ? `it is the VAE of another family: its latents have ${channels} channels, not 4`
      : undefined
  })
}

const otherArchitecture = (tensors: Tensors): Found | undefined => {
  for (const { kind, marks, problem, title } of architectures) {
    if (!marks.some((mark) => prefixesOf(tensors, mark).length > 0 || tensors.has(mark))) continue
    return found(kind, {
      why: [`it has tensors that only ${title} has`],
      detail: title,
      problem: problem ?? `${title} is not supported yet`
    })
  }
  return undefined
}

const smallNetwork = (tensors: Tensors): Found | undefined => taesd(tensors) ?? upscaler(tensors)

const taesd = (tensors: Tensors): Found | undefined => {
  const parts: Array<Part> = []
  for (const prefix of ["", "taesd_decoder.", "decoder."]) {
    if (hasShape(tensors, `${prefix}1.weight`, 4) && tensors.has(`${prefix}3.conv.0.weight`)) {
      parts.push({ network: "taesd-decoder", prefix, naming: "original" })
    }
  }
  for (const prefix of ["", "taesd_encoder.", "encoder."]) {
    if (hasShape(tensors, `${prefix}0.weight`, 4) && tensors.has(`${prefix}1.conv.0.weight`)) {
      parts.push({ network: "taesd-encoder", prefix, naming: "original" })
    }
  }
  if (hasShape(tensors, "decoder.layers.0.weight", 4) && tensors.has("decoder.layers.2.conv.0.weight")) {
    parts.push({ network: "taesd-decoder", prefix: "decoder.layers.", naming: "diffusers" })
  }
  if (hasShape(tensors, "encoder.layers.0.weight", 4) && tensors.has("encoder.layers.1.conv.0.weight")) {
    parts.push({ network: "taesd-encoder", prefix: "encoder.layers.", naming: "diffusers" })
  }
  const [first] = parts
  if (first === undefined) return undefined
  const decoder = parts.find(({ network }) => network === "taesd-decoder")
  const input = decoder === undefined
    ? undefined
    : shapeOf(tensors, `${decoder.prefix}${decoder.naming === "diffusers" ? 0 : 1}.weight`)
  const channels = input?.[1] ?? 4
  return found("taesd", {
    why: ["it has the numbered layers of a tiny autoencoder"],
    parts,
    detail: parts.map(({ network }) => network.slice("taesd-".length)).join(" and "),
    problem: channels === 4 ? undefined : `it is for latents of ${channels} channels, not 4`
  })
}

const hasShape = (tensors: Tensors, name: string, dimensions: number): boolean =>
  shapeOf(tensors, name)?.length === dimensions

/** Prefixes under which trainers of upscalers save the weights. */
const trainers = ["", "params_ema.", "params.", "model_state_dict."]

const upscaler = (tensors: Tensors): Found | undefined => {
  for (const prefix of trainers) {
    const has = (name: string) => tensors.has(prefix + name)
    const old = has("model.1.sub.0.RDB1.conv1.0.weight")
    const between = has("RRDB_trunk.0.RDB1.conv1.weight")
    const recent = has("body.0.rdb1.conv1.weight")
    if (old || between || recent) {
      const ups = old ? ["model.3.", "model.6."] : between ? ["upconv1.", "upconv2."] : ["conv_up1.", "conv_up2."]
      const count = old ? oldUpsamplings(tensors, prefix) : ups.filter((up) => hasBelow(tensors, prefix + up)).length
      const input = shapeOf(tensors, prefix + (old ? "model.0.weight" : "conv_first.weight"))?.[1] ?? 3
      const shuffled = input === 48 ? 4 : input === 12 ? 2 : 1
      const scale = 2 ** count / shuffled
      return found("upscaler", {
        why: [
          `it has the residual dense blocks of ESRGAN, by ${old ? "the old" : recent ? "the new" : "BasicSR's"} names`
        ],
        parts: [{ network: "esrgan", prefix, naming: "original" }],
        detail: `ESRGAN, ${scale}x`,
        problem: [3, 12, 48].includes(input) ? undefined : `it takes ${input} channels, not colours`
      })
    }
    // A convolution, and a slope for each channel.
    if (hasShape(tensors, `${prefix}body.0.weight`, 4) && hasShape(tensors, `${prefix}body.1.weight`, 1)) {
      const last = [...tensors.values()]
        .filter(({ name, shape }) => name.startsWith(`${prefix}body.`) && shape.length === 4)
        .reduce((last, { name, shape }) => {
          const index = Number(name.slice(prefix.length).split(".")[1])
          return index > last.index ? { index, outputs: shape[0] ?? 0 } : last
        }, { index: -1, outputs: 0 })
      const scale = Math.sqrt(last.outputs / 3)
      return found("upscaler", {
        why: ["it is a chain of convolutions and slopes (SRVGGNet)"],
        parts: [{ network: "compact", prefix, naming: "original" }],
        detail: `Compact, ${scale}x`,
        problem: Number.isInteger(scale) ? undefined : `its last layer has ${last.outputs} channels, which fit no scale`
      })
    }
  }
  return undefined
}

// The old names number the layers of a Sequential: 2 without an upsampling, and 3 more for each.
const oldUpsamplings = (tensors: Tensors, prefix: string): number => {
  const layers = new Set<number>()
  for (const name of tensors.keys()) {
    const [, layer] = /^model\.(\d+)\.(weight|bias)$/.exec(name.slice(prefix.length)) ?? []
    if (layer !== undefined && name.startsWith(prefix)) layers.add(Number(layer))
  }
  return Math.round((Math.max(...layers) - 4) / 3)
}

/** Names of the tensors of each network, after its prefix. Those that match none are unknown. */
const block = "(in_layers\\.[02]|emb_layers\\.1|out_layers\\.[03]|skip_connection|op|conv|norm|proj_in|proj_out|" +
  "transformer_blocks\\.\\d+\\.(norm[123]|attn[12]\\.(to_[qkv]|to_out\\.0)|ff\\.net\\.(0\\.proj|2)))"
const diffusersBlock =
  "((resnets|attentions|downsamplers|upsamplers)\\.\\d+\\.(norm[12]?|conv[12]?|time_emb_proj|conv_shortcut|proj_in|" +
  "proj_out|transformer_blocks\\.\\d+\\.(norm[123]|attn[12]\\.(to_[qkv]|to_out\\.0)|ff\\.net\\.(0\\.proj|2))))"
const resnet = "(norm[12]|conv[12]|nin_shortcut|conv_shortcut|time_emb_proj)"
const attention = "(norm|group_norm|q|k|v|proj_out|to_[qkv]|to_out\\.0|query|key|value|proj_attn)"
const ends = "\\.(weight|bias)$"

const ownNames: Readonly<Record<"unet" | "vae" | "clip" | "open-clip", RegExp>> = {
  unet: new RegExp(
    `^(time_embed\\.[02]|label_emb\\.0\\.[02]|out\\.[02]|input_blocks\\.0\\.0|(input|output)_blocks\\.\\d+\\.\\d\\.${block}|` +
      `middle_block\\.\\d\\.${block}|time_embedding\\.(linear_[12]|cond_proj)|add_embedding\\.linear_[12]|conv_in|` +
      `conv_norm_out|conv_out|(down_blocks|up_blocks)\\.\\d+\\.${diffusersBlock}|mid_block\\.${diffusersBlock})${ends}`
  ),
  vae: new RegExp(
    `^((encoder|decoder)\\.(conv_in|norm_out|conv_norm_out|conv_out|mid\\.block_[12]\\.${resnet}|mid\\.attn_1\\.` +
      `${attention}|(down|up)\\.\\d+\\.(block\\.\\d+\\.${resnet}|(downsample|upsample)\\.conv)|mid_block\\.(resnets\\.\\d+` +
      `\\.${resnet}|attentions\\.\\d+\\.${attention})|(down|up)_blocks\\.\\d+\\.(resnets\\.\\d+\\.${resnet}|` +
      `(downsamplers|upsamplers)\\.0\\.conv))|(post_)?quant_conv)${ends}`
  ),
  clip: new RegExp(
    `^(embeddings\\.(token|position)_embedding|final_layer_norm|encoder\\.layers\\.\\d+\\.(layer_norm[12]|self_attn\\.` +
      `(q|k|v|out)_proj|mlp\\.fc[12]))${ends}`
  ),
  "open-clip": new RegExp(
    `^(positional_embedding|text_projection|(token_embedding|ln_final|transformer\\.resblocks\\.\\d+\\.(ln_[12]|attn\\.` +
      `(out_proj)|mlp\\.c_(fc|proj)))\\.(weight|bias)|text_projection\\.weight|transformer\\.resblocks\\.\\d+\\.attn\\.` +
      `in_proj_(weight|bias))$`
  )
}

const isOwn = (network: string): network is keyof typeof ownNames => Object.hasOwn(ownNames, network)

/** Tensors that checkpoints have and no network reads, by why. */
const useless: ReadonlyArray<readonly [reason: string, names: RegExp]> = [
  ["an average of the weights that training kept (EMA)", /^model_ema\./],
  ["positions, which are 0 to 76 in every model", /(^|\.)position_ids$/],
  [
    "the noise schedule, which is computed",
    /^(betas|.*alphas_cumprod.*|sqrt_.*|posterior_.*|lvlb_weights|logvar|denoiser\.(log_)?sigmas)$/
  ],
  ["losses and optimizers of training", /(^|\.)(loss|optimizer|optimizer_states|lr_schedulers|discriminator)\./],
  ["a scale of training (logit_scale)", /(^|\.)logit_scale$/],
  ["scales of 8-bit weights", /\.(scale_weight|weight_scale|scale_input|input_scale)$|^(.*\.)?scaled_fp8$/],
  ["marks of the prediction", /^(v_pred|ztsnr|edm_mean|edm_std|edm_vpred\..*)$/]
]

const read = new Set(["scales of 8-bit weights", "marks of the prediction"])

const ignoredOf = (tensors: Tensors, { family, kind, parts }: Found): ReadonlyArray<Ignored> => {
  if (!["checkpoint", "unet", "vae", "text-encoder"].includes(kind)) return []
  const byReason = new Map<string, Array<string>>()
  const ignore = (reason: string, name: string) => {
    const names = byReason.get(reason)
    if (names === undefined) byReason.set(reason, [name])
    else names.push(name)
  }
  const clipProjection = new Set(
    parts.flatMap(({ network, prefix }) =>
      network === "clip" ? [`${prefix.replace(/text_model\.$/, "")}text_projection.weight`] : []
    )
  )
  for (const name of tensors.keys()) {
    const [reason] = useless.find(([, names]) => names.test(name)) ?? []
    if (reason !== undefined) {
      if (!read.has(reason)) ignore(reason, name)
      continue
    }
    const isText = family === "sd2" && /(^|\.)text_projection(\.weight)?$/.test(name)
    if (isText) {
      ignore("the projection of the pooled text, which this family does not use", name)
      continue
    }
    const known = clipProjection.has(name) ||
      parts.some(({ network, prefix }) =>
        name.startsWith(prefix) && isOwn(network) && ownNames[network].test(name.slice(prefix.length))
      )
    if (!known) ignore("unknown", name)
  }
  return [...byReason].map(([reason, names]) => ({ reason, names }))
}
