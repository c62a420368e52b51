/** A text as the editors of all systems save it. */
export const savedAs: Readonly<Record<string, (text: string) => Uint8Array>> = {
  "UTF-8": (text) => Buffer.from(text),
  "UTF-8 with a mark": (text) => Buffer.from(`\uFEFF${text}`),
  "UTF-16, little-endian": (text) => Buffer.from(`\uFEFF${text}`, "utf16le"),
  "UTF-16, big-endian": (text) => Buffer.from(`\uFEFF${text}`, "utf16le").swap16()
}

/** The same with the line ends of all systems. */
export const savedWithLines: ReadonlyArray<readonly [name: string, save: (text: string) => Uint8Array]> = Object
  .entries(savedAs).flatMap(([name, save]) =>
    Object.entries({ LF: "\n", CRLF: "\r\n", CR: "\r" }).map(([lines, end]) =>
      [`${name}, ${lines}`, (text: string) => save(text.replaceAll("\n", end))] as const
    )
  )
