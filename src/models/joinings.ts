/**
 * How the tensors of several calls of a network become those of one: rows are put one after the other.
 */
import type { SharedTensor, TensorInfo } from "./networkProtocol.ts"

/**
 * How an input is joined: the rows of all calls; a number for each call, repeated for its rows; or what is the same in
 * all of them.
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

/** A tensor of one call, which has so many rows in all. */
export interface Part {
  readonly tensor: SharedTensor
  readonly rows: number
}

export interface Joined {
  readonly tensor: SharedTensor
  /** Copies the numbers of the parts to it, and its own to the parts. */
  readonly gather: () => void
  readonly scatter: () => void
}

/** One tensor for those of several calls, one at least. */
export const join = (parts: readonly [Part, ...ReadonlyArray<Part>], joining: Joining): Joined => {
  const [{ rows: firstRows, tensor: first }] = parts
  if (joining === "same") return { tensor: first, gather: () => {}, scatter: () => {} }
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const { data, dims, type } = first
  const all = sized(data, joining === "each" ? rows : data.length / firstRows * rows)
  const bytes = bytesOf(all)
  let at = 0
  const places = parts.flatMap((part) => {
    const own = bytesOf(part.tensor.data)
    return Array.from({ length: joining === "each" ? part.rows : 1 }, () => ({
      own,
      joined: bytes.subarray(at, at += own.length)
    }))
  })
  return {
    tensor: { type, dims: joining === "each" ? [rows] : dims.with(0, rows), data: all },
    gather: () => {
      for (const { joined, own } of places) joined.set(own)
    },
    scatter: () => {
      for (const { joined, own } of places) own.set(joined)
    }
  }
}

const sized = (data: SharedTensor["data"], size: number): SharedTensor["data"] => {
  if (data instanceof Float32Array) return new Float32Array(size)
  if (data instanceof Uint16Array) return new Uint16Array(size)
  return data instanceof Int32Array ? new Int32Array(size) : new BigInt64Array(size)
}

const bytesOf = ({ buffer, byteLength, byteOffset }: SharedTensor["data"]): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)
