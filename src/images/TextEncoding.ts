/**
 * The encodings of texts in image files, which often are not the ones that the file names or its format prescribes.
 *
 * No decoder here replaces what it cannot read: a text is read in full, or not at all.
 */

const decoders = new Map<string, InstanceType<typeof TextDecoder>>()

/** The text of bytes in one encoding; `undefined` when they are not valid in it. A byte order mark is left out. */
export const decodeAs = (bytes: Uint8Array, encoding: string): string | undefined => {
  const decoder = decoders.get(encoding) ?? new TextDecoder(encoding, { fatal: true })
  decoders.set(encoding, decoder)
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** UTF-8 if the bytes are, otherwise Windows-1252, the 8-bit encoding that programs write without naming it. */
export const decodeComment = (bytes: Uint8Array): string =>
  decodeMarked(bytes) ?? decodeAs(bytes, "utf-8") ?? decodeAs(bytes, "windows-1252") ?? latin1(bytes)

/** UTF-8 if the bytes are, otherwise Latin-1. */
export const decodeUtf8OrLatin1 = (bytes: Uint8Array): string => keepingMark(bytes) ?? latin1(bytes)

const withMark = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** UTF-8 with its byte order mark, which is a character of the text; `undefined` when the bytes are not valid. */
export const keepingMark = (bytes: Uint8Array): string | undefined => {
  try {
    return withMark.decode(bytes)
  } catch {
    return undefined
  }
}

export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

/** The text of bytes that begin with a byte order mark of UTF-16. */
export const decodeMarked = (bytes: Uint8Array): string | undefined => {
  const even = bytes.subarray(0, bytes.length & ~1)
  if (bytes[0] === 0xFF && bytes[1] === 0xFE) return decodeAs(even, "utf-16le")
  if (bytes[0] === 0xFE && bytes[1] === 0xFF) return decodeAs(even, "utf-16be")
  return undefined
}

/** UTF-16 in the order that its zero bytes or its characters suggest; big-endian when nothing does. */
export const decodeUtf16 = (bytes: Uint8Array): string | undefined => {
  const even = bytes.subarray(0, bytes.length & ~1)
  const [big, little] = [decodeAs(even, "utf-16be"), decodeAs(even, "utf-16le")]
  if (big === undefined || little === undefined) return big ?? little
  // Most characters of parameters are ASCII, so their high bytes are zero.
  let zeros = 0
  for (let i = 0; i + 1 < even.length; i += 2) zeros += Number(even[i] === 0) - Number(even[i + 1] === 0)
  if (zeros !== 0) return zeros < 0 ? little : big
  return common(little) > common(big) ? little : big
}

// Characters of scripts that prompts are written in.
const common = (text: string): number =>
  text.length > 10_000
    ? common(text.slice(0, 10_000))
    : text.match(/[\n -~\u00A1-\u04FF\u3000-\u30FF\u4E00-\u9FFF\uAC00-\uD7A3\uFF00-\uFFEF]/g)?.length ?? 0

/** Whether bytes look like UTF-16: at least a quarter of them are zeros. */
export const looksLikeUtf16 = (bytes: Uint8Array): boolean => {
  let zeros = 0
  for (const byte of bytes) zeros += Number(byte === 0)
  return bytes.length > 1 && zeros * 4 >= bytes.length
}
