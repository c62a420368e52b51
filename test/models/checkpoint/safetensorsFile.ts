/** Writes safetensors files of float32 values. */

/** A tensor's shape and values. */
export interface Written {
  readonly shape: ReadonlyArray<number>
  readonly values: ArrayLike<number>
}

export const safetensors = (
  tensors: Readonly<Record<string, Written>>,
  metadata?: Readonly<Record<string, string>>
): Uint8Array => {
  const parts: Array<Uint8Array> = []
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata }
  let at = 0
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const bytes = new Uint8Array(Float32Array.from(values).buffer)
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes.length] }
    parts.push(bytes)
    at += bytes.length
  }
  const text = JSON.stringify(header)
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded, ...parts])
}
