/**
 * Places of a grid's items, so that only those in sight need to be in the document.
 */

/** An item, in pixels from the grid's upper left corner. */
export interface Cell<A> {
  readonly item: A
  readonly left: number
  readonly top: number
  readonly size: number
}

export interface Row<A> {
  /** The heading over this row and others. */
  readonly group: string
  readonly headingTop: number
  readonly top: number
  /** With the gap below it. */
  readonly height: number
  readonly cells: ReadonlyArray<Cell<A>>
}

const heading = 40

/**
 * Squares in rows, under a heading for each run of items of a group.
 *
 * @param width Width of the grid in pixels; nothing fits into 0.
 */
export const gridOf = <A>(
  items: ReadonlyArray<A>,
  width: number,
  groupOf: (item: A) => string
): { readonly rows: ReadonlyArray<Row<A>> } => {
  if (width <= 0) return { rows: [] }
  const isNarrow = width < 480
  const gap = isNarrow ? 8 : 12
  const columns = Math.max(1, Math.floor((width + gap) / ((isNarrow ? 100 : 136) + gap)))
  const size = (width - gap * (columns - 1)) / columns
  const rows: Array<Row<A>> = []
  let top = 0
  let headingTop = 0
  let cells: Array<Cell<A>> = []
  let group: string | undefined
  for (const item of items) {
    const next = groupOf(item)
    if (next !== group || cells.length === columns) {
      if (cells.length > 0) top += size + gap
      if (next !== group) {
        headingTop = top
        top += heading
      }
      group = next
      cells = []
      rows.push({ group, headingTop, top, height: size + gap, cells })
    }
    cells.push({ item, left: cells.length * (size + gap), top, size })
  }
  return { rows }
}
