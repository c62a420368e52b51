/**
 * LoRAs of random weights for a checkpoint's UNet: all projections of its attention, of rank 16, as in most files.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { NamedLayer } from "../../../src/models/networks/layerNames.ts"
import { safetensors, type Written } from "../../models/checkpoint/safetensorsFile.ts"

const rank = 16

const values = (size: number, scale: number): Float32Array =>
  Float32Array.from({ length: size }, () => scale * (Math.random() - 0.5))

/** Writes LoRAs for these layers into a folder, and gives their paths. */
export const writeLoras = (layers: ReadonlyArray<NamedLayer>, folder: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => {
    const tensors: Record<string, Written> = {}
    for (const { names, shape } of layers) {
      const name = names.find((name) => /\.attn[12]\.to_(?:q|k|v|out\.0)$/.test(name))
      const [outputs, inputs] = shape
      if (name === undefined || outputs === undefined || inputs === undefined || shape.length !== 2) continue
      const module = `lora_unet_${name.replaceAll(".", "_")}`
      tensors[`${module}.lora_down.weight`] = { shape: [rank, inputs], values: values(rank * inputs, 0.02) }
      tensors[`${module}.lora_up.weight`] = { shape: [outputs, rank], values: values(outputs * rank, 0.02) }
    }
    const file = join(folder, `lora-${i}.safetensors`)
    writeFileSync(file, safetensors(tensors))
    return file
  })
