/**
 * What is made of an image before a ControlNet follows it, where no network is needed.
 *
 * Names, numbers and their ranges are those of sd-webui-controlnet. Edges are those of OpenCV's `Canny`; other results
 * agree but for how images are resized.
 */
import type * as Effect from "effect/Effect"
import type { Size } from "../core/Geometry.ts"
import { type Grey, type Raster, toRgb } from "../core/Raster.ts"
import { away, type Parts } from "../core/Work.ts"
import type { ControlUnit } from "../processing/ControlUnit.ts"
import { byLines, samplesOf } from "./Parts.ts"
import { resizeInParts } from "./Resample.ts"

/** One of a preprocessor's numbers. */
export interface Threshold {
  readonly label: string
  readonly minimum: number
  readonly maximum: number
  readonly value: number
  readonly step: number
}

export interface Preprocessor {
  readonly name: PreprocessorName
  /** As sd-webui-controlnet shows it. */
  readonly label: string
  /** Control types that use it. */
  readonly types: ReadonlyArray<string>
  /** Whether it works at a resolution, and not on the image as it is. */
  readonly isResized: boolean
  readonly a?: Threshold
  readonly b?: Threshold
}

export type PreprocessorName =
  | "none"
  | "invert"
  | "canny"
  | "threshold"
  | "tile_resample"
  | "inpaint_only"
  | "blur_gaussian"
  | "scribble_xdog"
  | "shuffle"

const threshold = (label: string, value: number, minimum: number, maximum: number, step = 1): Threshold => ({
  label,
  minimum,
  maximum,
  value,
  step
})

/** All, in the order of lists. */
export const all: ReadonlyArray<Preprocessor> = [
  { name: "none", label: "none", types: [], isResized: false },
  {
    name: "invert",
    label: "invert (from white bg & black line)",
    types: ["Canny", "Lineart", "Scribble", "MLSD"],
    isResized: false
  },
  {
    name: "canny",
    label: "canny",
    types: ["Canny"],
    isResized: true,
    a: threshold("Low Threshold", 100, 1, 255),
    b: threshold("High Threshold", 200, 1, 255)
  },
  {
    name: "threshold",
    label: "threshold",
    types: [],
    isResized: true,
    a: threshold("Binarization Threshold", 127, 0, 255)
  },
  {
    name: "tile_resample",
    label: "tile_resample",
    types: ["Tile"],
    isResized: false,
    a: threshold("Down Sampling Rate", 1, 1, 8, 0.01)
  },
  { name: "inpaint_only", label: "inpaint_only", types: ["Inpaint"], isResized: false },
  {
    name: "blur_gaussian",
    label: "blur_gaussian",
    types: ["Tile"],
    isResized: true,
    a: threshold("Sigma", 9, 0.01, 64, 0.01)
  },
  {
    name: "scribble_xdog",
    label: "scribble_xdog",
    types: ["Scribble"],
    isResized: true,
    a: threshold("XDoG Threshold", 32, 1, 64)
  },
  { name: "shuffle", label: "shuffle", types: ["Shuffle"], isResized: true }
]

/** A preprocessor by its name or label, in any case. */
export const find = (name: string): Preprocessor | undefined => {
  const wanted = name.trim().toLowerCase()
  return all.find(({ label, name }) => name === wanted || label === wanted)
}

/** Names that stand for networks in sd-webui-controlnet, by how they begin. */
const networks: ReadonlyArray<string> = [
  "animal",
  "anime",
  "clip",
  "color",
  "densepose",
  "depth",
  "dw_",
  "facexlib",
  "hed",
  "inpaint",
  "instant",
  "ip-adapter",
  "leres",
  "lineart",
  "mediapipe",
  "mlsd",
  "mobile",
  "normal",
  "oneformer",
  "openpose",
  "pidinet",
  "recolor",
  "reference",
  "revision",
  "scribble",
  "seg",
  "softedge",
  "t2ia",
  "te_",
  "teed",
  "tile",
  "zoe"
]

/** Why there is no preprocessor of a name. */
export const missing = (name: string): string => {
  const known = all.map(({ name }) => name).join(", ")
  return networks.some((beginning) => name.trim().toLowerCase().startsWith(beginning))
    ? `the preprocessor "${name}" needs a network of its own, which Serena does not have: prepare the image with ` +
      `another program and choose none, or choose one of ${known}`
    : `no preprocessor is named "${name.slice(0, 80)}"; there are ${known}`
}

/** The shorter side of what a preprocessor works on, unless a unit says another. */
export const usualResolution = 512

/** The shorter side at which an image has as many pixels as what it is resized to. */
export const perfectResolution = (from: Size, to: Size, mode: ControlUnit["resize_mode"]): number => {
  const factors = [to.height / from.height, to.width / from.width]
  const factor = mode === "fill" ? Math.min(...factors) : Math.max(...factors)
  return Math.max(1, Math.round(factor * Math.min(from.height, from.width)))
}

