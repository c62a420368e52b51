/**
 * How much of a run goes through a network at once, so that it fits the memory there is.
 */
import type { MemoryEstimate } from "../model/LoadedModel.ts"

/** Whether a call fits, with so many bytes of other things. What is unknown is tried. */
export const fits = (estimate: MemoryEstimate | undefined, others = 0): boolean =>
  estimate === undefined || estimate.needed + others <= estimate.available

/**
 * Bytes that a run's images hold until it ends: 8-bit RGB, and a file that is hardly larger than that.
 *
 * The images of a batch are decoded one after the other, so that there is one planar float32 raster at a time.
 */
export const heldByImages = (
  { count, height, width }: { readonly count: number; readonly width: number; readonly height: number }
): number => width * height * 3 * (count * 2 + Float32Array.BYTES_PER_ELEMENT)

/**
 * The most rows of a call that fit, from estimates for one row and for all `rows`; 0 where not even one does.
 *
 * What a call takes grows evenly with its rows: attention, features and buffers are as many times as large.
 */
export const rowsAtOnce = (
  { all, one, rows }: { readonly one: MemoryEstimate; readonly all: MemoryEstimate; readonly rows: number }
): number => {
  if (fits(all)) return rows
  if (!fits(one)) return 0
  const each = (all.needed - one.needed) / Math.max(1, rows - 1)
  return each <= 0 ? 1 : Math.min(rows, 1 + Math.floor((one.available - one.needed) / each))
}
