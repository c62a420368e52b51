/**
 * The messages between the main thread and the network thread. Numbers are in shared memory, so messages are small.
 */
import type { MemoryEstimate } from "../model/LoadedModel.ts"
import type { GraphFile } from "./graph/Graph.ts"
import type { Joining } from "./joinings.ts"

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

/** How a network is opened. */
export interface OpenOptions {
  /** The network's file, or for a graph that was built here the file of its weights. */
  readonly file: string
  /** A graph that was built here; it says where its weights are. */
  readonly graph?: GraphFile | undefined
  /** The folder of optimised networks; undefined where none is to be used. */
  readonly cache?: string | undefined
  /** onnxruntime's name of the execution provider. */
  readonly provider: string
  /** Threads one call may use; 0 lets onnxruntime decide. */
  readonly threads: number
  /** Whether its convolutions read across the edges. */
  readonly seamless: boolean
  /** Whether its wide layers are computed in int8. */
  readonly int8: boolean
  /** The folder of integer weights; undefined where none are kept. */
  readonly int8Cache?: string | undefined
  /**
   * Whether it shares the memory: it is unloaded when another one is opened or run, and loaded again when it is run.
   */
  readonly alone: boolean
  /** Most bytes that the process may hold; undefined for what there is. */
  readonly maxMemory?: number | undefined
}

/** What a call reads and writes. */
export interface Bound {
  readonly network: number
  readonly inputs: Readonly<Record<string, SharedTensor>>
  readonly outputs: Readonly<Record<string, SharedTensor>>
  /** Whether runs may reuse deep layers: the network must be one that `deepCache.split` splits. */
  readonly keepsDeep?: boolean | undefined
  /** Fraction of the tokens that are merged: the network must have attention that `tokenMerging.find` finds. */
  readonly tokenMerging?: number | undefined
  /** How its inputs are joined with those of other calls; absent for one that is made alone. */
  readonly joinings?: Readonly<Record<string, Joining>> | undefined
}

export type Command =
  | { readonly op: "open"; readonly options: OpenOptions }
  /** Writes the optimised network of a graph that was built here: the ONNX file `to`, and its weights next to it. */
  | { readonly op: "optimise"; readonly options: OpenOptions; readonly to: string }
  | { readonly op: "close"; readonly network: number }
  | { readonly op: "bind" } & Bound
  | { readonly op: "unbind"; readonly call: number }
  /** `reusesDeep` computes the outer layers only, from what the latest run without it left of the deep ones. */
  | { readonly op: "run"; readonly call: number; readonly reusesDeep?: boolean | undefined }
  /**
   * Makes calls that say how they are joined as one. The value is 0 where there is no memory for that, and nothing was
   * run.
   */
  | { readonly op: "runJoint"; readonly calls: ReadonlyArray<number> }
  /** `bind`, `run` and `unbind` in one. */
  | { readonly op: "runOnce" } & Bound
  /** What a call with inputs of these sizes would take, in the form that would run it. */
  | {
    readonly op: "estimate"
    readonly network: number
    readonly inputs: Readonly<Record<string, ReadonlyArray<number>>>
  }
  /** Whether an execution provider computes in float16; the value is 1 where it does. */
  | { readonly op: "float16"; readonly provider: string }

/** `id` pairs a reply with its request. */
export interface Request {
  readonly id: number
  readonly command: Command
}

export type Reply =
  | {
    readonly id: number
    readonly ok: true
    readonly value: number
    readonly info?: NetworkInfo | undefined
    readonly estimate?: MemoryEstimate | undefined
  }
  | {
    readonly id: number
    readonly ok: false
    readonly reason: string
    /** What failed: loading the network's file, or a call, because memory ran out or for another reason. */
    readonly failed: "load" | "memory" | "call"
    /** The device that did not load a file which the processor loads. */
    readonly device?: string
  }

/** Sent whenever a session was opened or closed: the number of sessions in the thread. */
export interface Sessions {
  readonly sessions: number
}

export interface NetworkInfo {
  readonly inputs: ReadonlyArray<TensorInfo>
  readonly outputs: ReadonlyArray<TensorInfo>
}
