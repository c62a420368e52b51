/**
 * Between latents and large images in tiles, so that the VAE's memory does not grow with the image.
 *
 * Each tile is decoded or encoded alone and blended linearly into the whole where it overlaps others. The result
 * differs a little from the untiled one, as an autoencoder's normalisation and attention see one tile at a time. What
 * is no larger than a tile is not tiled.
 */
import * as Effect from "effect/Effect"
import type { LatentShape, LatentSize } from "../core/LatentShape.ts"
import * as Tiles from "../images/Tiles.ts"
import type { Autoencoder, Seams } from "../model/Autoencoder.ts"
import type { NetworkError } from "../model/ModelError.ts"

/** Side of a tile, and least overlap of two, in latent values. */
export interface TileSize {
  readonly tile: number
  readonly overlap: number
}

/** Numbers that are added before other fibers get their turn: a few milliseconds of work. */
const numbersAtOnce = 1 << 20

const gridOf = ({ height, seamless, width }: LatentSize & Seams, { overlap, tile }: TileSize): Tiles.Grid =>
  Tiles.grid({ height, width, tile: { height: tile, width: tile }, overlap, seamless })

/** What goes through the network at once: everything, or a tile, without regard to seams. */
export const callShape = (shape: LatentShape & Seams, size: TileSize): LatentShape & Seams => {
  const { columns, rows, tiles } = gridOf(shape, size)
  return tiles.length === 1 ? shape : { ...shape, height: rows.tile, width: columns.tile, seamless: false }
}

interface Planes {
  readonly grid: Tiles.Grid
  readonly channels: number
}

// Runs each tile of `values` and blends the results. The network knows nothing of seams then: the grid goes round.
const tiled = Effect.fnUntraced(function*(
  run: Autoencoder["decode"],
  values: Float32Array,
  shape: LatentShape & Seams,
  from: Planes,
  to: Planes
): Effect.fn.Return<Float32Array, NetworkError> {
  const { columns, rows } = to.grid
  const result = new Float32Array(to.channels * rows.length * columns.length)
  const part = new Float32Array(from.channels * from.grid.rows.tile * from.grid.columns.tile)
  const step = Math.max(1, Math.floor(numbersAtOnce / (to.channels * columns.tile)))
  for (const tile of from.grid.tiles) {
    Tiles.cut(part, values, from.channels, from.grid, tile)
    const made = yield* run(part, shape)
    for (let row = 0; row < rows.tile; row += step) {
      Tiles.add(result, made, to.channels, to.grid, tile, { from: row, to: Math.min(rows.tile, row + step) })
      yield* Effect.yieldNow
    }
  }
  return result
})

/**
 * `decode` tile by tile: a latent `[channels, 1, height, width]` to RGB `[3, height * scale, width * scale]`.
 * Apart from the image, only one tile is in memory at a time.
 */
export const decodeTiled = Effect.fnUntraced(function*(
  decode: Autoencoder["decode"],
  latent: Float32Array,
  shape: LatentShape & Seams,
  size: TileSize,
  scale: number
): Effect.fn.Return<Float32Array, NetworkError> {
  const grid = gridOf(shape, size)
  if (grid.tiles.length === 1) return yield* decode(latent, shape)
  return yield* tiled(
    decode,
    latent,
    { ...shape, height: grid.rows.tile, width: grid.columns.tile, seamless: false },
    { grid, channels: shape.channels },
    { grid: Tiles.scaled(grid, scale), channels: 3 }
  )
})

/**
 * `encode` tile by tile: RGB `[3, height * scale, width * scale]` to a latent `[channels, 1, height, width]`.
 * `shape` is the latent's.
 */
export const encodeTiled = Effect.fnUntraced(function*(
  encode: Autoencoder["encode"],
  pixels: Float32Array,
  shape: LatentShape & Seams,
  size: TileSize,
  scale: number
): Effect.fn.Return<Float32Array, NetworkError> {
  const grid = gridOf(shape, size)
  if (grid.tiles.length === 1) return yield* encode(pixels, shape)
  return yield* tiled(
    encode,
    pixels,
    { ...shape, height: grid.rows.tile, width: grid.columns.tile, seamless: false },
    { grid: Tiles.scaled(grid, scale), channels: 3 },
    { grid, channels: shape.channels }
  )
})
