/**
 * Resizing, of images as Pillow does it and of latents as torch does it: both to the bit, or to the last one.
 *
 * Every filter but the nearest is two passes over windows of weights, one along the width and one along the height.
 */
import type * as Effect from "effect/Effect"
import { type Region, regionOf, type Size } from "../core/Geometry.ts"
import { crop, filled, premultiply, type Raster, unpremultiply } from "../core/Raster.ts"
import * as Simd from "../core/Simd.ts"
import { away, type Parts } from "../core/Work.ts"
import { abreast, byLines, copyStrip, eachPixel, linesOf, samplesOf, stripsOf } from "./Parts.ts"

export type Filter = "nearest" | "box" | "bilinear" | "bicubic" | "lanczos"

interface Kernel {
  /** Half its width, in samples of the larger side. */
  readonly support: number
  readonly weight: (x: number) => number
}

const cubic = (a: number) => (at: number): number => {
  const x = Math.abs(at)
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

const sinc = (x: number): number => x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI)

const kernels: Readonly<Record<Exclude<Filter, "nearest">, Kernel>> = {
  box: { support: 0.5, weight: (x) => x > -0.5 && x <= 0.5 ? 1 : 0 },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic(-0.5) },
  lanczos: { support: 3, weight: (x) => x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0 }
}

/** For each sample of the result: where its window begins, how long it is, and its weights. */
interface Windows {
  /** Room for each window's weights. */
  readonly stride: number
  readonly starts: Int32Array
  readonly lengths: Int32Array
  /** `[size, stride]`, the weights of each window sum to 1. */
  readonly weights: Float64Array
}

const makeWindows = (size: number, stride: number): Windows => ({
  stride,
  starts: new Int32Array(size),
  lengths: new Int32Array(size),
  weights: new Float64Array(size * stride)
})

/** Samples of one side of the result, and the part of that side in the image that they stand for. */
interface Side {
  readonly size: number
  readonly to: number
  readonly begin: number
  readonly end: number
  /** The samples that are wanted, from `first` to before `last`. */
  readonly first: number
  readonly last: number
}

const wholeSide = (size: number, to: number): Side => ({ size, to, begin: 0, end: size, first: 0, last: to })

// Windows of a kernel that grows with the scale when it shrinks, for the samples that are wanted.
const windowsOf = ({ begin, end, first, last, size, to }: Side, kernel: Kernel): Windows => {
  const scale = (end - begin) / to
  const growth = Math.max(1, scale)
  const support = kernel.support * growth
  const windows = makeWindows(last - first, Math.ceil(support) * 2 + 1)
  const { lengths, starts, stride, weights } = windows
  for (let i = 0; i < last - first; i++) {
    const centre = begin + (first + i + 0.5) * scale
    const start = Math.max(0, Math.trunc(centre - support + 0.5))
    const length = Math.min(size, Math.trunc(centre + support + 0.5)) - start
    let sum = 0
    for (let tap = 0; tap < length; tap++) {
      sum += weights[i * stride + tap] = kernel.weight((tap + start - centre + 0.5) * (1 / growth))
    }
    if (sum !== 0) {
      for (let tap = 0; tap < length; tap++) weights[i * stride + tap] = (weights[i * stride + tap] ?? 0) / sum
    }
    starts[i] = start
    lengths[i] = length
  }
  return windows
}

/** Bits behind the point of a weight: 8 are for the sample, 2 for sums above 1 and below 0. */
const precision = 32 - 8 - 2

/** Weights in fixed point, in two halves as `Simd` has them. */
interface Halves {
  readonly stride: number
  readonly low: Int16Array
  readonly high: Int16Array
}

const halvesOf = (windows: Windows): Halves => {
  const stride = Math.ceil(windows.stride / 8) * 8
  const size = windows.starts.length * stride
  const halves = { stride, low: new Int16Array(size), high: new Int16Array(size) }
  for (let i = 0; i < windows.starts.length; i++) {
    for (let tap = 0; tap < (windows.lengths[i] as number); tap++) {
      const weight = windows.weights[i * windows.stride + tap] as number
      const fixed = Math.trunc(weight * 2 ** precision + (weight < 0 ? -0.5 : 0.5))
      halves.low[i * stride + tap] = fixed & 0x7fff
      halves.high[i * stride + tap] = fixed >> 15
    }
  }
  return halves
}

