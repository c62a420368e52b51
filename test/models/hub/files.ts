/** Files of weights for downloads: small, and of a kind that is recognised. */

/** A safetensors file of these tensors, filled with one byte. */
export const safetensors = (shapes: Readonly<Record<string, ReadonlyArray<number>>>, fill = 0): Uint8Array => {
  let at = 0
  const header: Record<string, unknown> = {}
  for (const [name, shape] of Object.entries(shapes)) {
    const length = shape.reduce((a, b) => a * b, 2)
    header[name] = { dtype: "F16", shape, data_offsets: [at, at + length] }
    at += length
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array(8 + text.length + at).fill(fill, 8 + text.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

/** A LoRA of Stable Diffusion 1. */
export const lora = (fill = 0): Uint8Array =>
  safetensors({
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": [4, 768],
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": [1280, 4],
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.alpha": []
  }, fill)

/** An embedding of two vectors. */
export const embedding = safetensors({ emb_params: [2, 768] })
