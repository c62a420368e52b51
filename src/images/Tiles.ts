/**
 * Large images in tiles that overlap, blended where they do.
 *
 * A `Grid` says where the tiles lie and how much each counts at each of its points: linearly less towards an edge that
 * another tile covers too. The weights of all tiles at a point sum to 1, so blending is adding, and what is the same in
 * all tiles stays as it is. Pixels, latents and anything else in planes can be cut and added; a grid at another scale
 * has the same tiles in the same order.
 *
 * stable-diffusion-webui (`split_grid`, `combine_grid`) spreads tiles the same way, but blends over the asked overlap
 * only. Here the ramp is as long as the real overlap, which is often longer, and has its middle where that has it.
 */
import type { Size } from "../core/Geometry.ts"

/** The tiles along one direction. */
export interface Axis {
  readonly length: number
  /** Length of each tile. More than `length` where an axis that goes round fits into one tile. */
  readonly tile: number
  /** Where the tiles begin, 0 to `length` - 1. */
  readonly starts: ReadonlyArray<number>
  /** For each start, `[tile]`. */
  readonly weights: ReadonlyArray<Float32Array>
  /** Whether the end continues at the beginning. */
  readonly round: boolean
}

export interface Tile {
  /** Index among the starts of `Grid.rows`, and of `Grid.columns`. */
  readonly row: number
  readonly column: number
}

export interface Grid {
  readonly rows: Axis
  readonly columns: Axis
  /** Row by row. */
  readonly tiles: ReadonlyArray<Tile>
}

/** A tile has no more than a half in common with the next: what is more would make tiles without end. */
const shared = (tile: number, overlap: number): number => Math.max(0, Math.min(overlap, Math.floor(tile / 2)))

/**
 * Where tiles begin so that they cover `length`, evenly, with at least `overlap` in common between two neighbours (at
 * most half a tile is asked for). One tile at 0 when it is no shorter than the length.
 */
export const split = (length: number, tile: number, overlap: number): ReadonlyArray<number> => {
  if (tile >= length) return [0]
  const common = shared(tile, overlap)
  const gaps = Math.ceil((length - tile) / (tile - common))
  return Array.from({ length: gaps + 1 }, (_, index) => Math.floor(index * (length - tile) / gaps))
}

/** The same on an axis that goes round: the last tile has its overlap with the first. */
export const splitRound = (length: number, tile: number, overlap: number): ReadonlyArray<number> => {
  if (tile >= length) return [0]
  const count = Math.ceil(length / (tile - shared(tile, overlap)))
  return Array.from({ length: count }, (_, index) => Math.floor(index * length / count))
}

const makeAxis = (length: number, tile: number, starts: ReadonlyArray<number>, round: boolean): Axis => {
  // What tiles have in common with the one before, and with the one after.
  const common = starts.map((start, index) => {
    const before = starts[index - 1] ?? (round ? (starts.at(-1) ?? 0) - length : -tile)
    return Math.max(0, before + tile - start)
  })
  const total = new Float64Array(length)
  const raw = starts.map((start, index) => {
    const [fromLeft = 0, fromRight = round ? common[0] ?? 0 : 0] = common.slice(index, index + 2)
    return Float64Array.from({ length: tile }, (_, i) => {
      const weight = Math.min(
        1,
        fromLeft === 0 ? 1 : (i + 0.5) / fromLeft,
        fromRight === 0 ? 1 : (tile - i - 0.5) / fromRight
      )
      const at = (start + i) % length
      total[at] = (total[at] as number) + weight
      return weight
    })
  })
  return {
    length,
    tile,
    starts,
    weights: raw.map((weights, index) => {
      const start = starts[index] ?? 0
      return Float32Array.from(weights, (weight, i) => weight / (total[(start + i) % length] as number))
    }),
    round
  }
}

const makeGrid = (rows: Axis, columns: Axis): Grid => ({
  rows,
  columns,
  tiles: rows.starts.flatMap((_, row) => columns.starts.map((_, column) => ({ row, column })))
})

