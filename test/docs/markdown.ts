/** Markdown as the formatter leaves it. */

export const page = (...parts: ReadonlyArray<string>): string => `${parts.join("\n\n")}\n`

/** A paragraph in lines of 120 characters at most. */
export const prose = (text: string): string =>
  text.split(" ").reduce((lines, word) => {
    const last = lines.slice(lines.lastIndexOf("\n") + 1)
    return lines === "" ? word : last.length + word.length < 120 ? `${lines} ${word}` : `${lines}\n${word}`
  }, "")

/** Columns are padded as the formatter pads them. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>, fill: string) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width, fill)).join(" | ")} |`
  return [line(head, " "), line([], "-"), ...rows.map((row) => line(row, " "))].join("\n")
}
