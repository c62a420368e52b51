/**
 * Names of the same module in two layouts, and how to go from one to the other.
 */
import type { StoredTensor } from "../checkpoint/WeightSource.ts"

/** A module by the name that the networks here use, and by another. Modules below it keep the rest of their names. */
export type NameRow = readonly [own: string, other: string]

/** Rows below a pair of modules. */
export const within = ([own, other]: NameRow, rows: ReadonlyArray<NameRow>): ReadonlyArray<NameRow> =>
  rows.map(([below, otherBelow]) => [`${own}.${below}`, `${other}.${otherBelow}`])

/** Renames by the longest module that a table knows; a name without one is as it was. */
export const renaming = (rows: ReadonlyArray<readonly [from: string, to: string]>): (name: string) => string => {
  const table = new Map(rows)
  return (name) => {
    for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) {
      const known = table.get(name.slice(0, end))
      if (known !== undefined) return known + name.slice(end)
    }
    return name
  }
}

/** The other way round. */
export const reversed = (rows: ReadonlyArray<NameRow>): ReadonlyArray<NameRow> =>
  rows.map(([own, other]) => [other, own])

/** For `Weights.mapped`: the same tensor under another name. */
export const byName =
  (rename: (name: string) => string) =>
  (name: string, tensor: StoredTensor): ReadonlyArray<readonly [string, StoredTensor]> => [
    [rename(name), tensor]
  ]