/** Parts of the image and of the result. */
export interface Parted {
  /** What is taken of the image: all of it. It may be empty, which gives the values at that edge. */
  readonly from?: Region | undefined
  /** What is made of the result: all of it. Nothing is computed, nor is there memory for, what lies outside. */
  readonly window?: Region | undefined
}

/**
 * An image of `width` by `height`, as Pillow's `Image.resize` makes it of 8-bit samples: along the width first, weights
 * in fixed point, every pass rounded. Transparent images are resized with their colours multiplied by alpha.
 *
 * With a `window` it is that part of the result, sample by sample as in the whole.
 */
export const resizing = (
  raster: Raster,
  width: number,
  height: number,
  filter: Filter,
  parted?: Parted
): Effect.Effect<Raster> =>
  away(
    { module: import.meta.url, parts: resizeInParts },
    [raster, width, height, filter, parted],
    (samplesOf(raster) + width * height * raster.channels) * effortOfSample
  )

/** For a sample of the image or of the result, about. */
const effortOfSample = 1

/** The same in parts. */
export function* resizeInParts(
  raster: Raster,
  width: number,
  height: number,
  filter: Filter,
  { from = regionOf(raster), window = regionOf({ width, height }) }: Parted = {}
): Parts<Raster> {
  checkSize(raster)
  checkSize({ width, height })
  checkWindow(window, { width, height })
  const columns: Side = {
    size: raster.width,
    to: width,
    begin: from.left,
    end: from.right,
    first: window.left,
    last: window.right
  }
  const rows: Side = {
    size: raster.height,
    to: height,
    begin: from.top,
    end: from.bottom,
    first: window.top,
    last: window.bottom
  }
  if (isKept(columns) && isKept(rows)) return copied(raster, window)
  if (filter === "nearest") return yield* resizeNearest(raster, columns, rows)
  if (raster.channels !== 4) return yield* resample(raster, columns, rows, kernels[filter])
  // What is far from the window has no part in it.
  const { bottom, top } = reachOf(rows, kernels[filter])
  const multiplied = yield* eachPixel(linesOf(raster, top, bottom), 4, premultiply)
  const resized = yield* resample(multiplied, columns, rows, kernels[filter], top)
  return yield* eachPixel(resized, 4, unpremultiply)
}

const checkSize = ({ height, width }: Size): void => {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new RangeError(`an image cannot be ${width}x${height} pixels`)
  }
}

const checkWindow = ({ bottom, left, right, top }: Region, { height, width }: Size): void => {
  checkSize({ width: right - left, height: bottom - top })
  if (!(left >= 0 && top >= 0 && right <= width && bottom <= height)) {
    throw new RangeError(`a window reaches beyond an image of ${width}x${height} pixels`)
  }
}

/** Whether all samples along this side stay what they are. */
const isKept = ({ begin, end, size, to }: Side): boolean => size === to && begin === 0 && end === size

// The lines of the image that have a part in the window.
const reachOf = (rows: Side, kernel: Kernel): { readonly top: number; readonly bottom: number } => {
  if (isKept(rows)) return { top: rows.first, bottom: rows.last }
  const { lengths, starts } = windowsOf(rows, kernel)
  let top = rows.size - 1
  let bottom = 1
  for (let i = 0; i < starts.length; i++) {
    top = Math.min(top, starts[i] as number)
    bottom = Math.max(bottom, (starts[i] as number) + (lengths[i] as number))
  }
  return { top, bottom: Math.max(bottom, top + 1) }
}

function* resizeNearest(raster: Raster, columns: Side, rows: Side): Parts<Raster> {
  const { channels, data } = raster
  const fromColumns = nearestOf(columns)
  const fromRows = nearestOf(rows)
  const width = fromColumns.length
  const out = filled({ width, height: fromRows.length }, channels)
  yield* byLines(fromRows.length, width * channels, (first, last) => {
    for (let y = first, to = first * width * channels; y < last; y++) {
      const row = (fromRows[y] as number) * raster.width
      for (let x = 0; x < width; x++) {
        const at = (row + (fromColumns[x] as number)) * channels
        for (let channel = 0; channel < channels; channel++) out.data[to++] = data[at + channel] as number
      }
    }
  })
  return out
}

