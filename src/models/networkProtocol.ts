/**
 * What the main thread and the network thread say to each other. Numbers cross in shared memory, so a message is only a
 * few words long.
 */

/** The number types of the networks' inputs and outputs that Serena writes or reads. */
export type TensorType = "float32" | "float16" | "int32" | "int64"

/** A tensor whose numbers both threads see. */
export interface SharedTensor {
  readonly type: TensorType
  readonly dims: ReadonlyArray<number>
  readonly data: Float32Array | Uint16Array | Int32Array | BigInt64Array
}

/** One input or output of a network, as its file declares it. A dimension is a number, or a name when it varies. */
export interface TensorInfo {
  readonly name: string
  readonly type: string
  readonly dims: ReadonlyArray<number | string>
}

export type Command =
  | { readonly op: "open"; readonly file: string; readonly provider: string; readonly threads: number }
  | { readonly op: "close"; readonly session: number }
  | {
    readonly op: "bind"
    readonly session: number
    readonly inputs: Readonly<Record<string, SharedTensor>>
    readonly outputs: Readonly<Record<string, SharedTensor>>
  }
  | { readonly op: "unbind"; readonly call: number }
  | { readonly op: "run"; readonly call: number }

/** `id` pairs a reply with its request. */
export interface Request {
  readonly id: number
  readonly command: Command
}

export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: number; readonly info?: NetworkInfo | undefined }
  | { readonly id: number; readonly ok: false; readonly reason: string }

export interface NetworkInfo {
  readonly inputs: ReadonlyArray<TensorInfo>
  readonly outputs: ReadonlyArray<TensorInfo>
}
