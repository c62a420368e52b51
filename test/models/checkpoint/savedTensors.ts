/**
 * Checkpoints of the references as other people's programs would have saved them: with CLIP's whole vocabulary, so that
 * prompts can be read, in other element types, in part, by other names.
 */
import { toFloats } from "../../../src/models/checkpoint/values.ts"
import { bytesOf, type ElementType, isFloat } from "../../../src/models/checkpoint/WeightSource.ts"
import { contents } from "./data.ts"

/** A tensor with its values. */
export interface SavedTensor {
  readonly type: ElementType
  readonly shape: ReadonlyArray<number>
  readonly bytes: Uint8Array
}

export type SavedTensors = Readonly<Record<string, SavedTensor>>

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** The tensors of a safetensors file. */
export const tensorsOf = (file: Uint8Array<ArrayBuffer>): SavedTensors => {
  const start = 8 + Number(new DataView(file.buffer).getBigUint64(0, true))
  const header: Readonly<
    Record<
      string,
      { readonly dtype: ElementType; readonly shape: Array<number>; readonly data_offsets: [number, number] }
    >
  > = JSON.parse(textOf(file.subarray(8, start)))
  return Object.fromEntries(
    Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, { data_offsets, dtype, shape }]) => [
      name,
      { type: dtype, shape, bytes: file.slice(start + data_offsets[0], start + data_offsets[1]) }
    ])
  )
}

/** A safetensors file of these tensors. */
export const saved = (tensors: SavedTensors): Uint8Array => {
  const header: Record<string, unknown> = {}
  let at = 0
  for (const [name, { bytes, shape, type }] of Object.entries(tensors)) {
    header[name] = { dtype: type, shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...Object.values(tensors).map(({ bytes }) => bytes)])
}

/** Tensors by other names; those without one are left out. */
export const renamed = (tensors: SavedTensors, rename: (name: string) => string | undefined): SavedTensors =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, tensor]) => {
      const other = rename(name)
      return other === undefined ? [] : [[other, tensor]]
    })
  )

/** The tensors whose names begin with a prefix, by names that begin with another in its place. */
export const below = (tensors: SavedTensors, prefix: string, instead = prefix): SavedTensors =>
  renamed(tensors, (name) => name.startsWith(prefix) ? instead + name.slice(prefix.length) : undefined)

const clipTokens = 49408

/** The same with a row of the token embedding for each token of CLIP's: rows of the file, over and over. */
const withWholeVocabulary = (tensors: SavedTensors): SavedTensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const { bytes, shape, type } = tensor
      if (!/(^|\.)token_embedding\.weight$/.test(name)) return [name, tensor]
      const width = shape[1] ?? 0
      const row = width * bytesOf[type]
      const grown = new Uint8Array(clipTokens * row)
      for (let id = 0; id < clipTokens; id++) {
        const from = (id % (shape[0] ?? 1)) * row
        grown.set(bytes.subarray(from, from + row), id * row)
      }
      return [name, { type, shape: [clipTokens, width], bytes: grown }]
    })
  )

/** A checkpoint of the references that reads prompts: `sd15`. */
export const checkpoint = (name: string): SavedTensors =>
  withWholeVocabulary(tensorsOf(contents(`checkpoints/${name}.safetensors`)))

/** Numbers of one dimension or several, in float32. */
export const numbers = (shape: ReadonlyArray<number>, ...values: ReadonlyArray<number>): SavedTensor =>
  float32(Float32Array.from(values), shape)

const halves = (values: Float32Array): Uint8Array => new Uint8Array(Float16Array.from(values).buffer)

// The nearer of the two, by adding half of what is cut.
const brainHalves = (values: Float32Array): Uint8Array =>
  new Uint8Array(Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => (bits + 0x8000) >>> 16).buffer)

// All numbers of a type of 8 bits, in their order.
const eights = (type: "F8_E4M3" | "F8_E5M2"): ReadonlyArray<readonly [value: number, bits: number]> =>
  Array.from(
    toFloats(type, Uint8Array.from({ length: 256 }, (_, bits) => bits)),
    (value, bits) => [value, bits] as const
  )
    .filter(([value]) => Number.isFinite(value))
    .toSorted(([a], [b]) => a - b)

const eighths = (values: Float32Array, type: "F8_E4M3" | "F8_E5M2"): Uint8Array => {
  const all = eights(type)
  return Uint8Array.from(values, (value) => {
    let [low, high] = [0, all.length - 1]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((all[middle]?.[0] ?? 0) <= value) low = middle
      else high = middle
    }
    const [below = 0, above = 0] = [all[low]?.[0], all[high]?.[0]]
    return all[value - below <= above - value ? low : high]?.[1] ?? 0
  })
}

/** The same values in another element type, as near as it has them. */
export const as = (type: "F16" | "BF16" | "F8_E4M3" | "F8_E5M2", tensor: SavedTensor): SavedTensor => {
  if (!isFloat(tensor.type) || tensor.type === type) return tensor
  const values = toFloats(tensor.type, tensor.bytes)
  const bytes = type === "F16" ? halves(values) : type === "BF16" ? brainHalves(values) : eighths(values, type)
  return { ...tensor, type, bytes }
}

/** Each tensor as another, by its place in the file. */
export const mapped = (
  tensors: SavedTensors,
  change: (tensor: SavedTensor, place: number) => SavedTensor
): SavedTensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor], place) => [name, change(tensor, place)]))

const float32 = (values: Float32Array, shape: ReadonlyArray<number>): SavedTensor => ({
  type: "F32",
  shape,
  bytes: new Uint8Array(values.slice().buffer)
})

/** The same values in float32: those of 8 bits times their scales, which are left out. */
export const inFloat32 = (tensors: SavedTensors): SavedTensors =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, { bytes, shape, type }]) => {
      if (!isFloat(type) || /\.(scale_weight|scaled_fp8)$/.test(name)) return []
      const scale = name.endsWith(".weight") ? tensors[name.replace(/weight$/, "scale_weight")] : undefined
      const [by = 1] = scale === undefined ? [] : toFloats(scale.type, scale.bytes)
      return [[name, float32(toFloats(type, bytes).map((value) => value * by), shape)]]
    })
  )

/** Each matrix of the UNet in 8 bits, with the scale that makes the most of them: what ComfyUI calls scaled fp8. */
export const scaledEights = (tensors: SavedTensors): SavedTensors =>
  Object.fromEntries([
    ...Object.entries(tensors).flatMap(([name, tensor]): ReadonlyArray<readonly [string, SavedTensor]> => {
      if (!/^model\.diffusion_model\..*\.weight$/.test(name) || tensor.shape.length !== 2) return [[name, tensor]]
      const values = toFloats(tensor.type, tensor.bytes)
      const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 448
      const scaled: SavedTensor = {
        type: "F8_E4M3",
        shape: tensor.shape,
        bytes: eighths(values.map((value) => value / scale), "F8_E4M3")
      }
      return [[name, scaled], [name.replace(/weight$/, "scale_weight"), float32(Float32Array.of(scale), [])]]
    }),
    ["model.diffusion_model.scaled_fp8", { type: "F8_E4M3", shape: [0], bytes: new Uint8Array() }] as const
  ])
