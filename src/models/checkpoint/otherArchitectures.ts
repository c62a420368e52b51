/**
 * Architectures that are recognised, so that their files are refused by name.
 */
import type { Kind } from "./contents.ts"

interface Architecture {
  readonly title: string
  readonly kind: Kind
  /** Ends of names that only it has, after any prefix. */
  readonly marks: ReadonlyArray<string>
  /** In place of "... is not supported yet". */
  readonly problem?: string
}

const transformer = (title: string, ...marks: ReadonlyArray<string>): Architecture => ({
  title,
  kind: "diffusion-transformer",
  marks
})

/** The more special ones come first: Chroma has Flux's blocks, too. */
export const architectures: ReadonlyArray<Architecture> = [
  transformer("Chroma", "distilled_guidance_layer.layers.0.in_layer.weight"),
  transformer(
    "HunyuanVideo",
    "txt_in.individual_token_refiner.blocks.0.norm1.weight",
    "context_embedder.token_refiner.refiner_blocks.0.norm1.weight"
  ),
  transformer(
    "Flux",
    "double_blocks.0.img_attn.norm.key_norm.scale",
    "double_blocks.0.img_attn.qkv.weight",
    "single_transformer_blocks.0.norm.linear.weight"
  ),
  transformer("Qwen-Image", "transformer_blocks.0.img_mod.1.weight"),
  transformer(
    "Stable Diffusion 3",
    "joint_blocks.0.context_block.attn.qkv.weight",
    "transformer_blocks.0.norm1_context.linear.weight"
  ),
  transformer("AuraFlow", "double_layers.0.attn.w1q.weight", "joint_transformer_blocks.0.norm1_context.linear.weight"),
  transformer("HiDream", "double_stream_blocks.0.block.adaLN_modulation.1.weight"),
  transformer(
    "Lumina",
    "noise_refiner.0.attention.norm_k.weight",
    "noise_refiner.0.norm1.linear.weight",
    "cap_embedder.1.weight"
  ),
  transformer("Hunyuan-DiT", "mlp_t5.0.weight"),
  transformer("PixArt", "t_block.1.weight", "adaln_single.linear.weight"),
  transformer("Wan", "blocks.0.cross_attn.norm_k.weight", "condition_embedder.time_embedder.linear_1.weight"),
  transformer("Stable Cascade", "clip_txt_mapper.weight", "clip_txt_pooled_mapper.weight"),
  {
    title: "Stable Audio or another network of sounds",
    kind: "other",
    marks: ["transformer.rotary_pos_emb.inv_freq"]
  },
  {
    title: "T5",
    kind: "text-encoder",
    marks: ["encoder.block.0.layer.0.SelfAttention.q.weight", "block.0.layer.0.SelfAttention.q.weight"],
    problem: "it is the text encoder T5, which no supported family reads"
  },
  {
    title: "a language model",
    kind: "text-encoder",
    marks: ["model.layers.0.self_attn.q_proj.weight"],
    problem: "it is a language model, which no supported family reads"
  },
  {
    title: "CLIP's image encoder",
    kind: "other",
    marks: ["vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"],
    problem: "it is CLIP's image encoder, which nothing here reads"
  },
  {
    title: "IP-Adapter",
    kind: "other",
    marks: ["ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight", "image_proj.latents"],
    problem: "IP-Adapters are not supported yet"
  },
  {
    title: "AnimateDiff",
    kind: "other",
    marks: ["down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"],
    problem: "motion modules of AnimateDiff are not supported"
  },
  {
    title: "SwinIR",
    kind: "upscaler",
    marks: ["layers.0.residual_group.blocks.0.attn.qkv.weight"],
    problem: "SwinIR is not supported; use an upscaler of ESRGAN's or Compact's form"
  },
  {
    title: "DAT",
    kind: "upscaler",
    marks: ["layers.0.blocks.0.attn.qkv.weight", "layers.0.blocks.0.attn.dwconv.0.weight"],
    problem: "DAT is not supported; use an upscaler of ESRGAN's or Compact's form"
  },
  {
    title: "HAT",
    kind: "upscaler",
    marks: ["layers.0.residual_group.overlap_attn.qkv.weight"],
    problem: "HAT is not supported; use an upscaler of ESRGAN's or Compact's form"
  },
  {
    title: "a hypernetwork",
    kind: "other",
    marks: ["768.0.linear.0.weight", "320.0.linear.0.weight", "1024.0.linear.0.weight"],
    problem: "hypernetworks are not supported"
  }
]
