/**
 * Text files as editors, spreadsheets and shells of all systems save them.
 */

const encodingOf = ([first, second]: Uint8Array): string =>
  first === 0xFF && second === 0xFE ? "utf-16le" : first === 0xFE && second === 0xFF ? "utf-16be" : "utf-8"

/**
 * The text of a file: UTF-8, or UTF-16 with a byte order mark, which is left out. `undefined` for bytes that are
 * neither, UTF-16 without a mark included: no byte is replaced.
 */
export const fileText = (bytes: Uint8Array): string | undefined => {
  try {
    const text = new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes)
    return text.includes("\0") ? undefined : text
  } catch {
    return undefined
  }
}
