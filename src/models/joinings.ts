/**
 * How the tensors of several calls of a network become those of one: rows are put one after the other.
 */
import type { Bound, SharedTensor, TensorInfo } from "./networkProtocol.ts"

/**
 * How an input is joined: the rows of all calls; a number for each call, repeated for its rows; or what is the same in
 * all of them, once.
 */
export type Joining = "rows" | "each" | "same"

/**
 * How inputs are joined that have as many rows as `leader`. Undefined where the network has a fixed number of rows.
 *
 * @param declared The inputs as the network's file declares them.
 */
export const joiningsOf = (
  declared: ReadonlyArray<TensorInfo>,
  inputs: Readonly<Record<string, SharedTensor>>,
  leader: string
): Readonly<Record<string, Joining>> | undefined => {
  const dimOf = (name: string) => declared.find((input) => input.name === name)?.dims[0]
  const batch = dimOf(leader)
  if (typeof batch !== "string") return undefined
  const joiningOf = (name: string, { dims }: SharedTensor): Joining => {
    const dim = dimOf(name)
    return dim === batch ? "rows" : typeof dim === "string" && dims.length === 1 ? "each" : "same"
  }
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, joiningOf(name, tensor)]))
}

/** What calls have in common that can be made as one: all but their rows. */
export const jointFormOf = (
  { inputs, joinings = {}, tokenMerging = 0 }: Pick<Bound, "inputs" | "joinings" | "tokenMerging">
) =>
  JSON.stringify([
    tokenMerging,
    ...Object.entries(inputs).map(([name, { dims, type }]) => {
      const joining = joinings[name]
      return [name, type, joining, joining === "rows" ? dims.slice(1) : dims]
    })
  ])

/** The numbers of a tensor of one call, which has so many rows in all. */
export interface Part {
  readonly bytes: Uint8Array
  readonly rows: number
}

/** A tensor for calls of `rows` rows in all, of which one has `own` rows and this tensor. */
export const jointTensor = (
  { data, dims, type }: SharedTensor,
  { own, rows }: { readonly own: number; readonly rows: number },
  joining: Joining
): SharedTensor => {
  switch (joining) {
    case "same":
      return { type, dims, data: sized(data, data.length) }
    case "each":
      return { type, dims: [rows], data: sized(data, rows) }
    case "rows":
      return { type, dims: dims.with(0, rows), data: sized(data, data.length / own * rows) }
  }
}

/** Writes the numbers of calls to those of a joint tensor. */
export const gather = (all: Uint8Array, parts: ReadonlyArray<Part>, joining: Joining): void => {
  let at = 0
  for (const { bytes, rows } of joining === "same" ? parts.slice(0, 1) : parts) {
    for (let row = 0; row < (joining === "each" ? rows : 1); row++) {
      all.set(bytes, at)
      at += bytes.length
    }
  }
}

/** Writes the rows of a joint tensor to those of the calls. */
export const scatter = (all: Uint8Array, parts: ReadonlyArray<Part>): void => {
  let at = 0
  for (const { bytes } of parts) bytes.set(all.subarray(at, at += bytes.length))
}

const sized = (data: SharedTensor["data"], size: number): SharedTensor["data"] => {
  if (data instanceof Float32Array) return new Float32Array(size)
  if (data instanceof Uint16Array) return new Uint16Array(size)
  return data instanceof Int32Array ? new Int32Array(size) : new BigInt64Array(size)
}

export const bytesOf = ({ data: { buffer, byteLength, byteOffset } }: SharedTensor): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)
