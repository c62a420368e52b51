/**
 * The reference networks of `test/data/checkpoints` and what PyTorch computed with them.
 */
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import { closeSync, openSync, readSync } from "node:fs"
import { join } from "node:path"
import { fromFloat16 } from "../../../src/core/float16.ts"
import { openSafetensors } from "../../../src/models/checkpoint/openFile.ts"
import type { StoredTensor, WeightSource } from "../../../src/models/checkpoint/WeightSource.ts"
import type { Graph } from "../../../src/models/graph/Graph.ts"
import { Networks } from "../../../src/models/Networks.ts"
import * as TensorBuffer from "../../../src/models/TensorBuffer.ts"
import { contents, matching } from "../checkpoint/data.ts"
import { largestDifference } from "../numbers.ts"

interface Tolerance {
  readonly atol: number
}

interface Operation {
  readonly op: string
  readonly prefix?: string
  readonly tensor?: string
  readonly tolerances: Readonly<Record<string, Tolerance>>
}

/** An entry of the index. Which fields it has depends on its kind. */
export interface Entry {
  readonly id: string
  readonly kind: string
  readonly cases: string
  readonly file?: string
  readonly base?: string
  readonly inputs?: string
  readonly multipliers?: ReadonlyArray<number>
  readonly adapters?: ReadonlyArray<{ readonly file: string; readonly multiplier: number }>
  readonly folder?: string
  readonly prefix?: string
  readonly architecture?: string
  readonly operations?: Readonly<Record<string, Operation>>
  readonly tolerances?: Readonly<Record<string, Tolerance>>
}

const index: { readonly entries: ReadonlyArray<Entry> } = JSON.parse(Buffer.from(contents("index.json")).toString())

export const entries = index.entries

/** A whole picture: of a checkpoint, with what is laid over its weights. */
interface Picture {
  readonly id: string
  readonly base: string
  readonly cases: string
  readonly prediction: string
  readonly adapters: ReadonlyArray<{ readonly file: string; readonly multiplier: number }>
  readonly tolerances: Readonly<Record<string, Tolerance>>
}

const isPicture = (entry: Entry): entry is Entry & Picture => entry.kind === "picture"

export const pictures: ReadonlyArray<Picture> = index.entries.filter(isPicture)

/** Each case of an operation, with its entry. */
export const casesOf = (op: string) =>
  entries.flatMap((entry) =>
    Object.entries(entry.operations ?? {}).flatMap(([name, operation]) =>
      operation.op === op ? [{ title: `${entry.id}, ${name}`, entry, name, operation }] : []
    )
  )

/** The tensors of one file, or of a folder's shards, below an unpacked folder. */
export const opened = Effect.fnUntraced(function*(folder: string, pattern: string) {
  const sources = yield* Effect.forEach(matching(pattern), (name) => openSafetensors(join(folder, name)))
  const source: WeightSource = {
    tensors: new Map(sources.flatMap(({ tensors }) => [...tensors])),
    metadata: {},
    files: sources.flatMap(({ files }) => files)
  }
  return source
})

/** Where the tensors of a case's network are, as a pattern, and the prefix of their names. */
export const placeOf = ({ entry, name, operation }: ReturnType<typeof casesOf>[number]) =>
  entry.folder === undefined
    ? { file: entry.base ?? entry.file ?? "", prefix: operation.prefix ?? "" }
    : {
      file: `${entry.folder}/${name.startsWith("vae") ? "vae" : name}/*.safetensors`,
      prefix: ""
    }

const bytesOf = ({ file, length, offset }: StoredTensor) => {
  const open = openSync(file, "r")
  const bytes = new Uint8Array(length)
  readSync(open, bytes, 0, length, offset)
  closeSync(open)
  return bytes.buffer
}

/** A tensor's numbers. */
export const numbersOf = (tensor: StoredTensor | undefined): Float32Array => {
  if (tensor === undefined) throw new Error("the case has no such tensor")
  const bytes = bytesOf(tensor)
  switch (tensor.type) {
    case "F32":
      return new Float32Array(bytes)
    case "F16":
      return Float32Array.from(new Uint16Array(bytes), fromFloat16)
    case "I64":
      return Float32Array.from(new BigInt64Array(bytes), Number)
    default:
      return Float32Array.from(new Uint8Array(bytes))
  }
}

/** Numbers for an input, with their sizes. */
export interface Given {
  readonly dims: ReadonlyArray<number>
  readonly values: ArrayLike<number>
}

/** A tensor of a case, with what is computed from each number. */
export const given = (cases: WeightSource, name: string, from = (value: number) => value): Given => {
  const tensor = cases.tensors.get(name)
  return { dims: tensor?.shape ?? [], values: numbersOf(tensor).map(from) }
}

type Dims = Readonly<Record<string, ReadonlyArray<number>>>

/**
 * Opens a graph until the scope closes. What is returned runs it: inputs by name, and the sizes of the outputs that are
 * asked for; their numbers by name come back.
 */
export const opening = Effect.fnUntraced(function*(graph: Graph) {
  const file = graph.file()
  const network = yield* (yield* Networks).open({ file: file.files[0]?.path ?? "", graph: file })
  const types = new Map([...network.inputs, ...network.outputs].map(({ name, type }) => [name, type]))
  const buffers = (all: Dims) =>
    Record.map(
      all,
      (dims, name) => TensorBuffer.make(TensorBuffer.tensorType(types.get(name) ?? "") ?? "float32", dims)
    )
  return Effect.fnUntraced(function*(inputs: Readonly<Record<string, Given>>, outputs: Dims) {
    const from = buffers(Record.map(inputs, ({ dims }) => dims))
    for (const [name, { values }] of Object.entries(inputs)) from[name]?.values.set(values)
    const to = buffers(outputs)
    yield* TensorBuffer.run(network, { inputs: from, outputs: to })
    return (name: string): Float32Array => to[name]?.values ?? new Float32Array(0)
  })
})

/** Opens a graph and runs it once. */
export const computed = (graph: Graph, inputs: Readonly<Record<string, Given>>, outputs: Dims) =>
  Effect.scoped(Effect.flatMap(opening(graph), (run) => run(inputs, outputs)))

/** What differs by more than is allowed: the name of each such output, with the difference. Empty when all agree. */
export const excesses = (
  cases: WeightSource,
  prefix: string,
  tolerances: Readonly<Record<string, Tolerance>>,
  outputOf: (name: string) => Float32Array
): ReadonlyArray<string> =>
  Object.entries(tolerances).flatMap(([name, { atol }]) => {
    const expected = numbersOf(cases.tensors.get(`${prefix}${name}`))
    const found = outputOf(name).subarray(0, expected.length)
    const difference = found.length < expected.length ? Infinity : largestDifference(found, expected)
    return difference <= atol ? [] : [`${name}: ${difference}, more than ${atol}`]
  })

/** Sizes of a case's outputs. */
export const shapeOf = (cases: WeightSource, name: string): ReadonlyArray<number> =>
  cases.tensors.get(name)?.shape ?? []