/**
 * Tiles over a rectangle, each no larger than that.
 *
 * When `seamless` and not all fits into one tile, tiles go round both edges, and a direction that needs one tile only
 * has it longer, by `overlap` or the next multiple of 8 at both ends, so that its edges meet as well.
 */
export const grid = ({ height, overlap, seamless = false, tile, width }: Size & {
  readonly tile: Size
  /** Least overlap; at most half a tile. */
  readonly overlap: number
  readonly seamless?: boolean | undefined
}): Grid => {
  const round = seamless && (tile.height < height || tile.width < width)
  const axis = (length: number, tile: number): Axis => {
    if (!round) {
      const cut = Math.min(tile, length)
      return makeAxis(length, cut, split(length, cut, overlap), false)
    }
    if (tile < length) return makeAxis(length, tile, splitRound(length, tile, overlap), true)
    const margin = Math.min(Math.ceil(overlap / 8) * 8, length)
    return makeAxis(length, length + 2 * margin, [(length - margin) % length], true)
  }
  return makeGrid(axis(height, tile.height), axis(width, tile.width))
}

const scaledAxis = ({ length, round, starts, tile }: Axis, factor: number): Axis =>
  makeAxis(length * factor, tile * factor, starts.map((start) => start * factor), round)

/** The same tiles where everything is `factor` times as large. */
export const scaled = ({ columns, rows }: Grid, factor: number): Grid =>
  makeGrid(scaledAxis(rows, factor), scaledAxis(columns, factor))

/**
 * Cuts a tile `[channels, rows.tile, columns.tile]` of `planes` `[channels, rows.length, columns.length]` into `out`.
 */
export const cut = (
  out: Float32Array,
  planes: Float32Array,
  channels: number,
  { columns, rows }: Grid,
  tile: Tile
): void => {
  const top = rows.starts[tile.row] ?? 0
  const left = columns.starts[tile.column] ?? 0
  let to = 0
  for (let channel = 0; channel < channels; channel++) {
    for (let i = 0; i < rows.tile; i++) {
      const from = (channel * rows.length + (top + i) % rows.length) * columns.length
      let x = left
      for (let j = 0; j < columns.tile; j++) {
        out[to++] = planes[from + x] as number
        if (++x === columns.length) x = 0
      }
    }
  }
}

/** Rows of a tile, `from` up to `to`. */
export interface Rows {
  readonly from: number
  readonly to: number
}

/** Rows of a grid that a buffer holds, when it does not hold all. */
export interface Band {
  readonly top: number
  readonly height: number
}

/**
 * Adds a tile `[channels, rows.tile, columns.tile]`, times its weights, to `sum`
 * `[channels, rows.length, columns.length]`. When all tiles were added to zeros, the sum is the blended whole. With
 * `only`, the other rows of the tile are left out; with a `band`, `sum` is `[channels, band.height, columns.length]`.
 */
export const add = (
  sum: Float32Array,
  values: Float32Array,
  channels: number,
  { columns, rows }: Grid,
  tile: Tile,
  only?: Rows,
  band?: Band
): void => {
  const from = only === undefined ? 0 : only.from
  const to = only === undefined ? rows.tile : only.to
  const top = band === undefined ? 0 : band.top
  const height = band === undefined ? rows.length : band.height
  const start = rows.starts[tile.row] ?? 0
  const left = columns.starts[tile.column] ?? 0
  const down = rows.weights[tile.row] ?? none
  const across = columns.weights[tile.column] ?? none
  for (let channel = 0; channel < channels; channel++) {
    for (let i = from; i < to; i++) {
      const weight = down[i] as number
      const line = (channel * rows.tile + i) * columns.tile
      const base = (channel * height + (start + i) % rows.length - top) * columns.length
      let x = left
      for (let j = 0; j < columns.tile; j++) {
        sum[base + x] = (sum[base + x] as number) + weight * (across[j] as number) * (values[line + j] as number)
        if (++x === columns.length) x = 0
      }
    }
  }
}

const none = new Float32Array()
