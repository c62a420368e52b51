/**
 * Latents larger than a network was trained for, predicted in tiles that overlap: MultiDiffusion (Bar-Tal et al., 2023,
 * arXiv:2302.08113).
 *
 * At each step the prediction is made for each tile alone, and the whole prediction is the mean of all tiles that cover
 * a point. The paper's mean has equal weights; here a tile counts less towards its edges, where it knows less of what
 * is around. The weights sum to 1 at each point, so there is nothing to divide by in the end:
 *
 *     prediction.fill(0)
 *     for each tile of plan.tiles: gather, run the network, scatterAdd
 *
 * After planning, no memory is taken.
 */
import type { LatentSize } from "../core/LatentShape.ts"
import * as Tiles from "../images/Tiles.ts"

export interface TilePlan {
  readonly grid: Tiles.Grid
  readonly tiles: ReadonlyArray<Tiles.Tile>
  /** Size of each tile: that of the network's call. */
  readonly tile: LatentSize
  /** Whether all is in one tile, so that the call itself must be seamless for seamless latents. */
  readonly isWhole: boolean
}

/**
 * Tiles over latents of this size, in latent values. Neighbours have at least `overlap` in common, at most half a tile.
 *
 * Tiles of seamless latents go round the edges. Where only one direction is longer than a tile, the tile is longer than
 * the latents in the other, by `overlap` on both sides, rounded up to a multiple of 8.
 */
export const plan = (
  { height, width }: LatentSize,
  { overlap, tile }: { readonly tile: LatentSize; readonly overlap: number },
  seamless = false
): TilePlan => {
  const grid = Tiles.grid({ height, width, tile, overlap, seamless })
  return {
    grid,
    tiles: grid.tiles,
    tile: { height: grid.rows.tile, width: grid.columns.tile },
    isWhole: grid.tiles.length === 1
  }
}

/**
 * Copies a tile of `values` `[channels, height, width]` to `out` `[channels, tile.height, tile.width]`. For a batch,
 * `channels` are those of all latents together.
 */
export const gather = (
  out: Float32Array,
  values: Float32Array,
  channels: number,
  { grid }: TilePlan,
  tile: Tiles.Tile
): void => Tiles.cut(out, values, channels, grid, tile)

/** Adds a tile's `values` `[channels, tile.height, tile.width]`, weighted, to `sum` `[channels, height, width]`. */
export const scatterAdd = (
  sum: Float32Array,
  values: Float32Array,
  channels: number,
  { grid }: TilePlan,
  tile: Tiles.Tile
): void => Tiles.add(sum, values, channels, grid, tile)