/** Most pixels of the longer side, which narrow strips would exceed by far. */
const longest = 16_384

/** How a preprocessor is used. */
export interface Use {
  readonly preprocessor: Preprocessor
  /** The shorter side that it works at. */
  readonly resolution: number
  /** Its numbers; those outside of their range act as the usual ones. */
  readonly a?: number | undefined
  readonly b?: number | undefined
}

/** The number of a use that acts. */
export const acting = (threshold: Threshold | undefined, given: number | undefined): number =>
  threshold === undefined
    ? 0
    : given === undefined || given < threshold.minimum || given > threshold.maximum
    ? threshold.value
    : given

/**
 * What a preprocessor makes of an image: RGB, of its own size. With a mask, which only `inpaint_only` takes, white
 * areas are transparent.
 */
export const preprocessing = (image: Raster, use: Use, mask?: Grey): Effect.Effect<Raster> =>
  away(
    { module: import.meta.url, parts: preprocessInParts },
    [image, use, mask],
    use.preprocessor.name === "none" && image.channels === 3 ? 0 : samplesOf(image) * 32
  )

const white: readonly [number, number, number] = [255, 255, 255]

/** The same in parts. */
export function* preprocessInParts(given: Raster, use: Use, mask?: Grey): Parts<Raster> {
  const { preprocessor: { a, b, isResized, name } } = use
  const whole = given.channels === 3 ? given : toRgb(given, white)
  yield
  const image = isResized ? yield* atResolution(whole, use.resolution) : whole
  const first = acting(a, use.a)
  switch (name) {
    case "none":
      return image
    case "invert":
      return mapped(image, (value) => 255 - value)
    case "canny":
      return yield* edges(image, first, acting(b, use.b))
    case "threshold":
      return eachPixel(image, (red, green, blue) => Math.min(red, green, blue) > first ? 255 : 0)
    case "tile_resample":
      return first < 1.1 ? image : yield* resizeInParts(
        image,
        Math.max(1, Math.trunc(image.width / first)),
        Math.max(1, Math.trunc(image.height / first)),
        "box"
      )
    case "inpaint_only":
      return mask === undefined ? image : yield* hiding(image, mask)
    case "blur_gaussian":
      return fromPlanes(image, yield* blurred(planesOf(image), image, first, 3))
    case "scribble_xdog":
      return yield* scribble(image, first)
    case "shuffle":
      return yield* shuffled(image)
  }
}

function* atResolution(image: Raster, resolution: number): Parts<Raster> {
  const factor = Math.min(
    resolution / Math.min(image.width, image.height),
    Math.max(1, longest / Math.max(image.width, image.height))
  )
  const [width, height] = [Math.round(image.width * factor), Math.round(image.height * factor)]
  return factor === 1 ? image : yield* resizeInParts(image, width, height, factor > 1 ? "bicubic" : "box")
}

const mapped = (image: Raster, change: (value: number) => number): Raster => ({
  ...image,
  data: image.data.map(change)
})

// One value for all channels of a pixel.
const eachPixel = (image: Raster, change: (red: number, green: number, blue: number) => number): Raster => {
  const data = new Uint8Array(image.data.length)
  for (let i = 0; i < data.length; i += 3) {
    data.fill(change(image.data[i] as number, image.data[i + 1] as number, image.data[i + 2] as number), i, i + 3)
  }
  return { ...image, data }
}

// Alpha is 0 where the mask hides the image.
function* hiding(image: Raster, mask: Grey): Parts<Raster> {
  const fitted = mask.width === image.width && mask.height === image.height
    ? mask
    : yield* resizeInParts(mask, image.width, image.height, "bilinear")
  const data = new Uint8Array(image.width * image.height * 4)
  for (let i = 0; i < fitted.data.length; i++) {
    data.set(image.data.subarray(i * 3, i * 3 + 3), i * 4)
    data[i * 4 + 3] = (fitted.data[i] as number) > 127 ? 0 : 255
  }
  return { ...image, channels: 4, data }
}

/** Channels after each other, `[3, height, width]`. */
const planesOf = ({ data, height, width }: Raster): Float32Array => {
  const area = width * height
  const planes = new Float32Array(area * 3)
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 3; channel++) planes[channel * area + i] = data[i * 3 + channel] as number
  }
  return planes
}

const fromPlanes = ({ height, width }: Size, planes: Float32Array): Raster => {
  const area = width * height
  const data = new Uint8Array(area * 3)
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 3; channel++) {
      data[i * 3 + channel] = Math.max(0, Math.min(255, Math.round(planes[channel * area + i] as number)))
    }
  }
  return { width, height, channels: 3, data }
}

