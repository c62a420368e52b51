/**
 * A ControlNet for any of the reference checkpoints: a copy of its UNet's way down, with layers of noise for the rest.
 */
import type { StoredTensor, WeightSource } from "../../../src/models/checkpoint/WeightSource.ts"
import { numbersOf } from "../networks/references.ts"

interface Made {
  readonly shape: ReadonlyArray<number>
  readonly values: Float32Array
}

/** A file in the original layout. `hidden` are the widths of the layers that read the image. */
export const madeControlNet = ({ tensors }: WeightSource, hidden = [4, 4, 4, 4, 4, 4, 4]): Uint8Array<ArrayBuffer> => {
  const all = new Map<string, Made>()
  const prefix = "model.diffusion_model."
  const copied = /^(?:time_embed|label_emb|input_blocks|middle_block)\./
  const given: ReadonlyArray<StoredTensor> = [...tensors.values()]
  for (const tensor of given) {
    const name = tensor.name.startsWith(prefix) ? tensor.name.slice(prefix.length) : ""
    if (copied.test(name)) all.set(name, { shape: tensor.shape, values: numbersOf(tensor) })
  }
  const random = numbers()
  const layer = (name: string, shape: ReadonlyArray<number>, scale: number) => {
    const size = (dims: ReadonlyArray<number>) => dims.reduce((product, dim) => product * dim, 1)
    all.set(`${name}.weight`, { shape, values: Float32Array.from({ length: size(shape) }, () => scale * random()) })
    const [outputs = 1] = shape
    all.set(`${name}.bias`, {
      shape: [outputs],
      values: Float32Array.from({ length: outputs }, () => scale * random())
    })
  }
  const [channels = 0] = all.get("input_blocks.0.0.weight")?.shape ?? []
  const widths = [3, ...hidden, channels]
  for (const [i, outputs] of widths.slice(1).entries()) {
    layer(`input_hint_block.${2 * i}`, [outputs, widths[i] ?? 1, 3, 3], 0.7)
  }
  let width = channels
  let block = 0
  for (
    ;
    all.has(`input_blocks.${block}.0.${block === 0 ? "weight" : "in_layers.0.weight"}`) ||
    all.has(`input_blocks.${block}.0.op.weight`);
    block++
  ) {
    width = all.get(`input_blocks.${block}.0.out_layers.3.weight`)?.shape[0] ?? width
    layer(`zero_convs.${block}.0`, [width, width, 1, 1], 0.5)
  }
  layer("middle_block_out.0", [width, width, 1, 1], 0.5)
  return safetensors(new Map([...all].map(([name, made]) => [`control_model.${name}`, made])))
}

// Numbers from -1 to 1, the same in every run.
const numbers = () => {
  let state = 1
  return (): number => {
    state = Math.imul(state, 1664525) + 1013904223 | 0
    return state / 2 ** 31
  }
}

const safetensors = (tensors: ReadonlyMap<string, Made>): Uint8Array<ArrayBuffer> => {
  let end = 0
  const header = Object.fromEntries([...tensors].map(([name, { shape, values }]) => {
    const begin = end
    end += values.byteLength
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }]
  }))
  const text = new TextEncoder().encode(JSON.stringify(header))
  const length = Math.ceil(text.length / 8) * 8
  const bytes = new Uint8Array(8 + length + end).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(text, 8)
  let place = 8 + length
  for (const { values } of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), place)
    place += values.byteLength
  }
  return bytes
}
