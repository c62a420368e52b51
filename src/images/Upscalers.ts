/**
 * Upscalers: they enlarge an image before it is sampled again, or at the end.
 *
 * `None`, `Lanczos` and `Nearest` are always there and need no network. Others are networks that multiply an image's
 * sides by a fixed number: they are applied until the image is large enough, up to three times, and what is too much
 * then is taken away with a Lanczos filter, as stable-diffusion-webui does (`Upscaler.upscale`, `resize_image`).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Size } from "../core/Geometry.ts"
import type { Raster } from "../core/Raster.ts"
import { InferenceError, type NetworkError } from "../model/ModelError.ts"
import { UnknownUpscaler } from "./ImageError.ts"
import { resizing } from "./Resample.ts"

export interface UpscalerEntry {
  readonly name: string
  /** Null, as `path`, for those that are no network. */
  readonly modelName: string | null
  /** The network's file. */
  readonly path: string | null
  /** How much larger one application makes an image. Those that are no network take any factor, and say 4. */
  readonly scale: number
}

export interface UpscaleOptions {
  /** Side of the tiles that a network sees, in pixels of the small image: 192. 0 for the whole. */
  readonly tile?: number | undefined
  /** Least overlap of two tiles, in pixels: 8. At most half a tile. */
  readonly overlap?: number | undefined
  /** Called after each tile with the number done and the total of all applications. */
  readonly onTile?: ((done: number, of: number) => Effect.Effect<void>) | undefined
}

/** An open network that multiplies an image's sides by `scale`. */
export interface OpenUpscaler {
  readonly file: string
  readonly scale: number
  /** Tiles that one application to an image of this size takes. */
  readonly countTiles: (size: Size, options: Tiling) => number
  /** An RGB image, larger; `afterTile` runs after each tile. */
  readonly apply: (
    raster: Raster,
    options: Tiling & { readonly afterTile: Effect.Effect<void> }
  ) => Effect.Effect<Raster, NetworkError>
}

export interface Tiling {
  readonly tile: number
  readonly overlap: number
}

/** An upscaler that is a network, open only while in use. */
export interface NetworkUpscaler {
  readonly entry: UpscalerEntry
  readonly open: Effect.Effect<OpenUpscaler, NetworkError, Scope.Scope>
}

export class Upscalers extends Context.Service<Upscalers, {
  /** `None`, `Lanczos`, `Nearest`, then networks. */
  readonly list: Effect.Effect<ReadonlyArray<UpscalerEntry>>
  /**
   * An image of exactly the size `to`. One that grows in no direction is not given to the upscaler but resized with a
   * Lanczos filter; so are grey images, and the alpha of those that go to a network. The name may be in any case.
   *
   * Memory for the result is taken without asking: sizes must have been checked before.
   */
  readonly upscale: (
    name: string,
    raster: Raster,
    to: Size,
    options?: UpscaleOptions
  ) => Effect.Effect<Raster, UnknownUpscaler | NetworkError>
  /**
   * An image `factor` times as large, each side cut to a multiple of 8 (at least 8), as stable-diffusion-webui's
   * extras are. A network is applied once for a factor of 1, and its result made as small as the image was.
   */
  readonly scaleBy: (
    name: string,
    raster: Raster,
    factor: number,
    options?: UpscaleOptions
  ) => Effect.Effect<Raster, UnknownUpscaler | NetworkError>
}>()("serena/images/Upscalers") {
  /** `None`, `Lanczos` and `Nearest`. */
  static readonly layerBuiltIn: Layer.Layer<Upscalers> = Layer.sync(Upscalers, () => make(Effect.succeed([])))
}

type BuiltIn = "None" | "Lanczos" | "Nearest"

const builtIns: ReadonlyArray<UpscalerEntry & { readonly name: BuiltIn }> = (["None", "Lanczos", "Nearest"] as const)
  .map((name) => ({ name, modelName: null, path: null, scale: 4 }))

/** Most applications of a network to one image. */
const mostPasses = 3

/** Most pixels of what a network makes: 16384 x 16384. Larger images would not fit into memory. */
const mostPixels = 2 ** 28

