/**
 * How much of a run goes through a network at once, so that it fits the memory there is.
 */
import type { MemoryEstimate } from "../model/LoadedModel.ts"

/** Whether a call fits. What is unknown is tried. */
export const fits = (estimate: MemoryEstimate | undefined): boolean =>
  estimate === undefined || estimate.needed <= estimate.available

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
