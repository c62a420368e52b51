/**
 * Tables of text, for terminals.
 */

/** A size as people read it, in powers of 1000: `6.46 GB`. */
export const fileSize = (bytes: number): string =>
  bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`

/** Texts come from strangers: what would move the cursor is not printed. */
export const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, " ")

/** Rows below their titles, each column as wide as its longest text; the last one is not padded. */
export const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const lines = [titles, ...rows.map((row) => row.map(printable))]
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) => line.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ").trimEnd())
    .join("\n")
}
