/** Bytes that differ for each `salt`. */
export const bytesOf = (salt: number, length = 1000): Uint8Array => {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) % 256)
  if (length >= 4) new DataView(bytes.buffer).setUint32(0, salt)
  return bytes
}