/** The three upscalers that are always there, and these networks, searched at each use. */
export const make = (networks: Effect.Effect<ReadonlyArray<NetworkUpscaler>>): Upscalers["Service"] => {
  const list = Effect.map(networks, (found) => [...builtIns, ...found.map(({ entry }) => entry)])

  const find = Effect.fnUntraced(function*(name: string) {
    const wanted = name.toLowerCase()
    const builtIn = builtIns.find((entry) => entry.name.toLowerCase() === wanted)
    if (builtIn !== undefined) return builtIn.name
    const found = yield* networks
    const network = found.find(({ entry }) => entry.name === name) ??
      found.find(({ entry }) => entry.name.toLowerCase() === wanted)
    if (network !== undefined) return network
    return yield* new UnknownUpscaler({
      upscaler: name,
      known: [...builtIns, ...found.map(({ entry }) => entry)].map((entry) => entry.name)
    })
  })

  const upscale = Effect.fn("Upscalers.upscale")(function*(
    name: string,
    raster: Raster,
    to: Size,
    options: UpscaleOptions = {}
  ) {
    const upscaler = yield* find(name)
    if (raster.width === to.width && raster.height === to.height) return raster
    if (typeof upscaler !== "string") return yield* byNetwork(upscaler, raster, to, options)
    const filter = upscaler === "Nearest" && grows(raster, to) ? "nearest" : "lanczos"
    return yield* resizing(raster, to.width, to.height, filter)
  })

  const scaleBy = Effect.fn("Upscalers.scaleBy")(function*(
    name: string,
    raster: Raster,
    factor: number,
    options: UpscaleOptions = {}
  ) {
    const upscaler = yield* find(name)
    const to = { height: cutToEight(raster.height * factor), width: cutToEight(raster.width * factor) }
    if (typeof upscaler !== "string") return yield* byNetwork(upscaler, raster, to, options, factor === 1)
    // The filter scales by the exact factor, before the result is cropped.
    const exact = upscaler === "None" || factor <= 1
      ? raster
      : yield* resizing(
        raster,
        Math.floor(raster.width * factor),
        Math.floor(raster.height * factor),
        upscaler === "Nearest" ? "nearest" : "lanczos"
      )
    return yield* lanczos(exact, to)
  })

  return Upscalers.of({ list, upscale, scaleBy })
}

const cutToEight = (length: number): number => Math.max(8, Math.floor(length / 8) * 8)

const grows = (from: Size, to: Size): boolean => from.width < to.width || from.height < to.height

const lanczos = (raster: Raster, to: Size): Effect.Effect<Raster> =>
  raster.width === to.width && raster.height === to.height
    ? Effect.succeed(raster)
    : resizing(raster, to.width, to.height, "lanczos")

const byNetwork = Effect.fnUntraced(function*(
  { entry, open }: NetworkUpscaler,
  raster: Raster,
  to: Size,
  { onTile, overlap = 8, tile = 192 }: UpscaleOptions,
  atLeastOnce = false
): Effect.fn.Return<Raster, NetworkError> {
  if (raster.channels === 1 || (!atLeastOnce && !grows(raster, to))) return yield* lanczos(raster, to)
  const { alpha, rgb } = raster.channels === 4 ? separated(raster) : { alpha: undefined, rgb: raster }

  const large = yield* Effect.scoped(Effect.gen(function*() {
    const network = yield* open
    const sizes = yield* passes(entry, network.scale, raster, to, atLeastOnce)
    const of = sizes.reduce((sum, size) => sum + network.countTiles(size, { tile, overlap }), 0)
    let done = 0
    const afterTile = Effect.suspend(() => onTile?.(++done, of) ?? Effect.void)
    let upscaled = rgb
    for (let pass = 0; pass < sizes.length; pass++) {
      upscaled = yield* network.apply(upscaled, { tile, overlap, afterTile })
    }
    return upscaled
  }))

  const result = yield* lanczos(large, to)
  return alpha === undefined ? result : joined(result, yield* lanczos(alpha, to))
})

// Sizes of the images to which the network is applied.
const passes = Effect.fnUntraced(function*(
  { name, path }: UpscalerEntry,
  scale: number,
  { height, width }: Size,
  to: Size,
  atLeastOnce: boolean
) {
  const sizes: Array<Size> = []
  let size = { height, width }
  let isNeeded = atLeastOnce || grows(size, to)
  while (isNeeded) {
    sizes.push(size)
    size = { height: size.height * scale, width: size.width * scale }
    if (size.height * size.width > mostPixels) {
      return yield* new InferenceError({
        file: path ?? name,
        reason: `it enlarges images ${scale} times, and ${size.width}x${size.height} is too large for that`,
        remedy: "size"
      })
    }
    isNeeded = scale > 1 && sizes.length < mostPasses && grows(size, to)
  }
  return sizes
})

const separated = ({ data, height, width }: Raster): { readonly rgb: Raster; readonly alpha: Raster } => {
  const rgb = new Uint8Array(width * height * 3)
  const alpha = new Uint8Array(width * height)
  for (let i = 0; i < alpha.length; i++) {
    rgb[i * 3] = data[i * 4] as number
    rgb[i * 3 + 1] = data[i * 4 + 1] as number
    rgb[i * 3 + 2] = data[i * 4 + 2] as number
    alpha[i] = data[i * 4 + 3] as number
  }
  return {
    rgb: { width, height, channels: 3, data: rgb },
    alpha: { width, height, channels: 1, data: alpha }
  }
}

const joined = ({ data: rgb, height, width }: Raster, { data: alpha }: Raster): Raster => {
  const data = new Uint8Array(width * height * 4)
  for (let i = 0; i < alpha.length; i++) {
    data[i * 4] = rgb[i * 3] as number
    data[i * 4 + 1] = rgb[i * 3 + 1] as number
    data[i * 4 + 2] = rgb[i * 3 + 2] as number
    data[i * 4 + 3] = alpha[i] as number
  }
  return { width, height, channels: 4, data }
}
