/**
 * Numbers of the type a network's file asks for, written and read as ordinary numbers.
 *
 * float32 buffers are used in place; float16, int32 and int64 ones are converted on the way in and out.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { readFloat16, writeFloat16 } from "../core/float16.ts"
import type { InferenceError, NetworkThreadDied } from "../model/ModelError.ts"
import type { JointOptions, Network, NetworkCall, SharedTensor, TensorType } from "./Networks.ts"

const isTensorType = (type: string): type is TensorType =>
  type === "float32" || type === "float16" || type === "int32" || type === "int64"

/** The number type of an input or output, or `undefined` for one that Serena does not write or read. */
export const tensorType = (type: string): TensorType | undefined => isTensorType(type) ? type : undefined

export interface TensorBuffer {
  readonly tensor: SharedTensor
  /** The numbers as float32: the shared memory itself when the type is float32. */
  readonly values: Float32Array
  /** Converts `values`, where they changed, to the network's type; does nothing for float32. Integers are rounded. */
  readonly push: () => void
  /** Converts the network's numbers to `values`; does nothing for float32. */
  readonly pull: () => void
}

const shared = (bytes: number) => new SharedArrayBuffer(Math.max(bytes, 8))
const nothing = () => {}

/** A buffer of `dims` numbers in shared memory. */
export const make = (type: TensorType, dims: ReadonlyArray<number>): TensorBuffer => {
  const size = dims.reduce((product, dim) => product * dim, 1)
  switch (type) {
    case "float32":
      return over({ type, dims, data: new Float32Array(shared(size * 4), 0, size) })
    case "float16":
      return over({ type, dims, data: new Uint16Array(shared(size * 2), 0, size) })
    case "int32":
      return over({ type, dims, data: new Int32Array(shared(size * 4), 0, size) })
    case "int64":
      return over({ type, dims, data: new BigInt64Array(shared(size * 8), 0, size) })
  }
}

/** A buffer of one float32 number. */
export const single = (value: number): TensorBuffer => {
  const buffer = make("float32", [])
  buffer.values[0] = value
  return buffer
}

/** Rows of a buffer: those from `from` up to `to` of its first dimension, in the same memory. */
export const rows = ({ tensor, values }: TensorBuffer, from: number, to: number): TensorBuffer => {
  const size = values.length / (tensor.dims[0] ?? 1)
  const [start, end] = [from * size, to * size]
  return over(
    { ...tensor, dims: tensor.dims.with(0, to - from), data: tensor.data.subarray(start, end) },
    values.subarray(start, end)
  )
}

const over = (tensor: SharedTensor, own?: Float32Array): TensorBuffer => {
  const { data } = tensor
  if (data instanceof Float32Array) return { tensor, values: data, push: nothing, pull: nothing }
  const values = own ?? new Float32Array(data.length)
  if (data instanceof Uint16Array) {
    // Texts are the same in most calls: comparing them takes a tenth of converting them.
    let pushed: Float32Array | undefined
    return {
      tensor,
      values,
      push: () => {
        if (pushed === undefined) pushed = values.slice()
        else if (Buffer.compare(bytesOf(pushed), bytesOf(values)) === 0) return
        else pushed.set(values)
        writeFloat16(data, values)
      },
      pull: () => readFloat16(values, data)
    }
  }
  return data instanceof Int32Array
    ? { tensor, values, push: () => rounded(data, values, Number), pull: () => values.set(data) }
    : {
      tensor,
      values,
      push: () => rounded(data, values, BigInt),
      pull: () => {
        for (let i = 0; i < values.length; i++) values[i] = Number(data[i])
      }
    }
}

const bytesOf = ({ buffer, byteLength, byteOffset }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength)

const rounded = <A extends bigint | number>(
  out: { [index: number]: A },
  values: Float32Array,
  toInteger: (value: number) => A
): void => {
  for (let i = 0; i < values.length; i++) out[i] = toInteger(Math.round(values[i] as number))
}

/** Buffers by the names of a network's inputs or outputs. */
export type TensorBuffers = Readonly<Record<string, TensorBuffer>>

/** What a call reads and writes. */
export interface Bound {
  readonly inputs: TensorBuffers
  readonly outputs: TensorBuffers
  /** Whether runs may reuse deep layers, see `Network.bind`. */
  readonly keepsDeep?: boolean | undefined
  /** Fraction of the tokens that are merged, see `Network.bind`. */
  readonly tokenMerging?: number | undefined
  /** Which calls it may be made together with, see `Network.bind`. */
  readonly joint?: JointOptions | undefined
}

/**
 * Binds buffers to a network until the scope closes. Each of the call's effects pushes the inputs, runs the network and
 * pulls the outputs.
 */
export const bind = Effect.fnUntraced(function*(
  network: Network,
  bound: Bound
): Effect.fn.Return<NetworkCall, InferenceError | NetworkThreadDied, Scope.Scope> {
  const { run, runShallow } = yield* network.bind({ ...bound, ...tensorsOf(bound) })
  return { run: filled(bound, run), runShallow: filled(bound, runShallow) }
})

/** Runs a network once. */
export const run = (network: Network, bound: Pick<Bound, "inputs" | "outputs">): NetworkCall["run"] =>
  filled(bound, network.runOnce(tensorsOf(bound)))

// A run between pushing and pulling.
const filled = ({ inputs, outputs }: Bound, run: NetworkCall["run"]): NetworkCall["run"] => {
  const [pushed, pulled] = [Object.values(inputs), Object.values(outputs)]
  return Effect.flatMap(
    Effect.sync(() => pushed.forEach(({ push }) => push())),
    () => Effect.map(run, () => pulled.forEach(({ pull }) => pull()))
  )
}

const tensorsOf = ({ inputs, outputs }: Bound) => ({ inputs: ofBuffers(inputs), outputs: ofBuffers(outputs) })

const ofBuffers = (buffers: TensorBuffers) =>
  Object.fromEntries(Object.entries(buffers).map(([name, { tensor }]) => [name, tensor]))