// Pillow adds the scale up sample by sample, so that its rounding is that of the sums.
const nearestOf = ({ begin, end, first, last, size, to }: Side): Int32Array => {
  const scale = (end - begin) / to
  let at = begin + scale * 0.5
  for (let i = 0; i < first; i++) at += scale
  return Int32Array.from({ length: last - first }, () => {
    const index = Math.min(size - 1, Math.floor(at))
    at += scale
    return index
  })
}

// `top` is the first line that the raster has of the image.
function* resample(raster: Raster, columns: Side, rows: Side, kernel: Kernel, top = 0): Parts<Raster> {
  const reach = reachOf(rows, kernel)
  const lines = linesOf(raster, reach.top - top, reach.bottom - top)
  const wide = isKept(columns)
    ? cropWidth(lines, columns.first, columns.last)
    : yield* resampleRows(lines, windowsOf(columns, kernel))
  return isKept(rows) ? wide : yield* resampleColumns(wide, windowsOf(rows, kernel), reach.top)
}

const copied = (raster: Raster, window: Region): Raster =>
  window.right - window.left === raster.width && window.bottom - window.top === raster.height
    ? { ...raster, data: new Uint8Array(raster.data) }
    : crop(raster, window)

const cropWidth = (raster: Raster, left: number, right: number): Raster =>
  left === 0 && right === raster.width ? raster : crop(raster, { left, right, top: 0, bottom: raster.height })

function* resampleRows(raster: Raster, windows: Windows): Parts<Raster> {
  const { channels, data, height } = raster
  const width = windows.starts.length
  const { high, low, stride } = halvesOf(windows)
  const out = filled({ width, height }, channels)
  const row = raster.width * channels
  const fours = Math.ceil(height / 4)
  yield* byLines(fours, width * stride * channels * 4 / abreast, (from, to) => {
    const [first, lines] = [from * 4, (to - from) * 4]
    const last = Math.min(height, first + lines)
    const { resampleGrey, resampleRgb, resampleRgba } = Simd.open()
    const resampled = channels === 1 ? resampleGrey : channels === 3 ? resampleRgb : resampleRgba
    const starts = Simd.put(windows.starts)
    const lengths = Simd.put(windows.lengths)
    const lows = Simd.put(low)
    const highs = Simd.put(high)
    const result = Simd.room(lines * width * channels)
    // Up to three lines are missing, and are computed of what is there.
    const lacking = (first + lines - last) * row
    const given = Simd.put(data.subarray(first * row, last * row), lacking + 8 * channels + 16)
    resampled(given, row, lines, result, width, starts, lengths, lows, highs, stride)
    const made = (last - first) * width * channels
    out.data.set(Simd.bytesAt(result, made), first * width * channels)
  })
  return out
}

// `top` is the first line that the raster has of the image.
function* resampleColumns(raster: Raster, windows: Windows, top: number): Parts<Raster> {
  const { channels, data, width } = raster
  const { lengths, starts } = windows
  const height = starts.length
  const { high, low, stride } = halvesOf(windows)
  const out = filled({ width, height }, channels)
  const row = width * channels
  for (const { bytes, left } of stripsOf(row, stride)) {
    yield* byLines(height, bytes * stride / abreast, (from, to) => {
      const begin = starts[from] as number
      const given = starts.subarray(from, to)
      const end = given.reduce((end, start, i) => Math.max(end, start + (lengths[from + i] as number)), begin)
      const { resampleColumns } = Simd.open()
      const moved = Simd.put(given.map((start) => start - begin))
      const counts = Simd.put(lengths.subarray(from, to))
      const lows = Simd.put(low.subarray(from * stride, to * stride))
      const highs = Simd.put(high.subarray(from * stride, to * stride))
      const result = Simd.room((to - from) * bytes + 16)
      const lines = Simd.room((end - begin + 2) * bytes + 16)
      copyStrip(Simd.bytesAt(lines, (end - begin) * bytes), bytes, data.subarray((begin - top) * row + left), row)
      resampleColumns(lines, bytes, to - from, result, moved, counts, lows, highs, stride)
      copyStrip(out.data.subarray(from * row + left), row, Simd.bytesAt(result, (to - from) * bytes), bytes)
    })
  }
  return out
}

export type InterpolationMode =
  | "bilinear"
  | "bilinear-antialiased"
  | "bicubic"
  | "bicubic-antialiased"
  | "nearest"
  | "nearest-exact"