// Outside, pixels are mirrored at the middle of the outermost one, which is not repeated.
const mirrored = (i: number, length: number): number => {
  if (length === 1) return 0
  const period = 2 * length - 2
  const at = ((i % period) + period) % period
  return at < length ? at : period - at
}

// Gaussian weights to `reach` standard deviations on each side, as OpenCV has them: 3 for bytes, 4 for other numbers.
const weightsOf = (sigma: number, reach: number): Float64Array => {
  const half = (Math.round(sigma * reach * 2 + 1) | 1) >> 1
  const weights = Float64Array.from({ length: 2 * half + 1 }, (_, i) => Math.exp(-((i - half) ** 2) / (2 * sigma ** 2)))
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return weights.map((weight) => weight / sum)
}

// Planes blurred along their lines and then across them.
function* blurred(planes: Float32Array, { height, width }: Size, sigma: number, reach: number): Parts<Float32Array> {
  const weights = weightsOf(sigma, reach)
  const across = new Float32Array(planes.length)
  const half = weights.length >> 1
  const lines = planes.length / width
  const at = (length: number) => Int32Array.from({ length: length + 2 * half }, (_, i) => mirrored(i - half, length))
  const columns = at(width)
  yield* byLines(lines, width * weights.length, (from, to) => {
    for (let line = from; line < to; line++) {
      for (let x = 0; x < width; x++) {
        let sum = 0
        for (let tap = 0; tap < weights.length; tap++) {
          sum += (weights[tap] as number) * (planes[line * width + (columns[x + tap] as number)] as number)
        }
        across[line * width + x] = sum
      }
    }
  })
  const rows = at(height)
  const out = new Float32Array(planes.length)
  yield* byLines(lines, width * weights.length, (from, to) => {
    for (let line = from; line < to; line++) {
      const y = line % height
      const top = line - y
      for (let tap = 0; tap < weights.length; tap++) {
        const weight = weights[tap] as number
        const source = (top + (rows[y + tap] as number)) * width
        for (let x = 0; x < width; x++) {
          out[line * width + x] = (out[line * width + x] as number) + weight * (across[source + x] as number)
        }
      }
    }
  })
  return out
}

// White where the image is darker than its surroundings: the difference of two Gaussians, of sigma 0.5 and 5.
function* scribble(image: Raster, threshold: number): Parts<Raster> {
  const planes = planesOf(image)
  const fine = yield* blurred(planes, image, 0.5, 4)
  const coarse = yield* blurred(planes, image, 5, 4)
  const area = image.width * image.height
  const data = new Uint8Array(area * 3)
  for (let i = 0; i < area; i++) {
    let least = Infinity
    for (let channel = i; channel < planes.length; channel += area) {
      least = Math.min(least, (coarse[channel] as number) - (fine[channel] as number))
    }
    const difference = Math.trunc(Math.max(0, Math.min(255, 255 - least)))
    if (2 * (255 - difference) > threshold) data.fill(255, i * 3, i * 3 + 3)
  }
  return { ...image, data }
}

/** Tangent of 22.5 degrees, with 15 bits behind the point. */
const tangent = 13573

const [weak, off, strong] = [0, 1, 2]

/**
 * Edges as OpenCV's `Canny` finds them (Canny 1986): Sobel gradients, of the channel where they are largest; maxima
 * along the gradient above `low`, and of those all that are above `high` or touch one that is.
 */
function* edges(image: Raster, low: number, high: number): Parts<Raster> {
  const { data, height, width } = image
  const [dx, dy] = [new Int16Array(width * height), new Int16Array(width * height)]
  // With a border of 0 around it.
  const stride = width + 2
  const magnitude = new Int32Array(stride * (height + 2))
  yield* byLines(height, width * 60, (from, to) => {
    for (let y = from; y < to; y++) {
      const [above, here, below] = [Math.max(0, y - 1), y, Math.min(height - 1, y + 1)]
      for (let x = 0; x < width; x++) {
        const [left, right] = [Math.max(0, x - 1), Math.min(width - 1, x + 1)]
        for (let channel = 0; channel < 3; channel++) {
          const at = (row: number, column: number) => data[(row * width + column) * 3 + channel] as number
          const gx = at(above, right) + 2 * at(here, right) + at(below, right) -
            (at(above, left) + 2 * at(here, left) + at(below, left))
          const gy = at(below, left) + 2 * at(below, x) + at(below, right) -
            (at(above, left) + 2 * at(above, x) + at(above, right))
          const norm = Math.abs(gx) + Math.abs(gy)
          const place = (y + 1) * stride + x + 1
          if (channel > 0 && norm <= (magnitude[place] as number)) continue
          magnitude[place] = norm
          dx[y * width + x] = gx
          dy[y * width + x] = gy
        }
      }
    }
  })

  const map = new Uint8Array(magnitude.length).fill(off)
  const found: Array<number> = []
  yield* byLines(height, width * 16, (from, to) => {
    for (let y = from; y < to; y++) {
      for (let x = 0; x < width; x++) {
        const place = (y + 1) * stride + x + 1
        const own = magnitude[place] as number
        if (own <= low || !isPeak(magnitude, place, stride, dx[y * width + x] ?? 0, dy[y * width + x] ?? 0)) continue
        map[place] = own > high ? strong : weak
        if (own > high) found.push(place)
      }
    }
  })
  yield

  const around = [-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1]
  for (let count = 0; found.length > 0; count++) {
    if (count % 65_536 === 0) yield
    const place = found.pop() ?? 0
    for (const step of around) {
      if (map[place + step] !== weak) continue
      map[place + step] = strong
      found.push(place + step)
    }
  }
  const out = new Uint8Array(data.length)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (map[(y + 1) * stride + x + 1] === strong) out.fill(255, (y * width + x) * 3, (y * width + x) * 3 + 3)
    }
  }
  return { ...image, data: out }
}

