/**
 * An upscaling network, in an ONNX file or built of weights: one input `[batch, 3, height, width]` of RGB, 0 to 1, and
 * one output with both sides multiplied by the same whole number. So are ESRGAN, Real-ESRGAN, exported SwinIR and their
 * like.
 *
 * The network reads an image in tiles of one size that overlap and are blended there. Where an image ends before a tile
 * does, its last row or column is repeated: networks with a fixed size get exactly that size, others multiples of 8.
 * In addition to the images, memory is needed for one row of tiles.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import { basename } from "node:path"
import type { Size } from "../core/Geometry.ts"
import type { Raster } from "../core/Raster.ts"
import * as Tiles from "../images/Tiles.ts"
import type { OpenUpscaler, Tiling } from "../images/Upscalers.ts"
import {
  type InferenceError,
  type NetworkError,
  NetworkLoadError,
  type NetworkThreadDied,
  NotEnoughMemory
} from "../model/ModelError.ts"
import { type Network, Networks, type TensorType } from "./Networks.ts"
import * as TensorBuffer from "./TensorBuffer.ts"
import { networkOf } from "./upscalerFiles.ts"

/** Sides of tiles are multiples of this, and at least twice it: networks fold 2 x 2 pixels, or look at windows of 8. */
const multiple = 8
const smallest = 2 * multiple

/** Largest side of what a network makes of one tile, and largest scale: more is a mistake in the file. */
const largest = 16_384
const largestScale = 16

/** Numbers that are converted before other fibers get their turn: a few milliseconds of work. */
const numbersAtOnce = 1 << 20

/** Scales that are tried when the file does not state one. */
const scales = [4, 2, 1, 3, 8, 6, 16]

/** Opens a network until the scope closes. `likely` is the scale to try first when the file does not state one. */
export const open = Effect.fnUntraced(function*(
  file: string,
  likely = 4
): Effect.fn.Return<OpenUpscaler, NetworkError, Networks | FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const network = yield* (yield* Networks).open(yield* networkOf(file))
  const shape = yield* checked(network)
  const scale = shape.scale ?? (yield* measured(network, shape, likely))

  const gridOf = ({ height, width }: Size, { overlap, tile }: Tiling): Tiles.Grid => {
    const side = (length: number, fixed: number | undefined) =>
      fixed ?? Math.max(smallest, roundUp(tile <= 0 ? length : Math.min(tile, length)))
    const size = { height: side(height, shape.height), width: side(width, shape.width) }
    return Tiles.grid({
      height: Math.max(height, size.height),
      width: Math.max(width, size.width),
      tile: size,
      overlap
    })
  }

  const apply: OpenUpscaler["apply"] = Effect.fnUntraced(function*(raster, { afterTile, ...tiling }) {
    const grid = gridOf(raster, tiling)
    yield* checkMemory(network, shape, { height: grid.rows.tile, width: grid.columns.tile })
    const large = Tiles.scaled(grid, scale)
    const { columns, rows } = large
    const result: Raster = {
      width: raster.width * scale,
      height: raster.height * scale,
      channels: 3,
      data: new Uint8Array(raster.width * scale * raster.height * scale * 3)
    }
    // Sums of one row of tiles; the rows that the next one shares move to the top.
    const sums = new Float32Array(3 * rows.tile * columns.length)
    const { input, output, run } = yield* bound(network, shape, scale, {
      height: grid.rows.tile,
      width: grid.columns.tile
    })
    const step = Math.max(1, Math.floor(numbersAtOnce / (3 * columns.tile)))
    const stepWhole = Math.max(1, Math.floor(numbersAtOnce / (3 * columns.length)))

    for (const tile of large.tiles) {
      read(raster, input.values, grid, tile)
      yield* run
      const band = { top: rows.starts[tile.row] ?? 0, height: rows.tile }
      for (let from = 0; from < rows.tile; from += step) {
        Tiles.add(sums, output.values, 3, large, tile, { from, to: Math.min(rows.tile, from + step) }, band)
        yield* Effect.yieldNow
      }
      yield* afterTile
      if (tile.column < columns.starts.length - 1) continue
      const done = (rows.starts[tile.row + 1] ?? rows.length) - band.top
      for (let from = 0; from < done; from += stepWhole) {
        write(result, sums, columns.length, band, { from, to: Math.min(done, from + stepWhole) })
        yield* Effect.yieldNow
      }
      moveUp(sums, rows.tile, columns.length, done)
    }
    return result
  }, Effect.scoped)

  return { file, scale, countTiles: (size, tiling) => gridOf(size, tiling).tiles.length, apply }
})

// Fails where a tile takes more memory than there is.
const checkMemory = Effect.fnUntraced(function*(network: Network, { input }: Shape, { height, width }: Size) {
  const estimate = yield* network.estimate({ [input.name]: [1, 3, height, width] })
  if (estimate === undefined || estimate.needed <= estimate.available) return
  const model = basename(network.file, ".onnx")
  return yield* new NotEnoughMemory({ model, step: "upscaling", width, height, ...estimate })
})

const roundUp = (length: number): number => Math.ceil(length / multiple) * multiple

interface Shape {
  readonly input: { readonly name: string; readonly type: TensorType }
  readonly output: { readonly name: string; readonly type: TensorType }
  /** Where the file fixes them. */
  readonly height: number | undefined
  readonly width: number | undefined
  readonly scale: number | undefined
}

const fixed = (dim: number | string | undefined): number | undefined =>
  typeof dim === "number" && dim > 0 ? dim : undefined

