/**
 * Tables of text, for terminals.
 */

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