// Whether a gradient is larger than those on both sides along its direction, of four.
const isPeak = (magnitude: Int32Array, place: number, stride: number, gx: number, gy: number): boolean => {
  const [x, y] = [Math.abs(gx), Math.abs(gy) * 2 ** 15]
  const own = magnitude[place] as number
  const at = (step: number) => magnitude[place + step] as number
  const flat = x * tangent
  if (y < flat) return own > at(-1) && own >= at(1)
  if (y > flat + x * 2 ** 16) return own > at(-stride) && own >= at(stride)
  const side = (gx < 0) === (gy < 0) ? 1 : -1
  return own > at(-stride - side) && own > at(stride + side)
}

/** Pixels between two points of the noise that moves an image's content. */
const noiseStep = 256

// Content moved by smooth noise, the same for every image of a size.
function* shuffled(image: Raster): Parts<Raster> {
  const { data, height, width } = image
  const random = numbers(1)
  const across = yield* smoothNoise(image, random)
  const down = yield* smoothNoise(image, random)
  const out = new Uint8Array(data.length)
  yield* byLines(height, width * 24, (from, to) => {
    for (let i = from * width; i < to * width; i++) {
      const [x, y] = [(across[i] as number) * (width - 1), (down[i] as number) * (height - 1)]
      const [left, top] = [Math.min(width - 1, Math.floor(x)), Math.min(height - 1, Math.floor(y))]
      const [right, bottom] = [Math.min(width - 1, left + 1), Math.min(height - 1, top + 1)]
      const [u, v] = [x - left, y - top]
      for (let channel = 0; channel < 3; channel++) {
        const at = (row: number, column: number) => data[(row * width + column) * 3 + channel] as number
        out[i * 3 + channel] = Math.round(
          (at(top, left) * (1 - u) + at(top, right) * u) * (1 - v) +
            (at(bottom, left) * (1 - u) + at(bottom, right) * u) * v
        )
      }
    }
  })
  return { ...image, data: out }
}

// Numbers from 0 to 1 that look random (mulberry32).
const numbers = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

// Noise of few points, bicubic between them, stretched to reach from 0 to 1.
function* smoothNoise({ height, width }: Size, random: () => number): Parts<Float64Array> {
  const [rows, columns] = [Math.floor(height / noiseStep) + 2, Math.floor(width / noiseStep) + 2]
  const points = Float64Array.from({ length: rows * columns }, random)
  const taps = (place: number, length: number, whole: number) => {
    const at = (place + noiseStep + 0.5) * length / (whole + 2 * noiseStep) - 0.5
    const begin = Math.floor(at) - 1
    return Array.from({ length: 4 }, (_, i) => ({
      index: Math.max(0, Math.min(length - 1, begin + i)),
      weight: cubic(Math.abs(at - begin - i))
    }))
  }
  const across = Array.from({ length: width }, (_, x) => taps(x, columns, width))
  const noise = new Float64Array(width * height)
  let [least, most] = [Infinity, -Infinity]
  yield* byLines(height, width * 32, (from, to) => {
    for (let y = from; y < to; y++) {
      const down = taps(y, rows, height)
      for (const [x, taps] of across.entries()) {
        let sum = 0
        for (const row of down) {
          for (const column of taps) {
            sum += row.weight * column.weight * (points[row.index * columns + column.index] as number)
          }
        }
        noise[y * width + x] = sum
        least = Math.min(least, sum)
        most = Math.max(most, sum)
      }
    }
  })
  return noise.map((value) => most === least ? 0 : (value - least) / (most - least))
}

const cubic = (x: number): number =>
  x < 1 ? ((1.25 * x - 2.25) * x) * x + 1 : x < 2 ? ((-0.75 * x + 3.75) * x - 6) * x + 3 : 0
