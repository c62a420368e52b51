/**
 * Names of the layers of a CLIP text encoder. The networks here use transformers', without `text_model.`; OpenCLIP's
 * are these.
 */
import { bytesOf, type StoredTensor } from "../checkpoint/WeightSource.ts"
import type { Weights } from "../graph/Weights.ts"

/** OpenCLIP's names at the top, and within a layer of the transformer. */
const top: Readonly<Record<string, string>> = {
  "token_embedding.weight": "embeddings.token_embedding.weight",
  "positional_embedding": "embeddings.position_embedding.weight",
  "ln_final.weight": "final_layer_norm.weight",
  "ln_final.bias": "final_layer_norm.bias"
}
const inLayer: Readonly<Record<string, string>> = {
  "ln_1": "layer_norm1",
  "attn.out_proj": "self_attn.out_proj",
  "ln_2": "layer_norm2",
  "mlp.c_fc": "mlp.fc1",
  "mlp.c_proj": "mlp.fc2"
}

/** The tensors of a text encoder by transformers' names. */
export const textNames = (weights: Weights): Weights =>
  weights.mapped((name, tensor) => {
    const plain = name.replace(/^text_model\./, "")
    const known = top[plain]
    if (known !== undefined) return [[known, tensor]]
    const [, layer = "", rest = ""] = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(plain) ?? []
    if (layer === "") return [[plain, tensor]]
    const within = `encoder.layers.${layer}`
    const [, joined] = /^attn\.in_proj_(weight|bias)$/.exec(rest) ?? []
    if (joined !== undefined) {
      return thirds(tensor).map((third, i) => [`${within}.self_attn.${"qkv"[i]}_proj.${joined}`, third])
    }
    const dot = rest.lastIndexOf(".")
    const module = inLayer[rest.slice(0, dot)] ?? rest.slice(0, dot)
    return [[`${within}.${module}${rest.slice(dot)}`, tensor]]
  })

// Queries, keys and values, which OpenCLIP joins: a third of the rows each, one behind the other.
const thirds = (tensor: StoredTensor): ReadonlyArray<StoredTensor> => {
  const [rows = 0, ...columns] = tensor.shape
  if (rows % 3 !== 0) return [tensor]
  const shape = [rows / 3, ...columns]
  const length = shape.reduce((product, size) => product * size, bytesOf[tensor.type])
  const { file, name, offset, type } = tensor
  return [0, 1, 2].map((i) => ({ name, type, shape, file, offset: offset + i * length, length }))
}