// Checks that the network has the inputs and outputs of an upscaler.
const checked = Effect.fnUntraced(function*({ file, inputs, outputs }: Network): Effect.fn.Return<
  Shape,
  NetworkLoadError
> {
  const problems: Array<string> = []
  const only = (side: "input" | "output", found: Network["inputs"]) => {
    const [tensor, ...others] = found
    if (tensor === undefined || others.length > 0) {
      problems.push(`it has ${found.length} ${side}s, and an upscaler has one`)
      return undefined
    }
    const type = TensorBuffer.tensorType(tensor.type)
    const isReal = type === "float32" || type === "float16"
    if (!isReal) problems.push(`its ${side} "${tensor.name}" is of type ${tensor.type}, not float32 or float16`)
    const [batch, channels] = tensor.dims
    // Files need not state the shape of an output.
    const fits = side === "output" && tensor.dims.length === 0 ||
      tensor.dims.length === 4 && (fixed(batch) ?? 1) === 1 && (fixed(channels) ?? 3) === 3
    if (!fits) {
      const dims = tensor.dims.map((dim) => dim === "" ? "?" : dim).join(", ")
      problems.push(`its ${side} "${tensor.name}" is [${dims}], not [batch, 3, height, width]`)
    }
    return isReal && fits ? { name: tensor.name, type, dims: tensor.dims } : undefined
  }
  const input = only("input", inputs)
  const output = only("output", outputs)
  const [height, width] = (input?.dims ?? []).slice(2).map(fixed)
  const [outHeight, outWidth] = (output?.dims ?? []).slice(2).map(fixed)
  const scale = height === undefined || outHeight === undefined ? undefined : outHeight / height
  const across = width === undefined || outWidth === undefined ? undefined : outWidth / width
  if (
    [scale, across].some((ratio) => ratio !== undefined && !Number.isInteger(ratio)) ||
    (across ?? scale) !== (scale ?? across)
  ) {
    problems.push(
      `it turns ${width}x${height} into ${outWidth}x${outHeight}; both sides must grow by the same whole number`
    )
  }
  if (
    Math.max(height ?? 0, width ?? 0, outHeight ?? 0, outWidth ?? 0) > largest || (scale ?? across ?? 1) > largestScale
  ) {
    problems.push(
      `its sides are fixed to more than ${largest} pixels, or it multiplies them by more than ${largestScale}`
    )
  }
  if (input === undefined || output === undefined || problems.length > 0) {
    return yield* new NetworkLoadError({ file, reason: problems.join("; ") })
  }
  return { input, output, height, width, scale: scale ?? across }
})

// Buffers and call for one tile, until the scope closes.
const bound = Effect.fnUntraced(function*(
  network: Network,
  shape: Shape,
  scale: number,
  { height, width }: Size
) {
  const input = TensorBuffer.make(shape.input.type, [1, 3, height, width])
  const output = TensorBuffer.make(shape.output.type, [1, 3, height * scale, width * scale])
  const { run } = yield* TensorBuffer.bind(network, {
    inputs: { [shape.input.name]: input },
    outputs: { [shape.output.name]: output }
  })
  return { input, output, run }
})

// The scale whose output has the size that the network makes: with any other, the run fails before it ends.
const measured = Effect.fnUntraced(function*(network: Network, shape: Shape, likely: number): Effect.fn.Return<
  number,
  NetworkLoadError | InferenceError | NetworkThreadDied
> {
  const size = { height: shape.height ?? smallest, width: shape.width ?? smallest }
  let reason = ""
  for (const scale of new Set([likely, ...scales])) {
    const failure = yield* Effect.gen(function*() {
      const { run } = yield* bound(network, shape, scale, size)
      yield* run
    }).pipe(
      Effect.scoped,
      Effect.as(undefined),
      // Memory that runs out says nothing about the scale.
      Effect.catchIf(
        (error) => error._tag === "InferenceError" && error.remedy === undefined,
        ({ reason }) => Effect.succeed(reason)
      )
    )
    if (failure === undefined) return scale
    reason = failure
  }
  return yield* new NetworkLoadError({
    file: network.file,
    reason: `it does not enlarge an image of ${size.width}x${size.height} by a factor of ${
      scales.toSorted((a, b) => a - b).join(", ")
    } (${reason})`
  })
})

// A tile's pixels, planar, 0 to 1.
const read = (
  { data, height, width }: Raster,
  out: Float32Array,
  { columns, rows }: Tiles.Grid,
  tile: Tiles.Tile
): void => {
  const top = rows.starts[tile.row] ?? 0
  const left = columns.starts[tile.column] ?? 0
  let to = 0
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < rows.tile; i++) {
      const line = Math.min(top + i, height - 1) * width
      for (let j = 0; j < columns.tile; j++) {
        out[to++] = (data[(line + Math.min(left + j, width - 1)) * 3 + channel] as number) / 255
      }
    }
  }
}

// Rows of a band as bytes, clamped and rounded, without what lies beyond the image.
const write = (
  { data, height, width }: Raster,
  sums: Float32Array,
  length: number,
  band: Tiles.Band,
  { from, to }: Tiles.Rows
): void => {
  const end = Math.min(to, height - band.top)
  for (let channel = 0; channel < 3; channel++) {
    for (let i = from; i < end; i++) {
      const line = (channel * band.height + i) * length
      const base = (band.top + i) * width
      for (let x = 0; x < width; x++) {
        const value = sums[line + x] as number
        data[(base + x) * 3 + channel] = value <= 0 ? 0 : value >= 1 ? 255 : value * 255 + 0.5
      }
    }
  }
}

// Drops the first `by` rows of each plane and puts zeros after the others.
const moveUp = (sums: Float32Array, height: number, width: number, by: number): void => {
  for (let plane = 0; plane < sums.length; plane += height * width) {
    sums.copyWithin(plane, plane + by * width, plane + height * width)
    sums.fill(0, plane + (height - by) * width, plane + height * width)
  }
}
