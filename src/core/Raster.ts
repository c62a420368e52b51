/**
 * An image in memory: 8-bit samples, interleaved, row by row.
 */
import type { Region, Size } from "./Geometry.ts"

export interface Raster {
  readonly width: number
  readonly height: number
  /** 1: grey. 3: RGB. 4: RGB and alpha, not multiplied. */
  readonly channels: 1 | 3 | 4
  /** `[height, width, channels]`. */
  readonly data: Uint8Array
}

/** A single-channel image. */
export type Grey = Raster & { readonly channels: 1 }

/** An image of one value in all samples. */
export const filled = ({ height, width }: Size, channels: Raster["channels"], value = 0): Raster => ({
  width,
  height,
  channels,
  // Memory comes filled with 0.
  data: value === 0
    ? new Uint8Array(width * height * channels)
    : new Uint8Array(width * height * channels).fill(value)
})

/** A part of an image. What the region has outside of the image is 0. */
export const crop = (raster: Raster, { bottom, left, right, top }: Region): Raster =>
  paste(filled({ width: right - left, height: bottom - top }, raster.channels), raster, -left, -top)

/**
 * An image with another of as many channels pasted onto it, its corner at `left`, `top`. What hangs over is cut off.
 */
export const paste = (onto: Raster, raster: Raster, left: number, top: number): Raster => {
  const { channels, height, width } = onto
  if (raster.channels !== channels) throw new RangeError("an image is pasted onto one of other channels")
  const data = Uint8Array.from(onto.data)
  const from = Math.max(0, -left)
  const to = Math.min(raster.width, width - left)
  if (from >= to) return { width, height, channels, data }
  for (let y = Math.max(0, -top); y < Math.min(raster.height, height - top); y++) {
    const row = y * raster.width
    data.set(
      raster.data.subarray((row + from) * channels, (row + to) * channels),
      ((y + top) * width + left + from) * channels
    )
  }
  return { width, height, channels, data }
}

/** RGB, composited onto a colour: red, green and blue, 0 to 255. */
export const toRgb = (raster: Raster, background: readonly [number, number, number] = [255, 255, 255]): Raster => {
  const { channels, data, height, width } = raster
  if (channels === 3) return raster
  const rgb = new Uint8Array(width * height * 3)
  const [red, green, blue] = background
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3) {
    if (channels === 1) {
      rgb.fill(data[from] as number, to, to + 3)
    } else {
      const alpha = data[from + 3] as number
      rgb[to] = divide255((data[from] as number) * alpha + red * (255 - alpha))
      rgb[to + 1] = divide255((data[from + 1] as number) * alpha + green * (255 - alpha))
      rgb[to + 2] = divide255((data[from + 2] as number) * alpha + blue * (255 - alpha))
    }
  }
  return { width, height, channels: 3, data: rgb }
}

/** RGB and alpha: opaque, where the image had none. */
export const toRgba = (raster: Raster): Raster => {
  const { channels, data, height, width } = raster
  if (channels === 4) return raster
  const rgba = new Uint8Array(width * height * 4).fill(255)
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0]
  for (let from = 0, to = 0; to < rgba.length; from += channels, to += 4) {
    rgba[to] = data[from] as number
    rgba[to + 1] = data[from + green] as number
    rgba[to + 2] = data[from + blue] as number
  }
  return { width, height, channels: 4, data: rgba }
}

/** RGB without the alpha: what is transparent shows the colour that it has. */
export const withoutAlpha = (raster: Raster): Raster => {
  const { channels, data, height, width } = raster
  if (channels !== 4) return toRgb(raster)
  const rgb = new Uint8Array(width * height * 3)
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from] as number
    rgb[to + 1] = data[from + 1] as number
    rgb[to + 2] = data[from + 2] as number
  }
  return { width, height, channels: 3, data: rgb }
}

/** `[3, height, width]`, -1 to 1: what a VAE encodes. */
export const toPlanar = (raster: Raster): Float32Array => {
  const { data, height, width } = toRgb(raster)
  const size = width * height
  const planar = new Float32Array(3 * size)
  for (let i = 0, from = 0; i < size; i++, from += 3) {
    planar[i] = (data[from] as number) / 255 * 2 - 1
    planar[size + i] = (data[from + 1] as number) / 255 * 2 - 1
    planar[2 * size + i] = (data[from + 2] as number) / 255 * 2 - 1
  }
  return planar
}

/**
 * A quotient by 255, rounded, as Pillow has it: exact for products of two samples, and for sums of two that weigh 255.
 */
export const divide255 = (value: number): number => {
  const moved = value + 128
  return ((moved >> 8) + moved) >> 8
}

/** RGB multiplied by alpha. */
export const premultiply = (raster: Raster): Raster => {
  const data = Uint8Array.from(raster.data)
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] as number
    for (let channel = i; channel < i + 3; channel++) data[channel] = divide255((data[channel] as number) * alpha)
  }
  return { ...raster, data }
}

/** RGB divided by alpha again, cut and not rounded, as in Pillow. */
export const unpremultiply = (raster: Raster): Raster => {
  const data = Uint8Array.from(raster.data)
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] as number
    if (alpha === 0 || alpha === 255) continue
    for (let channel = i; channel < i + 3; channel++) {
      data[channel] = Math.min(255, Math.trunc(255 * (data[channel] as number) / alpha))
    }
  }
  return { ...raster, data }
}

/** Lays samples of RGB and alpha above others, in place; both `[..., 4]` (Pillow's `alpha_composite`). */
export const compositeOnto = (below: Uint8Array, above: Uint8Array): void => {
  for (let i = 0; i < below.length; i += 4) {
    const alpha = above[i + 3] as number
    if (alpha === 0) continue
    const rest = (below[i + 3] as number) * (255 - alpha)
    const sum = alpha * 255 + rest
    // Seven more bits for the weights.
    const weight = rest === 0 ? 32640 : Math.trunc(alpha * 8323200 / sum)
    const weightBelow = 32640 - weight
    for (let channel = i; channel < i + 3; channel++) {
      const mixed = (above[channel] as number) * weight + (below[channel] as number) * weightBelow + 16384
      below[channel] = ((mixed >> 8) + mixed) >> 15
    }
    below[i + 3] = divide255(sum)
  }
}