/** The upscalers that work on latents, in the webui's order, and how each interpolates. */
export const latentUpscaleModes: ReadonlyArray<{ readonly name: string; readonly mode: InterpolationMode }> = [
  { name: "Latent", mode: "bilinear" },
  { name: "Latent (antialiased)", mode: "bilinear-antialiased" },
  { name: "Latent (bicubic)", mode: "bicubic" },
  { name: "Latent (bicubic antialiased)", mode: "bicubic-antialiased" },
  { name: "Latent (nearest)", mode: "nearest" },
  { name: "Latent (nearest-exact)", mode: "nearest-exact" }
]

/**
 * Planes of `[channels, height, width]` in another size, as torch's `interpolate` makes them with
 * `align_corners=False`.
 *
 * The cubic's a is -0.75, and -0.5 when antialiased, as in torch. Sums are of doubles, where torch has floats.
 */
export const interpolate = (
  values: Float32Array,
  shape: { readonly channels: number; readonly height: number; readonly width: number },
  to: Size,
  mode: InterpolationMode
): Float32Array => {
  checkSize(shape)
  checkSize(to)
  const { channels, height, width } = shape
  if (values.length !== channels * height * width) throw new RangeError("the values do not fill their shape")
  const along = interpolationWindows[mode]
  const columns = along(width, to.width)
  const rows = along(height, to.height)
  const wide = new Float64Array(channels * height * to.width)
  for (let row = 0; row < channels * height; row++) {
    for (let x = 0; x < to.width; x++) {
      const begin = row * width + (columns.starts[x] as number)
      let sum = 0
      for (let tap = 0; tap < (columns.lengths[x] as number); tap++) {
        sum += (values[begin + tap] as number) * (columns.weights[x * columns.stride + tap] as number)
      }
      wide[row * to.width + x] = sum
    }
  }
  const out = new Float32Array(channels * to.height * to.width)
  for (let channel = 0, at = 0; channel < channels; channel++) {
    for (let y = 0; y < to.height; y++) {
      const begin = channel * height + (rows.starts[y] as number)
      for (let x = 0; x < to.width; x++) {
        let sum = 0
        for (let tap = 0; tap < (rows.lengths[y] as number); tap++) {
          sum += (wide[(begin + tap) * to.width + x] as number) * (rows.weights[y * rows.stride + tap] as number)
        }
        out[at++] = sum
      }
    }
  }
  return out
}

// Windows of a kernel that keeps its width; weights of samples outside belong to the outermost one.
const clampedWindows = (kernel: Kernel, isClamped: boolean) => (size: number, to: number): Windows => {
  const windows = makeWindows(to, kernel.support * 2)
  const { lengths, starts, stride, weights } = windows
  for (let i = 0; i < to; i++) {
    const exact = (i + 0.5) * (size / to) - 0.5
    const at = isClamped ? Math.max(0, exact) : exact
    const first = Math.floor(at) - kernel.support + 1
    const start = Math.min(size - 1, Math.max(0, first))
    starts[i] = start
    lengths[i] = Math.min(size - start, stride)
    for (let tap = first; tap < first + stride; tap++) {
      const slot = i * stride + Math.min(size - 1, Math.max(0, tap)) - start
      weights[slot] = (weights[slot] ?? 0) + kernel.weight(tap - at)
    }
  }
  return windows
}

// Torch computes the scale and the place in floats.
const nearestWindows = (offset: number) => (size: number, to: number): Windows => {
  const windows = makeWindows(to, 1)
  const scale = Math.fround(size / to)
  windows.weights.fill(1)
  windows.lengths.fill(1)
  for (let i = 0; i < to; i++) windows.starts[i] = Math.min(size - 1, Math.floor(Math.fround((i + offset) * scale)))
  return windows
}

const interpolationWindows: Readonly<Record<InterpolationMode, (size: number, to: number) => Windows>> = {
  bilinear: clampedWindows(kernels.bilinear, true),
  "bilinear-antialiased": (size, to) => windowsOf(wholeSide(size, to), kernels.bilinear),
  bicubic: clampedWindows({ support: 2, weight: cubic(-0.75) }, false),
  "bicubic-antialiased": (size, to) => windowsOf(wholeSide(size, to), kernels.bicubic),
  nearest: nearestWindows(0),
  "nearest-exact": nearestWindows(0.5)
}
