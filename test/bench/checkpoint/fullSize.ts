/**
 * Writes a full-size checkpoint of random weights: names, element types and shapes of a real one.
 *
 *     node test/bench/checkpoint/fullSize.ts sd15 /tmp/sd15.safetensors
 *
 * Stable Diffusion 1.5 takes 2.1 GB of disk and half a minute, SDXL 6.9 GB. Weights are normally distributed with the
 * deviation that keeps signals at their size, so that no value overflows.
 */
import { closeSync, openSync, writeSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { toFloat16 } from "../../../src/core/float16.ts"
import { realLayout } from "../../models/checkpoint/data.ts"

/** Random numbers that are repeated, each time scaled for the layer. */
const count = 1 << 18

const normal = (): number => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())

/** Writes the checkpoint of a layout, in float16. */
export const write = (layout: string, file: string): void => {
  const random = Float32Array.from({ length: count }, normal)
  const tensors = realLayout(layout).map(([name, , shape]) => ({
    name,
    shape,
    size: shape.reduce((product, side) => product * side, 1)
  }))
  let end = 0
  const entries = tensors.map(({ name, shape, size }) => {
    const data_offsets = [end, end += 2 * size]
    return [name, { dtype: "F16", shape, data_offsets }]
  })
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const out = openSync(file, "w")
  writeSync(out, length)
  writeSync(out, header)
  const values = new Uint16Array(count)
  for (const { name, shape, size } of tensors) {
    const inputs = shape.slice(1).reduce((product, side) => product * side, 1)
    const isNorm = shape.length === 1
    for (let i = 0; i < Math.min(count, size); i++) {
      values[i] = toFloat16(
        isNorm ? name.endsWith("weight") ? 1 : 0 : (random[i] ?? 0) / Math.sqrt(Math.max(1, inputs))
      )
    }
    for (let done = 0; done < size; done += count) writeSync(out, values.subarray(0, Math.min(count, size - done)))
  }
  closeSync(out)
}

const [, script, layout, file] = process.argv
if (script === fileURLToPath(import.meta.url) && layout !== undefined && file !== undefined) write(layout, file)
